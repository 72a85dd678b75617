//! Organizations, their tokens and agents, and their directories.

use jiff::Timestamp;
use serde_json::Value;

use super::sessions::Session;
use crate::ids::{AgentId, ApiTokenId, DirectoryId, EnrollmentTokenId, JobId, OrganizationId};
use crate::records::{ChangeKind, ThresholdChange, Thresholds};

named! {
    /// What a token may do.
    Role {
        /// Reads users, groups and accounts, changes nothing.
        Helpdesk = "helpdesk",
        /// Reads everything, changes nothing.
        Auditor = "auditor",
        /// Also changes users, groups, mapping rules, directories, schedules and enrollment tokens, and starts jobs.
        Operator = "operator",
        /// Everything, API tokens and agents included.
        Owner = "owner",
    }
}

named! {
    /// What kind of server a directory is.
    Flavour {
        /// Not reached yet.
        Unknown = "unknown",
        /// None of the others.
        Generic = "generic",
        /// Active Directory, by Microsoft or Samba.
        ActiveDirectory = "active_directory",
        /// `OpenLDAP`'s slapd.
        OpenLdap = "openldap",
        /// 389 Directory Server and its descendants.
        Ds389 = "ds389",
    }
}

/// A tenant of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name, unique in this control plane.
    pub name: String,
    /// Whether accounts of one directory may join users of another one.
    pub joins_users: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// After how many days a user that no directory has any more becomes inactive. `None`: never.
    pub missing_user_days: Option<u32>,
    /// After how many days ended jobs are deleted with their reports; 0: never.
    pub job_retention_days: u32,
    /// After so many days entries of the audit log are deleted; 0: never.
    pub audit_retention_days: u32,
}

/// What to change about the rules of an organization. `None`: leave as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrganizationChange {
    /// After so many days a user whom no directory has any more becomes inactive; `Some(None)`: never.
    pub missing_user_days: Option<Option<u32>>,
    /// Accounts of one directory may join users who are known from another one.
    pub joins_users: Option<bool>,
    /// After so many days jobs that have ended are deleted with their reports; 0: never.
    pub job_retention_days: Option<u32>,
    /// After so many days entries of the audit log are deleted; 0: never.
    pub audit_retention_days: Option<u32>,
}

/// An API token, without its secret, of which only a hash is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its id.
    pub id: ApiTokenId,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its name, for people.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires. `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A new API token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiToken {
    /// Its name, for people.
    pub name: String,
    /// Hash of the secret.
    pub hash: [u8; 32],
    /// What its holder may do.
    pub role: Role,
    /// When it expires. `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// A one-time token with which an agent enrolls, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentToken {
    /// Its id.
    pub id: EnrollmentTokenId,
    /// Its organization.
    pub organization: OrganizationId,
    /// The directories that the agent may serve, by name. Empty: only new ones.
    pub directories: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it, for people.
    pub created_by: String,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// The agent that used it.
    pub used_by: Option<AgentId>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A new enrollment token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEnrollmentToken {
    /// Hash of the secret.
    pub hash: [u8; 32],
    /// The directories that the agent may serve, by name. Empty: only new ones.
    pub directories: Vec<String>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Who created it, for people.
    pub created_by: String,
}

/// An enrolled agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its id, which is in its certificate.
    pub id: AgentId,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its name, for people.
    pub name: String,
    /// Version of its software, once announced.
    pub version: Option<String>,
    /// Its operating system, once announced.
    pub os: Option<String>,
    /// The directories that it may serve, by name: those of its enrollment token, those that an administrator allowed,
    /// and those that it announced first.
    pub allowed_directories: Vec<String>,
    /// Whether it may also announce new directories, because its enrollment token named none.
    pub takes_new_directories: bool,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it was last seen. For a connected agent, the last sign of life of the replica that holds its session.
    pub last_seen_at: Option<Timestamp>,
    /// Serial number of its latest certificate, hexadecimal.
    pub serial: String,
    /// When that certificate expires.
    pub not_after: Timestamp,
    /// Serial number of the certificate before, until the latest was used.
    pub former_serial: Option<String>,
    /// When two machines were last seen using its identity.
    pub identity_shared_at: Option<Timestamp>,
    /// Why its last session broke or was refused.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
    /// The public key that passwords for its directories are sealed to. `None`: it opens none.
    pub password_key: Option<Vec<u8>>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Its newest session, unless it was closed. See [`Agent::connected_since`].
    pub session: Option<Session>,
}

impl Agent {
    /// Since when it is connected, to any replica. `None`: it is not.
    pub fn connected_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.session.as_ref().filter(|session| session.is_live(now)).map(|session| session.connected_at)
    }
}

/// A key that passwords for a directory are sealed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordKey {
    /// The agent that has the private half.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// The public half, as the agent announced it.
    pub key: Vec<u8>,
}

