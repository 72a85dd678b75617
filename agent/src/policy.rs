//! The site's last word: what a control plane may ask at all, and what never leaves whatever it asks. Read from the
//! agent's own file; no command can change it.

mod asked;
mod audit;
mod change;
pub mod explain;
mod limits;
mod line;
mod records;
mod rules;
mod veto;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use postern_dn::attribute_names::attribute;
use postern_proto::limits::{MAX_LISTED_ATTRIBUTES, MAX_NAME_BYTES};
use postern_proto::v1::chunk::Listed;
use serde::Deserialize;

pub use self::asked::Asked;
pub use self::records::Records;
pub use self::rules::Rules;
pub use self::veto::Veto;
use crate::command::Key;
use crate::failure::{Code, Failure};
use crate::served::{Entry, Phase, ServedDirectory, write};

/// The local policy. Unset: every command of this release is allowed, and every configured attribute may leave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Names of the kinds of command that are executed; all others are refused. Unset: all.
    pub commands: Option<Vec<String>>,
    /// Attributes that never leave, whatever a directory's own list says. A name means the attribute: its aliases, its
    /// OID and its options too. Whether a user is enabled leaves as a word of its own all the same.
    pub excluded_attributes: Vec<String>,
    /// Imports that read from directories at a time, whatever the control plane asks for; the others wait for their turn.
    pub imports_at_once: NonZeroU32,
    /// What may be changed in each directory, by its name. Not a key of the section.
    #[serde(skip)]
    pub directories: BTreeMap<String, Arc<Rules>>,
    /// Where limits and the log of changes are kept. Without it nothing is written. Not a key of the section.
    #[serde(skip)]
    pub records: Option<Arc<Records>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            commands: None,
            excluded_attributes: Vec::new(),
            imports_at_once: NonZeroU32::MIN.saturating_add(1),
            directories: BTreeMap::new(),
            records: None,
        }
    }
}

impl Policy {
    /// Refuses a kind of command that is not allowed.
    pub fn permit(&self, kind: &str) -> Result<(), Failure> {
        match &self.commands {
            Some(allowed) if !allowed.iter().any(|name| name == kind) => {
                Err(Failure::new(Code::Forbidden, format!("the site's policy does not allow {kind}"))
                    .cured_by("an administrator of the site can allow it in the agent's [policy] section"))
            }
            _ => Ok(()),
        }
    }

    /// Takes out of an entry what may not leave.
    pub fn strip(&self, entry: &mut Entry) {
        if !self.excluded_attributes.is_empty() {
            entry.attributes.retain(|(name, _)| !self.excludes(name));
        }
    }

    /// The attributes that leave of a directory; `None` where it cannot say, or where they are too many to be said.
    pub fn listed(&self, directory: &dyn ServedDirectory) -> Option<Listed> {
        let of = |phase| {
            let listed = directory.listed_attributes(phase)?;
            let leaves = |name: &&String| name.len() <= MAX_NAME_BYTES && !self.excludes(name);
            Some(listed.iter().filter(leaves).cloned().collect::<Vec<String>>())
        };
        let listed = Listed { users: of(Phase::Users)?, groups: of(Phase::Groups)?, binary: Vec::new() };
        (listed.users.len() + listed.groups.len() <= MAX_LISTED_ATTRIBUTES).then_some(listed)
    }

    /// Whether an attribute of this name never leaves.
    pub fn excludes(&self, name: &str) -> bool {
        let named = attribute(name);
        self.excluded_attributes.iter().any(|excluded| attribute(excluded) == named)
    }

    /// What the site says to one operation. A directory of which it says nothing is not written.
    pub fn veto(&self, key: Key, directory: &str, operation: &write::Operation) -> Veto {
        let rules = self.directories.get(directory).cloned().unwrap_or_default();
        Veto::new((rules, self.records.clone()), key, directory, operation)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::served::Switch;

    #[test]
    fn a_kind_that_is_not_listed_is_refused() {
        assert!(Policy::default().permit("import").is_ok());
        let policy = Policy { commands: Some(vec!["test_connection".into()]), ..Policy::default() };
        assert!(policy.permit("test_connection").is_ok());
        assert_eq!(policy.permit("import").unwrap_err().code, Code::Forbidden);
    }

    #[test]
    fn excluded_attributes_do_not_leave_in_any_spelling() {
        let policy = Policy { excluded_attributes: vec!["EmployeeNumber".into()], ..Policy::default() };
        let value = || vec![Bytes::from_static(b"7")];
        let mut entry = Entry {
            external_id: "id".into(),
            dn: "uid=a".into(),
            unique_value: None,
            attributes: vec![
                ("cn".into(), value()),
                ("employeenumber".into(), value()),
                ("employeeNumber;lang-de".into(), value()),
            ],
            members: Vec::new(),
            switch: Switch::On,
        };
        policy.strip(&mut entry);
        assert_eq!(entry.attributes.len(), 1);
    }

    #[test]
    fn an_attribute_is_excluded_by_any_of_its_names() {
        for (excluded, listed) in
            [("mail", "rfc822Mailbox"), ("sn", "2.5.4.4"), ("OID.2.5.4.4", "surname;lang-de"), ("fax", "2.5.4.23")]
        {
            let policy = Policy { excluded_attributes: vec![excluded.into()], ..Policy::default() };
            assert!(policy.excludes(listed), "{excluded} {listed}");
            assert!(!policy.excludes("cn"), "{excluded}");
        }
    }
}
