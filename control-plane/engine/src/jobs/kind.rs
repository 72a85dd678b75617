//! What a kind of job defines. Each kind is one file in `kinds` and one line in its list.

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

/// An invalid input: the field, and what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field {field:?} is wrong: {detail}")]
pub struct InputError {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl InputError {
    /// Reports a field as invalid.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }
}

/// An argument on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// The field of the input.
    pub field: &'static str,
    /// Its name on the command line.
    pub name: &'static str,
    /// The placeholder for its value.
    pub value_name: &'static str,
    /// Whether it is an option, which may be given several times. Otherwise it is positional and required.
    pub is_option: bool,
    /// Its help text, without a full stop.
    pub help: &'static str,
}

/// A flag that turns the command of another kind into this one.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// The word of the other kind.
    pub word: &'static str,
    /// The flag, without hyphens.
    pub name: &'static str,
    /// Its help text, without a full stop.
    pub help: &'static str,
}

/// Types for the API's description.
pub struct Schemas {
    /// Name of the type of the input.
    pub input: String,
    /// Name of the type of the result.
    pub result: String,
    /// Both, and the types that they contain.
    pub all: Vec<(String, RefOr<Schema>)>,
}

impl Schemas {
    /// The schemas of these types.
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
    /// The job as claimed.
    pub job: Job,
    /// Whether everything was delivered and proven; the rest is done without the agent.
    pub proven: bool,
    /// Whether it was asked to end.
    pub canceled: bool,
}

/// What a kind of job is called.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Its name in the API and the database.
    pub name: &'static str,
    /// Its name on the command line.
    pub word: &'static str,
    /// What such a job does, as an imperative without a full stop.
    pub about: &'static str,
    /// What such a job is called in a sentence.
    pub noun: &'static str,
}

/// A kind of job.
#[async_trait]
pub trait Kind: Debug + Send + Sync {
    /// What it is called.
    fn words(&self) -> Words;

    /// Its name in the API and the database.
    fn name(&self) -> &'static str {
        self.words().name
    }

    /// Its name on the command line.
    fn word(&self) -> &'static str {
        self.words().word
    }

    /// The number of results, as the end of a sentence. `None`: nothing to count.
    fn found(&self, _result: &Value) -> Option<String> {
        None
    }

    /// How long a job may wait and run by default.
    fn deadline(&self) -> Duration;

    /// Whether a directory runs only one such job at a time.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// Whether such a job works on a copy of the organization's data, which is thrown away.
    fn uses_copy(&self) -> bool {
        false
    }

    /// Whether a schedule may start it.
    fn is_scheduled(&self) -> bool {
        true
    }

    /// If another kind's command with a flag starts it: the word of that kind, and the flag.
    fn flag(&self) -> Option<Flag> {
        None
    }

    /// The arguments on the command line.
    fn arguments(&self) -> &'static [Argument] {
        &[]
    }

    /// Counts the entries that a job read, from its result. `None`: such jobs do not count entries.
    fn counts(&self) -> Option<fn(&Value) -> Option<u64>> {
        None
    }

    /// Reports the result of a job for people.
    fn report(&self, ended: Ended<'_>, report: &mut Report);

    /// The input and the result, for the API's description.
    fn schemas(&self) -> Schemas;

    /// Checks an input, and returns the form to store.
    fn input(&self, asked: &Value) -> std::result::Result<Value, InputError>;

    /// The command for the agent.
    fn command(&self, job: &Job) -> std::result::Result<v1::command::Kind, InputError>;

    /// What the agent's answer means for the job. `None`: the job continues here.
    async fn answered(
        &self,
        attempt: Attempt<'_>,
        answer: v1::outcome::Result,
        elapsed: Duration,
    ) -> Result<Option<Next>>;

    /// Finishes a job whose results were delivered and proven, or holds it. May be interrupted anywhere, and is then
    /// repeated.
    async fn finish(&self, running: &Arc<Running>, job: JobId, attempt: u32) -> Result<()> {
        running.fail(job, attempt, Failure::unexpected().to_json()).await
    }
}

/// All kinds of job.
pub type Kinds = &'static [&'static dyn Kind];

/// The kind with this name.
pub fn find(kinds: Kinds, name: &str) -> Option<&'static dyn Kind> {
    kinds.iter().copied().find(|kind| kind.name() == name)
}
