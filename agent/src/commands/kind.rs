//! What a kind of command has to say about itself. A kind is one file in this folder, and one line in its list.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use postern_proto::v1;
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::Supervisor;
use tokio_util::sync::CancellationToken;

use super::turns::Turns;
use crate::command::{End, Key, Progress};
use crate::deliver::DeliveryOptions;
use crate::failure::{Class, Code, Failure};
use crate::link::Line;
use crate::passwords::Passwords;
use crate::policy::Policy;
use crate::roster::Roster;
use crate::served::ServedDirectory;

/// A kind of command.
pub trait Kind: Debug + Send + Sync {
    /// Its name in policies, logs and metrics.
    fn name(&self) -> &'static str;

    /// Reads a command of this kind. `None`: it is of another kind.
    fn read(&self, asked: &v1::command::Kind) -> Option<Result<Arc<dyn Run>, Failure>>;

    /// Whether its failures are about one entry, and say nothing of the directory as a whole.
    fn is_of_one_entry(&self) -> bool {
        false
    }

    /// Asks the site's policy.
    fn permit(&self, policy: &Policy) -> Result<(), Failure> {
        policy.permit(self.name())
    }
}

/// A command that was read and can be run.
pub trait Run: Debug + Send + Sync {
    /// Runs it to its end. Dropped, it stops.
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, End>;
}

/// All kinds that there are.
pub type Kinds = &'static [&'static dyn Kind];

/// What the control plane asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The kind.
    pub kind: &'static dyn Kind,
    /// What is run.
    pub run: Arc<dyn Run>,
}

impl Asked {
    /// Reads what is asked for. `None`: this agent does not know the kind.
    pub fn read(kinds: Kinds, asked: Option<&v1::command::Kind>) -> Result<Option<Self>, Failure> {
        let Some(asked) = asked else { return Ok(None) };
        let read = kinds.iter().copied().find_map(|kind| Some((kind, kind.read(asked)?)));
        read.map(|(kind, run)| Ok(Self { kind, run: run? })).transpose()
    }
}

/// A command as the control plane asked for it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which one.
    pub key: Key,
    /// The directory to act on.
    pub directory: String,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// What to do. `None`: this agent does not know the kind.
    pub asked: Option<Asked>,
}

impl Request {
    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        self.asked.as_ref().map_or("unknown", |asked| asked.kind.name())
    }

    /// Whether a failure says something of the directory, and not only of one entry.
    pub fn is_about_the_directory(&self, failure: &Failure) -> bool {
        let of_one_entry = self.asked.as_ref().is_some_and(|asked| asked.kind.is_of_one_entry());
        !(of_one_entry && failure.code == Code::Failed(Class::Directory))
    }

    /// What is run, if the agent knows the kind and the site's policy allows it.
    pub fn permitted(&self, policy: &Policy) -> Result<&dyn Run, Failure> {
        let Some(asked) = &self.asked else {
            let unknown = Failure::new(Code::Unsupported, "this agent does not know this kind of command");
            return Err(unknown.cured_by("update the agent"));
        };
        asked.kind.permit(policy).map(|()| &*asked.run)
    }
}

/// What commands work with.
pub struct Context {
    /// The kinds that the agent knows.
    pub kinds: Kinds,
    /// The directories.
    pub roster: Arc<Roster>,
    /// The site's policy.
    pub policy: ArcSwap<Policy>,
    /// The key that passwords are sealed to. None: this agent opens none.
    pub passwords: Option<Arc<Passwords>>,
    /// The way to deliver.
    pub line: Line,
    /// How to deliver.
    pub delivery: DeliveryOptions,
    /// Time.
    pub clock: SharedClock,
    /// Who runs them.
    pub supervisor: Supervisor,
}

/// One command at work.
pub struct Work {
    /// Which one.
    pub key: Key,
    /// The directory that it acts on.
    pub directory: Arc<dyn ServedDirectory>,
    /// The site's policy when it began.
    pub policy: Arc<Policy>,
    /// Canceled when it has to stop.
    pub cancel: CancellationToken,
    /// What all commands work with.
    pub context: Arc<Context>,
    /// For kinds of which the site limits how many run at a time.
    pub turns: Turns,
    /// Takes how far it has come.
    pub report: Box<dyn Fn(Progress) + Send + Sync>,
}

impl Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("key", &self.key).finish_non_exhaustive()
    }
}
