//! Whether an entry is a user or a group. An operation on a user never touches a group, a computer or a container: the
//! site's policy may allow the one and not the other.

use bytes::Bytes;

use super::target::Target;
use super::work::Work;
use crate::error::{Error, Phase, Step};
use crate::failure::Failure;

const USERS: [&str; 9] = [
    "user",
    "person",
    "organizationalPerson",
    "inetOrgPerson",
    "account",
    "posixAccount",
    "shadowAccount",
    "nsPerson",
    "nsAccount",
];
const GROUPS: [&str; 6] =
    ["group", "groupOfNames", "groupOfUniqueNames", "posixGroup", "groupOfEntries", "groupOfURLs"];
/// Accounts that belong to machines and services of the domain (MS-ADSC).
const MACHINES: [&str; 4] =
    ["computer", "msDS-ManagedServiceAccount", "msDS-GroupManagedServiceAccount", "trustedDomain"];

/// Superior classes of the usual ones (RFC 4519 §3).
const SUPERIORS: [&str; 3] = ["top", "person", "organizationalPerson"];

/// What these classes make of an entry. `None`: they do not say, or say both.
pub(crate) fn kind_of(classes: &[Bytes]) -> Option<Phase> {
    let one_of = |known: &[&str]| {
        classes.iter().any(|class| known.iter().any(|name| class.eq_ignore_ascii_case(name.as_bytes())))
    };
    match (one_of(&USERS), one_of(&GROUPS)) {
        _ if one_of(&MACHINES) => None,
        (true, false) => Some(Phase::Users),
        (false, true) => Some(Phase::Groups),
        _ => None,
    }
}

impl Work<'_> {
    /// Refuses an entry of another kind than the operation is about. Where the classes do not say, an import must find
    /// it.
    pub(crate) async fn must_be_of_kind(&mut self, target: &Target) -> Result<(), Error> {
        let found = kind_of(target.values.of(&self.session.schema, "objectClass"));
        if found == Some(self.phase) {
            return Ok(());
        }
        if found.is_none()
            && let Some(section) = self.section(self.phase)
            && section.holds(&target.dn)
        {
            let none = ["1.1".to_owned()];
            let matches =
                self.session.connection.read_entry(&target.text, &section.filter, &none, Step::Search).await?;
            if matches.is_some() {
                return Ok(());
            }
        }
        Err(other_kind(self.phase).into())
    }

    /// Whether the classes of an entry say that it is of the kind that the operation is about.
    pub(crate) fn is_of_kind(&self, target: &Target) -> bool {
        kind_of(target.values.of(&self.session.schema, "objectClass")) == Some(self.phase)
    }

    /// The same for the classes that an operation asks for, of an entry that has some already. A class brings attributes
    /// with it, and with them rights: there are none but those that the site gives to new entries.
    pub(crate) fn classes_fit(&self, classes: &[Bytes], now: &[Bytes]) -> Result<(), Failure> {
        let configured = self.object_classes();
        if classes.is_empty() || kind_of(classes).is_some_and(|found| found != self.phase) {
            return Err(other_kind(self.phase));
        }
        if kind_of(classes).is_none() && !classes.iter().all(|class| is_one_of(class, &configured)) {
            return Err(other_kind(self.phase));
        }
        match foreign(classes, &configured, now) {
            None => Ok(()),
            Some(class) => Err(Failure::invalid(
                "objectClass",
                format!("{class} is none of the classes that the site gives to new entries"),
            )),
        }
    }
}

/// The first class that neither the site gives nor the entry has. The superior classes of persons are everybody's.
fn foreign(classes: &[Bytes], configured: &[Bytes], now: &[Bytes]) -> Option<String> {
    let is_known = |class: &Bytes| {
        let is = |known: &&str| class.eq_ignore_ascii_case(known.as_bytes());
        SUPERIORS.iter().any(is) || is_one_of(class, configured) || is_one_of(class, now)
    };
    let class = classes.iter().find(|class| !is_known(class))?;
    Some(String::from_utf8_lossy(class).into_owned())
}

fn is_one_of(class: &[u8], known: &[Bytes]) -> bool {
    known.iter().any(|known| class.eq_ignore_ascii_case(known))
}

fn other_kind(phase: Phase) -> Failure {
    let wanted = if phase == Phase::Users { "it is no user" } else { "it is no group" };
    Failure::invalid("objectClass", wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_groups_and_all_else_are_kept_apart() {
        let of = |classes: &[&str]| {
            let classes: Vec<Bytes> = classes.iter().map(|class| Bytes::copy_from_slice(class.as_bytes())).collect();
            kind_of(&classes)
        };
        assert_eq!(of(&["top", "PERSON", "user"]), Some(Phase::Users));
        assert_eq!(of(&["top", "group"]), Some(Phase::Groups));
        for other in
            [&["top", "person", "user", "computer"][..], &["organizationalUnit"], &["person", "groupOfNames"], &[]]
        {
            assert_eq!(of(other), None, "{other:?}");
        }
    }

    #[test]
    fn no_class_comes_that_the_site_does_not_give() {
        let classes = |names: &[&str]| -> Vec<Bytes> {
            names.iter().map(|name| Bytes::copy_from_slice(name.as_bytes())).collect()
        };
        let found =
            |wanted: &[&str], now: &[&str]| foreign(&classes(wanted), &classes(&["inetOrgPerson"]), &classes(now));
        assert_eq!(found(&["top", "Person", "organizationalPerson", "INETORGPERSON"], &[]), None);
        assert_eq!(found(&["inetOrgPerson", "posixAccount"], &[]).as_deref(), Some("posixAccount"));
        assert_eq!(found(&["inetOrgPerson", "extensibleObject"], &["top"]).as_deref(), Some("extensibleObject"));
        assert_eq!(found(&["inetOrgPerson", "posixAccount"], &["posixaccount"]), None, "it has that one");
    }
}
