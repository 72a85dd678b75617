//! Organizations, those who may act for them, and their directories.

use jiff::Timestamp;

use super::sessions::Session;
use crate::ids::{AgentId, ApiTokenId, DirectoryId, EnrollmentTokenId, OrganizationId};
use crate::records::{ChangeKind, ThresholdChange, Thresholds};

named! {
    /// What a token may do.
    Role {
        /// Reads everything, changes nothing.
        Auditor = "auditor",
        /// Besides: jobs, enrollment tokens and directories.
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
    /// Accounts of one directory may join users who are known from another one.
    pub joins_users: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// After so many days a user whom no directory has any more becomes inactive. `None`: never.
    pub missing_user_days: Option<u32>,
    /// After so many days jobs that have ended are deleted with their reports; 0: never.
    pub job_retention_days: u32,
}

/// An API token, without its secret, of which only a hash is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its id.
    pub id: ApiTokenId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What people call it.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// When it was created.
    pub created_at: Timestamp,
    /// From when on it is refused. `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// An API token to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiToken {
    /// What people call it.
    pub name: String,
    /// Hash of the secret.
    pub hash: [u8; 32],
    /// What its holder may do.
    pub role: Role,
    /// From when on it is refused. `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// A one-time token with which an agent enrolls, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentToken {
    /// Its id.
    pub id: EnrollmentTokenId,
    /// For which organization.
    pub organization: OrganizationId,
    /// The directories that the agent may serve, by name. Empty: those that nobody has announced before.
    pub directories: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it, for people.
    pub created_by: String,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// The agent that used it.
    pub used_by: Option<AgentId>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// An enrollment token to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEnrollmentToken {
    /// Hash of the secret.
    pub hash: [u8; 32],
    /// The directories that the agent may serve, by name. Empty: those that nobody has announced before.
    pub directories: Vec<String>,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// Who created it, for people.
    pub created_by: String,
}

/// An enrolled agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its id, which its certificate carries.
    pub id: AgentId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What people call it.
    pub name: String,
    /// Version of its software, once it has said so.
    pub version: Option<String>,
    /// Its operating system, once it has said so.
    pub os: Option<String>,
    /// The directories that it may serve, by name: those of its enrollment token, those that an administrator has allowed,
    /// and those that it was the first to announce.
    pub allowed_directories: Vec<String>,
    /// Its enrollment token named no directory: it may also announce directories that nobody has announced before.
    pub takes_new_directories: bool,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it last gave a sign of life. For a connected agent, the last sign of life of the replica that holds its session.
    pub last_seen_at: Option<Timestamp>,
    /// Serial number of its latest certificate, hexadecimal.
    pub serial: String,
    /// When that certificate ends.
    pub not_after: Timestamp,
    /// Serial number of the certificate before, as long as the latest was not used.
    pub former_serial: Option<String>,
    /// When its identity was last seen in use on two machines.
    pub identity_shared_at: Option<Timestamp>,
    /// Why its last session broke or was refused.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Its newest session, unless that was closed. See [`Agent::connected_since`].
    pub session: Option<Session>,
}

impl Agent {
    /// Since when it is connected, to whichever replica. `None`: it is not.
    pub fn connected_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.session.as_ref().filter(|session| session.is_live(now)).map(|session| session.connected_at)
    }
}

/// An agent that enrolls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAgent {
    /// Its id, chosen before, because its certificate carries it.
    pub id: AgentId,
    /// What people call it.
    pub name: String,
    /// Version of its software.
    pub version: Option<String>,
    /// Serial number of its certificate, hexadecimal.
    pub serial: String,
    /// When the certificate ends.
    pub not_after: Timestamp,
}

/// Digests of the configuration by which a directory is read, in the caller's form: of the users' section and of the
/// groups'. `None`: not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// Of the users' section.
    pub users: Option<String>,
    /// Of the groups' section.
    pub groups: Option<String>,
}

/// How an agent stands to a directory that it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStanding {
    /// The directory.
    pub directory: DirectoryId,
    /// Why the agent cannot use it now, and what to do; nothing where it can, or has not tried.
    pub problem: Option<String>,
    /// By which configuration it reads it.
    pub configuration: Digests,
}

/// A directory that an agent serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedDirectory {
    /// Its id.
    pub id: DirectoryId,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub flavour: Flavour,
    /// Why the agent cannot use it now, and what to do; nothing where it can, or has not tried.
    pub problem: Option<String>,
    /// By which configuration the agent reads it.
    pub configuration: Digests,
}

/// An agent with what it serves.
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
    /// Its kind, as far as the agent knows.
    pub flavour: Flavour,
}

/// An LDAP directory known to an organization. Its configuration is not here but with its agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its id.
    pub id: DirectoryId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The name in the agents' configuration, unique in the organization.
    pub name: String,
    /// What people call it.
    pub display_name: String,
    /// Its kind.
    pub flavour: Flavour,
    /// No new job may use it.
    pub disabled: bool,
    /// An import that would mark more than this share of the accounts missing is held, percent.
    pub missing_threshold_percent: u32,
    /// Fewer missing accounts than this never hold an import.
    pub missing_threshold_minimum: u32,
    /// When other changes in great number hold an import.
    pub thresholds: Thresholds,
    /// When it was first announced.
    pub created_at: Timestamp,
    /// When it was deleted; it comes back when an agent announces it again.
    pub deleted_at: Option<Timestamp>,
    /// The unrevoked agents that serve it, connected or not.
    pub agents: Vec<AgentId>,
    /// The sessions of those that have one. See [`Directory::connected`].
    pub sessions: Vec<(AgentId, Session)>,
    /// Why some of them cannot use it now, and what to do.
    pub problems: Vec<(AgentId, String)>,
    /// By which configuration each of them reads it.
    pub configurations: Vec<(AgentId, Digests)>,
    /// By which configuration the last import read it.
    pub configuration: Digests,
    /// When an import of it last succeeded.
    pub last_import_at: Option<Timestamp>,
    /// What the last import found to be wrong until somebody mends it, and what to do.
    pub import_problem: Option<String>,
}

impl Directory {
    /// The agents that serve it and are connected, to whichever replica.
    pub fn connected(&self, now: Timestamp) -> impl Iterator<Item = AgentId> {
        self.sessions.iter().filter(move |(_, session)| session.is_live(now)).map(|(agent, _)| *agent)
    }
}

/// What an administrator may change about a directory. `None`: leave as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryChange {
    /// What people call it.
    pub display_name: Option<String>,
    /// No new job may use it.
    pub disabled: Option<bool>,
    /// See [`Directory::missing_threshold_percent`].
    pub missing_threshold_percent: Option<u32>,
    /// See [`Directory::missing_threshold_minimum`].
    pub missing_threshold_minimum: Option<u32>,
    /// See [`Directory::thresholds`].
    pub thresholds: Vec<(ChangeKind, ThresholdChange)>,
}

/// What came of claiming an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerClaim {
    /// Nobody has it: carry the request out and store the answer.
    Claimed,
    /// It was carried out before.
    Answered(StoredAnswer),
    /// It is being carried out.
    Busy {
        /// Hash of the request that is being carried out.
        request: [u8; 32],
    },
}

/// The answer that a request got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Hash of the request.
    pub request: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// The body, sealed by the caller.
    pub body: Vec<u8>,
}
