//! The control plane's store: the only crate with SQL. Every row belongs to an organization, and every query on an
//! organization's data names it.
//!
//! `SQLite` by default, `PostgreSQL` for several replicas. The SQL is written once for both ([`Backend`]); the few
//! statements that differ are in `dialect`. One conformance suite runs on both.

mod absences;
mod accounts;
mod active;
mod address;
mod agents;
mod answers;
mod attributes;
mod audit;
mod audit_chain;
mod audit_verdict;
mod authority;
mod backend;
mod chunks;
mod claims;
mod compare;
mod counts;
mod database;
mod deferred;
mod deleted_users;
mod dialect;
mod differences;
mod directories;
mod directory_order;
mod disabled;
mod effective;
mod enrollment_tokens;
mod error;
mod filters;
mod fold;
mod groups;
mod identities;
mod ids;
mod ignored;
mod imported_members;
mod imports;
mod jobs;
mod joins;
mod keys;
mod known_members;
mod leases;
mod listen;
mod mapping_runs;
mod mappings;
mod marks;
mod match_keys;
mod member_counts;
mod member_form;
mod member_lists;
mod member_names;
mod member_rows;
mod merges;
mod named_groups;
mod names;
mod naming;
mod nested_groups;
mod open_jobs;
mod operations;
mod organizations;
mod outbound;
mod own_groups;
mod own_members;
mod pending;
#[cfg(test)]
mod plans;
mod prefix;
mod preview_rows;
mod profiles;
mod provisioning;
mod provisioning_counts;
mod provisioning_plans;
mod records;
mod recreated;
mod retention;
mod rule_failures;
mod schedules;
mod sessions;
mod shared_ids;
mod sources;
mod sql;
mod sqlite;
mod targets;
mod tokens;
mod transaction;
mod twins;
mod unique;
mod unreachable;
mod users;
mod wake;
mod working_copy;

use std::fmt;
use std::sync::Arc;

pub use crate::address::DatabaseUrl;
pub use crate::audit_chain::AuditHead;
pub use crate::audit_verdict::{AuditFault, AuditVerdict};
pub use crate::authority::AuthorityPin;
pub use crate::backend::Backend;
pub use crate::error::{ConsumeError, EngineError, Error, Result};
pub use crate::fold::fold;
pub use crate::identities::Identities;
pub use crate::ids::{
    AccountId, AgentId, ApiTokenId, DirectoryId, EnrollmentTokenId, GroupId, JobId, OperationId, OrganizationId,
    PendingId, PlanId, ReplicaId, ScheduleId, TargetId, UserId,
};
pub use crate::imports::Intake;
pub use crate::joins::{AccountSample, JoinedAccount};
pub use crate::keys::bounded;
pub use crate::known_members::KnownMembers;
pub use crate::match_keys::match_key;
pub use crate::named_groups::{NamedGroup, NamedMember, Naming};
pub use crate::names::{Named, Thing};
pub use crate::naming::Heir;
pub use crate::outbound::{MemberAccount, TargetAccount};
pub use crate::records::{
    Account, AccountKind, Agent, AgentReading, AgentStanding, AnnouncedDirectory, AnswerClaim, ApiToken, Approvals,
    AttributeDefinition, AttributeType, AuditEntry, AuditFilter, AuditNote, ChangeKind, ChangedAccount, ClosedSession,
    Comparison, Conflict, Deferred, DeferredPart, DeletedGroup, DeletedUser, Digests, Directory, DirectoryChange,
    Ended, EnrollmentToken, ExternalKey, Finish, Flavour, GroupRow, HeldUser, Holder, IdentityFilter, IdentityId,
    IdentityState, IgnoredAccount, Job, JobEvent, JobFilter, JobState, KeyedUser, KnownAccount, KnownContent, LastRun,
    Lease, MappingDirection, MappingProgress, MappingRun, MappingStep, MappingVersion, Mark, Member, MemberChanges,
    MemberForm, MemberIdentity, MemberStats, MergedUser, MissedRuns, NamedAccount, NamedUser, NewAccount, NewAgent,
    NewApiToken, NewEnrollmentToken, NewJob, NewMapping, NewSchedule, NewSession, NextRun, Operation, OperationFilter,
    OperationState, OrderRun, Organization, OrganizationChange, OwnedUser, Page, PageRequest, PasswordKey,
    PendingChange, Plan, PlanState, PlannedOperation, PresentAccount, PreviewRow, Profile, Provisioning,
    REPLICA_PATIENCE, Refusal, RefusedValue, Release, Restamp, Role, RuleFailures, RunOutcome, Schedule,
    ScheduleSettings, ScheduledJob, ScheduledRun, ServedDirectory, Session, Sight, SoughtAccount, Staged, StagedChunk,
    StagedKeys, StaleAccount, StoredAnswer, Stranded, Suspension, Switch, Target, TargetKind, Threshold,
    ThresholdChange, Thresholds, Total, TroubledJob, UnresolvedMember, Unseen, Unsettled, UserFilter, UserRow,
    UserSource,
};
pub use crate::recreated::{GroupSuccession, UnsettledGroup};
pub use crate::sources::LastImport;
pub use crate::users::FilterBounds;
pub use crate::wake::{Wake, Wakeups};
pub use crate::working_copy::WorkingCopy;

use crate::database::{Database, Engine};
use crate::sql::sql;

/// An open store. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) database: Database,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("backend", &self.backend()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database and updates its schema.
    pub async fn open(url: &DatabaseUrl) -> Result<Self> {
        match Database::open(url).await {
            Ok(database) => Ok(Self { database }),
            Err(error) => Err(unreachable::explain(url, error).await),
        }
    }

    /// The same store, whose transactions that change something write this into the audit log. What they change and the
    /// note are durable together, or neither.
    #[must_use]
    pub fn noting(&self, note: AuditNote) -> Self {
        let note = Some(Arc::new(note));
        Self { database: Database { note, engine: self.database.engine.clone() } }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.database.rows(sql("SELECT 1"), |_| Ok(())).await.map(|_| ())
    }

    /// Which engine it is.
    pub fn backend(&self) -> Backend {
        self.database.backend()
    }

    /// Whether the last write to a `SQLite` file failed because its volume is full or cannot be written.
    pub fn is_full(&self) -> bool {
        match &self.database.engine {
            Engine::Sqlite { file, .. } => file.is_full(),
            Engine::Postgres { .. } => false,
        }
    }

    /// Releases memory that is used only as a cache. For idle times: what is needed is read again.
    pub async fn release_memory(&self) -> Result<()> {
        self.database.release_memory().await
    }

    /// Closes all connections; later calls fail.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
