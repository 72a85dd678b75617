//! The site's last word: what a control plane may ask at all, and what never leaves whatever it asks. Read from the
//! agent's own file; no command can change it.

use std::num::NonZeroU32;

use postern_dn::attribute_names::standard_name;
use postern_proto::limits;
use postern_proto::v1::chunk::Listed;
use serde::Deserialize;

use crate::commands::outcome::{Code, Failure, Kind};
use crate::served::{Phase, Record, Served};

/// A kind of command, as the policy names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowedCommand {
    /// Read and deliver all users and groups.
    Import,
    /// Diagnose a directory.
    TestConnection,
    /// Read one user.
    LookupUser,
}

/// The local policy. Unset: every command of this release is allowed, and every configured attribute may leave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The commands that are executed; all others are refused. Unset: all.
    pub commands: Option<Vec<AllowedCommand>>,
    /// Attributes that never leave, whatever a directory's own list says. A name means the attribute: its aliases, its
    /// OID and its options too. Whether a user is enabled leaves as a word of its own all the same.
    pub excluded_attributes: Vec<String>,
    /// Imports that read from directories at a time, whatever the control plane asks for; the others wait for their turn.
    pub imports_at_once: NonZeroU32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { commands: None, excluded_attributes: Vec::new(), imports_at_once: NonZeroU32::MIN.saturating_add(1) }
    }
}

impl Policy {
    /// Refuses what is not allowed.
    pub fn permit(&self, kind: &Kind) -> Result<(), Failure> {
        let wanted = match kind {
            Kind::Import { .. } => AllowedCommand::Import,
            Kind::TestConnection => AllowedCommand::TestConnection,
            Kind::LookupUser { .. } => AllowedCommand::LookupUser,
            Kind::Unknown => {
                return Err(Failure::new(Code::Unsupported, "this agent does not know this kind of command")
                    .cured_by("update the agent"));
            }
        };
        match &self.commands {
            Some(allowed) if !allowed.contains(&wanted) => {
                Err(Failure::new(Code::Forbidden, format!("the site's policy does not allow {}", kind.name()))
                    .cured_by("an administrator of the site can allow it in the agent's [policy] section"))
            }
            _ => Ok(()),
        }
    }

    /// Takes out of an entry what may not leave.
    pub fn strip(&self, record: &mut Record) {
        if !self.excluded_attributes.is_empty() {
            record.attributes.retain(|(name, _)| !self.excludes(name));
        }
    }

    /// The attributes that leave of a directory; `None` where it cannot say, or where they are too many to be said.
    pub fn listed(&self, directory: &dyn Served) -> Option<Listed> {
        let of = |phase| {
            let listed = directory.listed_attributes(phase)?;
            let leaves = |name: &&String| name.len() <= limits::MAX_NAME_BYTES && !self.excludes(name);
            Some(listed.iter().filter(leaves).cloned().collect::<Vec<String>>())
        };
        let listed = Listed { users: of(Phase::Users)?, groups: of(Phase::Groups)?, binary: Vec::new() };
        (listed.users.len() + listed.groups.len() <= limits::MAX_LISTED_ATTRIBUTES).then_some(listed)
    }

    /// Whether an attribute of this name never leaves.
    pub fn excludes(&self, name: &str) -> bool {
        let attribute = attribute(name);
        self.excluded_attributes.iter().any(|excluded| self::attribute(excluded) == attribute)
    }
}

/// The attribute that a description means, in lower case, by its name in the standards where it has one. What only the
/// server's schema knows, the directory itself keeps back.
fn attribute(description: &str) -> String {
    let base = description.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let base = base.strip_prefix("oid.").unwrap_or(&base);
    standard_name(base).unwrap_or(base).to_owned()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::served::Switch;

    const IMPORT: Kind = Kind::Import { chunk_entries: 500 };

    #[test]
    fn without_a_list_everything_known_is_allowed() {
        assert!(Policy::default().permit(&IMPORT).is_ok());
        assert_eq!(Policy::default().permit(&Kind::Unknown).unwrap_err().code, Code::Unsupported);
    }

    #[test]
    fn what_is_not_listed_is_refused() {
        let policy = Policy { commands: Some(vec![AllowedCommand::TestConnection]), ..Policy::default() };
        assert!(policy.permit(&Kind::TestConnection).is_ok());
        assert_eq!(policy.permit(&IMPORT).unwrap_err().code, Code::Forbidden);
    }

    #[test]
    fn excluded_attributes_do_not_leave_in_any_spelling() {
        let policy = Policy { excluded_attributes: vec!["EmployeeNumber".into()], ..Policy::default() };
        let value = || vec![Bytes::from_static(b"7")];
        let mut record = Record {
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
        policy.strip(&mut record);
        assert_eq!(record.attributes.len(), 1);
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
