//! Typed ids. Each is a `UUIDv7` (RFC 9562, 5.7) of its own type, so that they cannot be confused. Later ids sort
//! later, so the databases' indexes grow at one end.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Result;
use crate::sql::{Column, Row, Value};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        #[expect(clippy::new_without_default, reason = "every call makes another one, which no default does")]
        impl $name {
            /// A new id.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id with this UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<$name> for Value {
            fn from(id: $name) -> Self {
                Self::Uuid(Some(id.0))
            }
        }

        impl From<Option<$name>> for Value {
            fn from(id: Option<$name>) -> Self {
                Self::Uuid(id.map(|id| id.0))
            }
        }

        impl Column for $name {
            fn read(row: &mut Row) -> Result<Self> {
                row.take().map(Self)
            }
        }

        impl Column for Option<$name> {
            fn read(row: &mut Row) -> Result<Self> {
                Ok(row.take::<Option<Uuid>>()?.map($name))
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> std::result::Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// An organization, a tenant of the control plane.
    OrganizationId,
    /// An API token of an organization.
    ApiTokenId,
    /// A one-time token with which an agent enrolls.
    EnrollmentTokenId,
    /// An enrolled agent.
    AgentId,
    /// What accounts live in: a directory or an application.
    TargetId,
    /// A directory of an organization. It is a target of the same id.
    DirectoryId,
    /// A unit of work.
    JobId,
    /// What starts jobs by itself.
    ScheduleId,
    /// A change of an object in a target.
    OperationId,
    /// A change that somebody wants in a target and that is not there yet.
    PendingId,
    /// Operations that are shown before they are carried out.
    PlanId,
    /// The record of one entry of a directory.
    AccountId,
    /// A user of an organization.
    UserId,
    /// A group of an organization.
    GroupId,
    /// One running process of the control plane.
    ReplicaId,
}
