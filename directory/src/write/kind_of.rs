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

    /// The same for the classes that an operation asks for.
    pub(crate) fn classes_fit(&self, classes: &[Bytes]) -> Result<(), Failure> {
        let configured = match self.phase {
            Phase::Users => &self.write.user_object_classes,
            Phase::Groups => &self.write.group_object_classes,
        };
        let is_configured = |class: &Bytes| configured.iter().any(|known| class.eq_ignore_ascii_case(known.as_bytes()));
        if kind_of(classes) == Some(self.phase) || (!classes.is_empty() && classes.iter().all(is_configured)) {
            return Ok(());
        }
        Err(other_kind(self.phase))
    }
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
}
