//! What an entry is beside what the filters say: entries that are no person or group of the organization, and the primary
//! groups of Active Directory, which list their members nowhere.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::error::Phase;
use crate::filter;
use crate::flavour::Flavour;
use crate::raw_entry::RawEntry;

/// `SECURITY_BUILTIN_DOMAIN_RID` (MS-DTYP §2.4.2.4): the groups below `S-1-5-32` belong to each server and not to people.
const BUILTIN: u32 = 32;
/// `DOMAIN_GROUP_RID_USERS`: a group of the system that lists the people of the domain.
const DOMAIN_USERS: u32 = 513;
/// Primary groups that are remembered; a domain has a handful.
const MOST_PRIMARY_GROUPS: usize = 10_000;

/// The attributes to ask for beside the configured ones.
pub(crate) fn attributes(flavour: Flavour, phase: Phase) -> &'static [&'static str] {
    match (flavour, phase) {
        (Flavour::ActiveDirectory, Phase::Users) => &["objectSid", "primaryGroupID", "isCriticalSystemObject"],
        (Flavour::ActiveDirectory, Phase::Groups) => &["objectSid", "isCriticalSystemObject"],
        (Flavour::Ds389, _) => &["nsds5ReplConflict"],
        (Flavour::OpenLdap | Flavour::Generic, _) => &[],
    }
}

/// What an entry says of itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Kind {
    /// It lost against another entry of its name, when two servers were brought together.
    conflict: bool,
    /// The system made it, for its own use.
    critical: bool,
    /// It belongs to the server and not to the domain.
    of_the_server: bool,
    /// The last part of its SID.
    rid: Option<u32>,
    /// The last part of the SID of its primary group.
    primary_group: Option<u32>,
}

impl Kind {
    /// Reads it. What cannot be read says nothing.
    pub(crate) fn of(flavour: Flavour, message: &Bytes, dn: &str) -> Self {
        let mut kind = Self { conflict: is_conflict(dn), ..Self::default() };
        if !matches!(flavour, Flavour::ActiveDirectory | Flavour::Ds389) {
            return kind;
        }
        let Ok(mut entry) = RawEntry::parse(message) else { return kind };
        while let Ok(Some(mut attribute)) = entry.next_attribute() {
            let name = attribute.description();
            let Some(property) = Property::of(name) else { continue };
            let Ok(Some(value)) = attribute.next_value() else { continue };
            match property {
                Property::Sid => (kind.of_the_server, kind.rid) = sid(value),
                Property::PrimaryGroup => {
                    kind.primary_group = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                }
                Property::Critical => kind.critical = value.eq_ignore_ascii_case(b"TRUE"),
                Property::Conflict => kind.conflict = true,
            }
        }
        kind
    }

    /// Why an import leaves the entry out; `None`: it does not.
    pub(crate) fn left_out(&self, include_builtin: bool) -> Option<&'static str> {
        if self.conflict {
            return Some(
                "the losing entry of a naming conflict between two servers; rename or delete it in the \
            directory",
            );
        }
        let builtin = self.of_the_server || (self.critical && self.rid != Some(DOMAIN_USERS));
        (builtin && !include_builtin).then_some("a built-in object of the server; include_builtin = true imports it")
    }
}

/// What an attribute says about the kind of an entry.
enum Property {
    Sid,
    PrimaryGroup,
    Critical,
    Conflict,
}

impl Property {
    fn of(name: &str) -> Option<Self> {
        let known = [
            ("objectSid", Self::Sid),
            ("primaryGroupID", Self::PrimaryGroup),
            ("isCriticalSystemObject", Self::Critical),
            ("nsds5ReplConflict", Self::Conflict),
        ];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, property)| property)
    }
}

/// Whether a name is that of the loser of a conflict: `CN=ada\0ACNF:…` (MS-ADTS §3.1.1.5.1.2), `nsuniqueid=…+uid=ada`.
pub(crate) fn is_conflict(dn: &str) -> bool {
    let starts = |text: &str, start: &str| text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start));
    // Only in the entry's own part of the name: below such a container lie living people.
    let leaf = dn.split_once(',').map_or(dn, |(leaf, _)| leaf);
    let renamed = leaf.match_indices('\\').any(|(place, _)| starts(&leaf[place..], "\\0ACNF:"));
    renamed || leaf.contains("\nCNF:") || (starts(leaf, "nsuniqueid=") && leaf.contains('+'))
}

/// Whether a SID is one of the server's own, and its last part (MS-DTYP §2.4.2.2).
pub(crate) fn sid(value: &[u8]) -> (bool, Option<u32>) {
    let Some((_, rest)) = value.split_first_chunk::<8>() else { return (false, None) };
    let (parts, _) = rest.as_chunks::<4>();
    let part = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    (parts.len() > 1 && parts.first().map(part) == Some(BUILTIN), parts.last().map(part))
}

