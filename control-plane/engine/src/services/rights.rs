//! The rights, and the roles that have them: the only such table.

use crate::records::Role;

/// A right. Each service is opened with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// See users, groups, accounts and conflicts.
    ReadPeople,
    /// Decide which account gets a user name.
    DecideConflicts,
    /// Make, change, disable and delete users and groups.
    ChangePeople,
    /// Set the passwords of users in directories.
    SetPasswords,
    /// See directories.
    ReadDirectories,
    /// Rename, disable and delete directories, and set when imports are held.
    ChangeDirectories,
    /// See agents.
    ReadAgents,
    /// Allow an agent to serve a directory.
    AllowDirectories,
    /// Revoke agents.
    RevokeAgents,
    /// See enrollment tokens, without their text.
    ReadEnrollmentTokens,
    /// Create and revoke enrollment tokens.
    ChangeEnrollmentTokens,
    /// See jobs.
    ReadJobs,
    /// Start and cancel jobs, and decide about held ones.
    RunJobs,
    /// See the API token of the request.
    ReadOwnToken,
    /// See API tokens, without their text.
    ReadTokens,
    /// Create and revoke API tokens.
    ChangeTokens,
    /// See the rules of the organization.
    ReadOrganization,
    /// Change the rules of the organization.
    ChangeOrganization,
    /// Read the audit log.
    ReadAudit,
    /// Decide what targets get.
    ChangeProvisioning,
    /// Read reports.
    ReadReports,
}

impl Right {
    /// Every right.
    pub const ALL: &'static [Self] = &[
        Self::ReadPeople,
        Self::ChangePeople,
        Self::SetPasswords,
        Self::DecideConflicts,
        Self::ReadDirectories,
        Self::ChangeDirectories,
        Self::ReadAgents,
        Self::AllowDirectories,
        Self::RevokeAgents,
        Self::ReadEnrollmentTokens,
        Self::ChangeEnrollmentTokens,
        Self::ReadJobs,
        Self::RunJobs,
        Self::ReadOwnToken,
        Self::ReadTokens,
        Self::ChangeTokens,
        Self::ReadOrganization,
        Self::ChangeOrganization,
        Self::ReadAudit,
        Self::ChangeProvisioning,
        Self::ReadReports,
    ];

    /// The roles that have it; the first is the one to suggest.
    pub const fn holders(self) -> &'static [Role] {
        use Role::{Auditor, Helpdesk, Operator, Owner};
        match self {
            Self::ReadPeople | Self::ReadOwnToken => &[Helpdesk, Auditor, Operator, Owner],
            // An auditor only looks.
            Self::SetPasswords => &[Helpdesk, Operator, Owner],
            Self::ReadDirectories
            | Self::ReadAgents
            | Self::ReadEnrollmentTokens
            | Self::ReadJobs
            | Self::ReadTokens
            | Self::ReadOrganization
            | Self::ReadAudit
            | Self::ReadReports => &[Auditor, Operator, Owner],
            Self::ChangePeople
            | Self::DecideConflicts
            | Self::ChangeDirectories
            | Self::AllowDirectories
            | Self::ChangeEnrollmentTokens
            | Self::RunJobs => &[Operator, Owner],
            Self::RevokeAgents | Self::ChangeTokens | Self::ChangeOrganization | Self::ChangeProvisioning => &[Owner],
        }
    }
}
