//! Plain data that the store takes and returns. States are enums with the same names in the database and in JSON.

use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

/// Declares an enum that is stored and shown by name, and described by its documentation.
macro_rules! named {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $about:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[doc = $about])+ #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in the database and in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Its meaning, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($about),+).trim(),)+ }
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                crate::records::described(concat!($($doc),+), Self::ALL.iter().map(|value| value.as_str()))
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::Error;

            fn from_str(text: &str) -> Result<Self, crate::Error> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    crate::Error::corrupt(format!(concat!("unknown ", stringify!($name), " {:?}"), text))
                })
            }
        }
    };
}

mod absences;
mod accounts;
mod administration;
mod attributes;
mod audit;
mod holds;
mod identities;
mod jobs;
mod mappings;
mod marks;
mod matches;
mod own_users;
mod pages;
mod pending;
mod plans;
mod previews;
mod provisioning;
mod schedules;
mod sessions;
mod switch;
mod targets;

pub use absences::{Sight, SoughtAccount, Unsettled};
pub use accounts::{
    Account, AccountKind, Comparison, ExternalKey, KnownAccount, MemberForm, MemberStats, NewAccount, PresentAccount,
    Staged, StagedChunk, StagedKeys, UnresolvedMember, Unseen,
};
pub use administration::{
    Agent, AgentReading, AgentStanding, AnnouncedDirectory, AnswerClaim, ApiToken, Digests, Directory, DirectoryChange,
    EnrollmentToken, Flavour, NewAgent, NewApiToken, NewEnrollmentToken, Organization, OrganizationChange, PasswordKey,
    Role, ServedDirectory, StoredAnswer, TroubledJob,
};
pub use attributes::{AttributeDefinition, AttributeType, RefusedValue};
pub use audit::{AuditEntry, AuditFilter, AuditNote};
pub use holds::{
    ChangeKind, Deferred, DeferredPart, KnownContent, NamedAccount, Threshold, ThresholdChange, Thresholds,
};
pub use identities::{GroupRow, IdentityFilter, IdentityId, Member, MemberIdentity, UserFilter, UserRow, UserSource};
pub use jobs::{Approvals, Finish, Job, JobEvent, JobFilter, JobState, Lease, NewJob, Release};
pub use mappings::{
    MappingDirection, MappingProgress, MappingRun, MappingStep, MappingVersion, NewMapping, OrderRun, Profile, Restamp,
    RuleFailures, StaleAccount,
};
pub use marks::Mark;
pub use matches::{Conflict, HeldUser, Holder, IgnoredAccount, KeyedUser, NamedUser};
pub use own_users::{DeletedGroup, DeletedUser, MergedUser, OwnedUser, Suspension};
pub(crate) use pages::Room;
pub use pages::{Page, PageRequest, Total};
pub use pending::{PendingChange, Refusal};
pub use plans::{Plan, PlanState, PlannedOperation};
pub use previews::{ChangedAccount, IdentityState, MemberChanges, PreviewRow};
pub use provisioning::{Ended, Operation, OperationFilter, OperationState, Provisioning};
pub use schedules::{
    LastRun, MissedRuns, NewSchedule, NextRun, RunOutcome, Schedule, ScheduleSettings, ScheduledJob, ScheduledRun,
};
pub(crate) use sessions::live_since;
pub use sessions::{ClosedSession, NewSession, REPLICA_PATIENCE, Session, Stranded};
pub use switch::Switch;
pub use targets::{Target, TargetKind};

/// The API's description of a text that is one of these names.
fn described(about: &str, names: impl Iterator<Item = &'static str>) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    text.description(Some(about.trim())).enum_values(Some(names)).into()
}