/// The condition that finds the primary group of a user by its SID: that of the user with another last part.
pub(crate) fn primary_group_of(user: &RawEntry<'_>) -> Option<String> {
    let first = |attribute| user.values_of(attribute).ok()?.into_iter().next();
    primary_group(first("objectSid").as_ref(), std::str::from_utf8(&first("primaryGroupID")?).ok())
}

/// The same by the two attributes of the user.
pub(crate) fn primary_group(sid: Option<&Bytes>, rid: Option<&str>) -> Option<String> {
    let (sid, rid) = (sid?, rid?.parse::<u32>().ok()?);
    let (of_the_server, Some(_)) = self::sid(sid) else { return None };
    let domain = sid.get(..sid.len().checked_sub(4)?).filter(|_| !of_the_server)?;
    Some(filter::equals("objectSid", &[domain, &rid.to_le_bytes()].concat()))
}

/// The primary groups of the users that came.
#[derive(Default, Debug)]
pub(crate) struct PrimaryGroups(BTreeSet<u32>);

impl PrimaryGroups {
    /// Remembers the primary group of a user.
    pub(crate) fn note(&mut self, kind: &Kind) {
        if let Some(rid) = kind.primary_group.filter(|_| self.0.len() < MOST_PRIMARY_GROUPS) {
            self.0.insert(rid);
        }
    }

    /// The filter that finds the members of a group that is somebody's primary one.
    pub(crate) fn filter(&self, kind: &Kind, include_builtin: bool) -> Option<String> {
        let rid = kind.rid.filter(|rid| self.0.contains(rid) && !kind.of_the_server)?;
        let people = if include_builtin { "" } else { "(!(isCriticalSystemObject=TRUE))" };
        Some(format!("(&(primaryGroupID={rid}){people})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw_entry::tests::message;

    fn sid_of(parts: &[u32]) -> Vec<u8> {
        let count = u8::try_from(parts.len()).unwrap();
        let head = [1, count, 0, 0, 0, 0, 0, 5];
        head.into_iter().chain(parts.iter().flat_map(|part| part.to_le_bytes())).collect()
    }

    fn kind(attributes: &[(&str, &[&[u8]])]) -> Kind {
        Kind::of(Flavour::ActiveDirectory, &message(b"cn=a,dc=x", attributes), "cn=a,dc=x")
    }

    #[test]
    fn the_loser_of_a_conflict_is_known_by_its_name() {
        assert!(is_conflict("CN=ada\\0ACNF:b0d6a9c4-5a5e-4d2c-9f9c-1d2d3e4f5a6b,OU=staff,DC=x"));
        assert!(is_conflict("nsuniqueid=66446001-1dd211b2-9d92c6d2-77c6d2d1+uid=ada,ou=people,dc=x"));
        for living in ["CN=ada,OU=b\\0ACNF:1,DC=x", "uid=nsuniqueid,dc=x", "cn=CNF:x,dc=x", "CN=a\\,b,DC=x", ""] {
            assert!(!is_conflict(living), "{living}");
        }
        let marked = message(b"uid=a,dc=x", &[("nsds5ReplConflict", &[b"namingConflict uid=a"])]);
        assert!(Kind::of(Flavour::Ds389, &marked, "uid=a,dc=x").left_out(true).is_some());
    }

    #[test]
    fn what_the_system_made_is_left_out_unless_it_is_asked_for() {
        let critical: &[&[u8]] = &[b"TRUE"];
        let (krbtgt, users) = (sid_of(&[21, 1, 2, 3, 502]), sid_of(&[21, 1, 2, 3, 513]));
        let operators = sid_of(&[32, 548]);
        let out = |sid: &[u8], include| {
            kind(&[("objectSid", &[sid]), ("isCriticalSystemObject", critical)]).left_out(include).is_some()
        };
        assert!(out(&krbtgt, false) && out(&operators, false));
        assert!(!out(&krbtgt, true) && !out(&users, false), "the people of the domain are a group like others");
        assert!(kind(&[("objectSid", &[&operators])]).left_out(false).is_some(), "by its SID alone");
        assert_eq!(kind(&[]).left_out(false), None);
    }

    #[test]
    fn a_primary_group_is_known_by_the_last_part_of_its_sid() {
        let mut groups = PrimaryGroups::default();
        groups.note(&kind(&[("primaryGroupID", &[b"513"])]));
        let filter = |parts: &[u32]| groups.filter(&kind(&[("objectSid", &[&sid_of(parts)])]), false);
        let people = filter(&[21, 1, 2, 3, 513]);
        assert_eq!(people.as_deref(), Some("(&(primaryGroupID=513)(!(isCriticalSystemObject=TRUE)))"));
        assert_eq!(filter(&[21, 1, 2, 3, 514]), None, "nobody's primary group");
        assert_eq!(filter(&[32, 513]), None);
    }
}
