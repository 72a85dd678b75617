//! What carries operations out in one kind of target.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use postern_store::{AccountKind, OperationId, TargetId};
use serde::{Deserialize, Serialize};

use super::change::{Attributes, Step};
use crate::jobs::failure::Failure;

/// An operation that is to be carried out.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its id.
    pub id: OperationId,
    /// Which of the times that it is sent.
    pub generation: u32,
    /// The target.
    pub target: TargetId,
    /// Its name.
    pub target_name: String,
    /// What the object is.
    pub kind: AccountKind,
    /// What is wanted.
    pub step: Step,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The object was made.
    Created,
    /// An object that was there became the account.
    Adopted,
    /// Something was changed.
    #[default]
    Changed,
    /// All was as wanted already.
    AlreadySo,
    /// The object was deleted.
    Deleted,
}

/// An attribute that the target refused, while others were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAttribute {
    /// Its name.
    pub name: String,
    /// Why.
    pub message: String,
}

/// A member that the target refused, while others were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedMember {
    /// By external id or DN.
    pub member: String,
    /// Why.
    pub message: String,
}

/// The target is as wanted.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// What was done.
    pub effect: Effect,
    /// The object as it is now, as an import would bring it.
    pub entry: Option<Bytes>,
    /// Values of the target that were neither known nor wanted, and were replaced.
    pub overwritten: Attributes,
    /// Those that stay instead.
    pub kept: Attributes,
    /// Attributes that the target refused.
    pub refused: Vec<RefusedAttribute>,
    /// Members that the target does not have, by external id or DN.
    pub unknown_members: Vec<String>,
    /// Members that the target refused to add or to remove.
    pub refused_members: Vec<RefusedMember>,
}

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// It is as wanted.
    Done(Done, Duration),
    /// It failed.
    Failed(Failure, Duration),
    /// Nobody knows: the connection was lost. It is sent again.
    Unknown,
    /// Nobody can take it now. It waits.
    Unreachable,
}

/// What carries operations out in one kind of target.
#[async_trait]
pub trait Connector: Debug + Send + Sync {
    /// Carries one operation out. Those of one object come one after the other.
    async fn carry_out(&self, request: &Request) -> Answer;

    /// The result of an operation is durable: it need not be repeated.
    fn durable(&self, id: OperationId, generation: u32);
}
