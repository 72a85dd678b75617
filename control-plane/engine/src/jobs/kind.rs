//! What a kind of job has to say about itself. A kind is one file in `kinds`, and one line in its list.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use postern_proto::v1;
use postern_store::{Job, JobId};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::failure::{Failure, Next};
use super::report::{Ended, Report};
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

/// Something that may be asked for on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// The field of the input.
    pub field: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What its value is called.
    pub value_name: &'static str,
    /// It is an option, which may be given several times. Otherwise it stands for itself, and must be given.
    pub is_option: bool,
    /// What it is, in a sentence without its full stop.
    pub help: &'static str,
}

/// Types that the API describes.
pub struct Schemas {
    /// Name of the type of the input.
    pub input: String,
    /// Name of the type of the result.
    pub result: String,
    /// Both, and those that they consist of.
    pub all: Vec<(String, RefOr<Schema>)>,
}

impl Schemas {
    /// Of these types.
    pub fn of<I: ToSchema, R: ToSchema>() -> Self {
        let (input, result) = (I::name().into_owned(), R::name().into_owned());
        let mut all = vec![(input.clone(), I::schema()), (result.clone(), R::schema())];
        I::schemas(&mut all);
        R::schemas(&mut all);
        Self { input, result, all }
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

    /// Its name on the command line.
    fn word(&self) -> &'static str;

    /// What such a job does, as a command without its full stop.
    fn about(&self) -> &'static str;

    /// What such a job is called in a sentence.
    fn noun(&self) -> &'static str;

    /// What it found, as the end of a sentence. `None`: nothing to count.
    fn found(&self, _result: &Value) -> Option<String> {
        None
    }

    /// How long a job may wait and run unless the request says otherwise.
    fn deadline(&self) -> Duration;

    /// Of a directory, one such job is under way at a time.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// What may be asked for on the command line.
    fn arguments(&self) -> &'static [Argument] {
        &[]
    }

    /// Counts the entries that a job with a result has read. `None`: such jobs are not measured by entries.
    fn counts(&self) -> Option<fn(&Value) -> Option<u64>> {
        None
    }

    /// Tells people what came of a job.
    fn report(&self, ended: Ended<'_>, report: &mut Report);

    /// What is asked for, and what comes of it, for the description of the API.
    fn schemas(&self) -> Schemas;

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