/// An agent that enrolls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAgent {
    /// Its id, chosen in advance because its certificate contains it.
    pub id: AgentId,
    /// Its name, for people.
    pub name: String,
    /// Version of its software.
    pub version: Option<String>,
    /// Serial number of its certificate, hexadecimal.
    pub serial: String,
    /// When the certificate expires.
    pub not_after: Timestamp,
}

/// Digests of a directory's configuration, in the caller's form: of the section for users and of that for groups.
/// `None`: unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// Of the users' section.
    pub users: Option<String>,
    /// Of the groups' section.
    pub groups: Option<String>,
}

/// The state of a directory at an agent that serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStanding {
    /// The directory.
    pub directory: DirectoryId,
    /// Why the agent cannot use it now, and what to do; `None` if it can, or has not tried.
    pub problem: Option<String>,
    /// The configuration that it reads the directory by.
    pub configuration: Digests,
}

/// A directory that an agent serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedDirectory {
    /// Its id.
    pub id: DirectoryId,
    /// Its name.
    pub name: String,
    /// Its flavour.
    pub flavour: Flavour,
    /// Why the agent cannot use it now, and what to do; `None` if it can, or has not tried.
    pub problem: Option<String>,
    /// The configuration that the agent reads it by.
    pub configuration: Digests,
}

/// An agent with the directories that it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentReading {
    /// The agent.
    pub agent: Agent,
    /// The directories that it last announced, by name.
    pub directories: Vec<ServedDirectory>,
}

/// A directory, as an agent announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedDirectory {
    /// Its name.
    pub name: String,
    /// Its flavour, if the agent knows it.
    pub flavour: Flavour,
}

/// An LDAP directory of an organization. Its configuration is with its agents, not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its id.
    pub id: DirectoryId,
    /// Its organization.
    pub organization: OrganizationId,
    /// The name in the agents' configuration, unique in the organization.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// Its flavour.
    pub flavour: Flavour,
    /// Whether new jobs are refused.
    pub disabled: bool,
    /// An import that would mark more than this share of the accounts missing is held, percent.
    pub missing_threshold_percent: u32,
    /// Fewer missing accounts than this do not hold an import.
    pub missing_threshold_minimum: u32,
    /// How many other changes hold an import.
    pub thresholds: Thresholds,
    /// When it was first announced.
    pub created_at: Timestamp,
    /// When it was deleted; announcing it again restores it.
    pub deleted_at: Option<Timestamp>,
    /// The unrevoked agents that serve it, connected or not.
    pub agents: Vec<AgentId>,
    /// The sessions of those that have one. See [`Directory::connected`].
    pub sessions: Vec<(AgentId, Session)>,
    /// Why some of them cannot use it now, and what to do.
    pub problems: Vec<(AgentId, String)>,
    /// The configuration that each of them reads it by.
    pub configurations: Vec<(AgentId, Digests)>,
    /// The configuration that the last import read it by.
    pub configuration: Digests,
    /// When an import of it last succeeded.
    pub last_import_at: Option<Timestamp>,
    /// The problem that the last import found, and what to do.
    pub import_problem: Option<String>,
    /// How often rules failed when its accounts were last mapped anew.
    pub mapping_failures: u64,
    /// The import that somebody should look at: the held one, or else the last one that ended, if it failed.
    pub troubled: Option<TroubledJob>,
}

/// A job that is held or has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubledJob {
    /// Its id.
    pub id: JobId,
    /// Whether it is held. Otherwise it has failed.
    pub held: bool,
    /// What it is held for, or why it failed.
    pub reason: Option<Value>,
}

impl Directory {
    /// The agents that serve it and are connected, to any replica.
    pub fn connected(&self, now: Timestamp) -> impl Iterator<Item = AgentId> {
        self.sessions.iter().filter(move |(_, session)| session.is_live(now)).map(|(agent, _)| *agent)
    }
}

/// Changes of a directory by an administrator. `None`: unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryChange {
    /// Its name for people.
    pub display_name: Option<String>,
    /// Whether new jobs are refused.
    pub disabled: Option<bool>,
    /// See [`Directory::missing_threshold_percent`].
    pub missing_threshold_percent: Option<u32>,
    /// See [`Directory::missing_threshold_minimum`].
    pub missing_threshold_minimum: Option<u32>,
    /// See [`Directory::thresholds`].
    pub thresholds: Vec<(ChangeKind, ThresholdChange)>,
}

/// The result of claiming an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerClaim {
    /// The key was free: carry the request out and store the answer.
    Claimed,
    /// It was carried out before.
    Answered(StoredAnswer),
    /// It is being carried out.
    Busy {
        /// Hash of the request that is being carried out.
        request: [u8; 32],
    },
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Hash of the request.
    pub request: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// The body, sealed by the caller.
    pub body: Vec<u8>,
}
