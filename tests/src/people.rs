//! A company of any size, the same every time: people with names from many languages, teams, nested teams, and one
//! large group; written as LDIF without ever being held in memory.

use std::io::{self, BufWriter, Write};

use crate::ldif::write_value;

const GIVEN_NAMES: [&str; 28] = [
    "Anna",
    "Björn",
    "Chloé",
    "Dmitri",
    "Eszter",
    "François",
    "Gülşen",
    "Håkon",
    "Íñigo",
    "Jürgen",
    "Kōichi",
    "Łucja",
    "Mei",
    "Noël",
    "Østen",
    "Paweł",
    "Quentin",
    "Renée",
    "Søren",
    "Thảo",
    "Ulla",
    "Vojtěch",
    "William",
    "Xavier",
    "Yıldız",
    "Zoë",
    "Ольга",
    "明",
];
const FAMILY_NAMES: [&str; 26] = [
    "Andersson",
    "Brûlé",
    "Çelik",
    "D'Souza",
    "Eriksson",
    "Fernández",
    "Groß",
    "Horváth",
    "Işık",
    "Jansen",
    "Kowalski",
    "Lefèvre",
    "Müller",
    "Nguyễn",
    "O'Neill",
    "Petrović",
    "Quist",
    "Říha",
    "Schäfer",
    "Þórsson",
    "Ünal",
    "van den Berg",
    "Weiß",
    "Иванова",
    "Yamamoto",
    "Zieliński",
];
const TITLES: [&str; 7] =
    ["Engineer", "Senior Engineer", "Accountant", "Clerk, Archive", "Sales Representative", "Nurse", "Team Lead"];
const CITIES: [&str; 8] = ["Berlin", "Zürich", "Kraków", "São Paulo", "København", "Malmö", "Lyon", "Tōkyō"];

/// The attributes that the agent is configured to read in the scenarios: the twelve of the configuration example.
pub const USER_ATTRIBUTES: [&str; 12] = [
    "uid",
    "cn",
    "sn",
    "givenName",
    "displayName",
    "mail",
    "telephoneNumber",
    "title",
    "departmentNumber",
    "l",
    "employeeNumber",
    "manager",
];
/// The attributes read from groups.
pub const GROUP_ATTRIBUTES: [&str; 2] = ["cn", "description"];

/// One person.
#[derive(Clone, Debug)]
pub struct Person {
    index: u32,
    /// The unique login name.
    pub uid: String,
    /// Given name.
    pub given_name: &'static str,
    /// Family name.
    pub family_name: &'static str,
}

impl Person {
    /// The person of this number.
    pub fn nth(index: u32) -> Self {
        let mixed = mix(index);
        let given_name = pick(&GIVEN_NAMES, mixed);
        let family_name = pick(&FAMILY_NAMES, mixed >> 16);
        let initial = ascii_letters(given_name, "x");
        let uid = format!("{}.{}{index}", initial, ascii_letters(family_name, "y"));
        Self { index, uid, given_name, family_name }
    }

    /// Name as people write it.
    pub fn display_name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }

    /// Mail address.
    pub fn mail(&self) -> String {
        format!("{}@corp.example", self.uid)
    }

    /// Name of the entry below `ou=people`. Every 97th is named by its common name, with a comma and non-ASCII letters.
    pub fn rdn(&self) -> String {
        if self.index % 97 == 13 {
            format!("cn={}", self.common_name().replace(',', "\\,"))
        } else {
            format!("uid={}", self.uid)
        }
    }

    fn common_name(&self) -> String {
        format!("{}, {} {}", self.family_name, self.given_name, self.index)
    }

    /// DN of the entry.
    pub fn dn(&self, suffix: &str) -> String {
        format!("{},ou=people,{suffix}", self.rdn())
    }

    /// Writes the inetOrgPerson.
    pub fn write_ldif(&self, suffix: &str, out: &mut impl Write) -> io::Result<()> {
        write_value(out, "dn", &self.dn(suffix))?;
        out.write_all(b"objectClass: inetOrgPerson\n")?;
        write_value(out, "uid", &self.uid)?;
        write_value(out, "cn", &self.common_name())?;
        write_value(out, "sn", self.family_name)?;
        write_value(out, "givenName", self.given_name)?;
        write_value(out, "displayName", &self.display_name())?;
        write_value(out, "mail", &self.mail())?;
        writeln!(out, "telephoneNumber: +49 30 {:07}", self.index)?;
        let mixed = mix(self.index ^ 0x5555);
        write_value(out, "title", pick(&TITLES, mixed))?;
        writeln!(out, "departmentNumber: {}", 100 + mixed % 40)?;
        write_value(out, "l", pick(&CITIES, mixed >> 8))?;
        writeln!(out, "employeeNumber: {}", 1_000_000 + u64::from(self.index))?;
        if self.index > 0 {
            write_value(out, "manager", &Self::nth(self.index / 10).dn(suffix))?;
        }
        writeln!(out, "userPassword: hidden-{}\n", self.index)
    }
}

