//! Targets: what accounts live in.

use crate::ids::{OrganizationId, TargetId};

named! {
    /// What a target is.
    TargetKind {
        /// An LDAP server or an Active Directory domain.
        Directory = "directory",
        /// Something else with accounts, as SCIM or Microsoft 365.
        Application = "application",
    }
}

/// What accounts live in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its id; of a directory, the directory's.
    pub id: TargetId,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its kind.
    pub kind: TargetKind,
}
