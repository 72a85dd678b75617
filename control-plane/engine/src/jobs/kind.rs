//! What a kind of job has to say about itself. A kind is one file in `kinds`, and one line in its list.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use postern_proto::v1;
use postern_store::{Job, JobId};
use serde_json::Value;

use super::failure::{Failure, Next};
use super::running::Running;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Why an input cannot be used: the field, and what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field {field:?} is wrong: {detail}")]
pub struct InputError {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl InputError {
    /// That a field is wrong.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }
}

/// An attempt at a job whose agent has answered.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// Where the job runs.
    pub running: &'a Arc<Running>,
    /// The job as it was claimed.
    pub job: Job,
    /// Everything was delivered and proven before; the rest is done without the agent.
    pub proven: bool,
    /// Somebody wants it to end.
    pub canceled: bool,
}

/// A kind of job.
#[async_trait]
pub trait Kind: Debug + Send + Sync {
    /// Its name in the API and the database.
    fn name(&self) -> &'static str;

    /// How long a job may wait and run unless the request says otherwise.
    fn deadline(&self) -> Duration;

    /// Of a directory, one such job is under way at a time.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// Checks what was asked for, and gives it as it is stored.
    fn input(&self, asked: &Value) -> std::result::Result<Value, InputError>;

    /// The command for the agent.
    fn command(&self, job: &Job) -> std::result::Result<v1::command::Kind, InputError>;

    /// What the agent's answer makes of the job. `None`: it goes on here.
    async fn answered(
        &self,
        attempt: Attempt<'_>,
        answer: v1::outcome::Result,
        elapsed: Duration,
    ) -> Result<Option<Next>>;

    /// Finishes a job whose results were delivered and proven, or holds it. May be interrupted anywhere, and is repeated
    /// then.
    async fn finish(&self, running: &Arc<Running>, job: JobId, attempt: u32) -> Result<()> {
        running.fail(job, attempt, Failure::unexpected().to_json()).await
    }
}

/// All kinds that there are.
pub type Kinds = &'static [&'static dyn Kind];

/// The kind of this name.
pub fn find(kinds: Kinds, name: &str) -> Option<&'static dyn Kind> {
    kinds.iter().copied().find(|kind| kind.name() == name)
}