/// How large the company is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    /// People, 0 to 1,000,000 and more.
    pub users: u32,
    /// Teams; every person is in one.
    pub teams: u32,
    /// Members of the group `everyone`.
    pub large_group: u32,
}

impl Population {
    /// A company of this many people: a team for every 25, and `everyone` with all, at most 10,000.
    pub fn of(users: u32) -> Self {
        Self { users, teams: users.div_ceil(25), large_group: users.min(10_000) }
    }

    /// All groups: the teams, `everyone`, `all-teams` (of teams) and `company` (of these two).
    pub fn groups(self) -> u32 {
        if self.users == 0 { 0 } else { self.teams + 3 }
    }

    /// Everybody.
    pub fn people(self) -> impl Iterator<Item = Person> {
        (0..self.users).map(Person::nth)
    }

    /// The people of a team.
    pub fn team(self, team: u32) -> impl Iterator<Item = Person> {
        (team..self.users).step_by(self.teams.max(1) as usize).map(Person::nth)
    }

    /// Writes everything below the suffix, parents first: two organizational units, people, groups.
    pub fn write_ldif(self, suffix: &str, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        for unit in ["people", "groups"] {
            writeln!(out, "dn: ou={unit},{suffix}\nobjectClass: organizationalUnit\nou: {unit}\n")?;
        }
        for person in self.people() {
            person.write_ldif(suffix, &mut out)?;
        }
        if self.users > 0 {
            self.write_groups(suffix, &mut out)?;
        }
        out.flush()
    }

    fn write_groups(self, suffix: &str, out: &mut impl Write) -> io::Result<()> {
        for team in 0..self.teams {
            let members = self.team(team).map(|person| person.dn(suffix));
            write_group(out, &team_name(team), suffix, members)?;
        }
        let everyone = (0..self.large_group).map(|index| Person::nth(index).dn(suffix));
        write_group(out, "everyone", suffix, everyone)?;
        let teams = (0..self.teams).map(|team| group_dn(&team_name(team), suffix));
        write_group(out, "all-teams", suffix, teams)?;
        let both = ["all-teams", "everyone"].map(|name| group_dn(name, suffix));
        write_group(out, "company", suffix, both.into_iter())
    }
}

/// Name of a team's group.
pub fn team_name(team: u32) -> String {
    format!("team-{team:04}")
}

/// DN of a group.
pub fn group_dn(name: &str, suffix: &str) -> String {
    format!("cn={name},ou=groups,{suffix}")
}

/// Writes a groupOfNames.
pub fn write_group(
    out: &mut impl Write,
    name: &str,
    suffix: &str,
    members: impl Iterator<Item = String>,
) -> io::Result<()> {
    writeln!(out, "dn: {}\nobjectClass: groupOfNames\ncn: {name}", group_dn(name, suffix))?;
    write_value(out, "description", &format!("Gruppe „{name}“"))?;
    for member in members {
        write_value(out, "member", &member)?;
    }
    writeln!(out)
}

/// The lower-case ASCII letters of a name; `otherwise` when it has none.
fn ascii_letters(name: &str, otherwise: &str) -> String {
    let letters: String =
        name.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect();
    if letters.is_empty() { otherwise.to_owned() } else { letters }
}

fn pick<T: Copy>(from: &[T], number: u64) -> T {
    from[usize::try_from(number % from.len() as u64).unwrap_or(0)]
}

/// The `SplitMix64` output function: well spread, the same on every machine.
fn mix(index: u32) -> u64 {
    let mut z = u64::from(index).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ldif;

    #[test]
    fn names_are_unique_and_the_same_every_time() {
        let population = Population::of(2_000);
        let uids: BTreeSet<String> = population.people().map(|person| person.uid).collect();
        assert_eq!(uids.len(), 2_000);
        assert_eq!(Person::nth(7).uid, Person::nth(7).uid);
    }

    #[test]
    fn the_ldif_holds_everybody_and_every_group() {
        let population = Population::of(200);
        let mut out = Vec::new();
        population.write_ldif("dc=corp,dc=example", &mut out).unwrap();
        let entries = ldif::parse(&String::from_utf8(out).unwrap()).unwrap();
        assert_eq!(entries.len(), (2 + population.users + population.groups()) as usize);
        let everyone = entries.iter().find(|entry| entry.dn.starts_with("cn=everyone")).unwrap();
        assert_eq!(everyone.values("member").len(), 200);
        assert!(entries.iter().any(|entry| entry.dn.contains("\\,")), "no DN with an escaped comma");
        let in_teams: usize = (0..population.teams).map(|team| population.team(team).count()).sum();
        assert_eq!(in_teams, 200);
    }
}
