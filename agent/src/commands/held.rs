//! The commands that this agent holds: running, or ended and not yet acknowledged. They outlive the session that
//! brought them: a cut line neither stops a command nor loses its outcome.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::Timestamp;
use postern_proto::v1;
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::{OnCancel, contain};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::kind::{Context, Kinds, Request, Work};
use super::turns::Turns;
use crate::command::{CommandId, End, Event, HeldCommand, Key, Outcome, Progress};
use crate::failure::{Class, Code, Failure};
use crate::policy::Policy;

/// More commands at once than this are refused: nobody needs them, and memory stays bounded whatever is asked.
const MAX_RUNNING: usize = 64;
/// More unacknowledged outcomes than this are not kept.
const MAX_HELD: usize = postern_proto::limits::MAX_HELD_COMMANDS;
/// Minimum time between two progress messages.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// All commands held. Clones share them.
#[derive(Clone)]
pub struct Commands {
    inner: Arc<Inner>,
}

struct Inner {
    context: Arc<Context>,
    held: Mutex<BTreeMap<CommandId, Held>>,
    turns: Turns,
    changed: Notify,
}

struct Held {
    generation: u32,
    kind: &'static str,
    stage: Stage,
}

enum Stage {
    Running { cancel: CancellationToken, progress: Option<Progress>, reported_at: Timestamp },
    Ended { outcome: Arc<Outcome>, sent_in: Option<u64> },
}

impl Commands {
    /// No commands yet.
    pub fn new(context: Context) -> Self {
        Self {
            inner: Arc::new(Inner {
                context: Arc::new(context),
                held: Mutex::default(),
                turns: Turns::default(),
                changed: Notify::new(),
            }),
        }
    }

    /// The kinds that the agent knows.
    pub fn kinds(&self) -> Kinds {
        self.inner.context.kinds
    }

    /// The site's policy, to be exchanged on a reload.
    pub fn policy(&self) -> &ArcSwap<Policy> {
        &self.inner.context.policy
    }

    /// The key that passwords for this agent's directories are sealed to. Empty: it opens none.
    pub fn password_key(&self) -> Bytes {
        self.inner.context.passwords.as_ref().map_or_else(Bytes::new, |passwords| passwords.public_key())
    }

    /// Starts a command. One that is held already in this generation is not started twice; its outcome, if it has
    /// one, is sent again. A newer generation replaces an older one. A command for which there is no room is refused
    /// at once.
    pub fn accept(&self, request: Request) -> Result<(), Failure> {
        let cancel = CancellationToken::new();
        let mut held = self.held();
        let full = held.len() >= MAX_HELD;
        let busy = held.values().filter(|it| matches!(it.stage, Stage::Running { .. })).count() >= MAX_RUNNING;
        match held.entry(request.key.id) {
            Entry::Vacant(_) if full => {
                tracing::error!(command = %request.key.id, "command.refused_too_many_held");
                return Err(self.busy(&request));
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Held::running(&request, cancel.clone()));
            }
            Entry::Occupied(mut occupied) => {
                if !occupied.get_mut().gives_way_to(request.key.generation) {
                    drop(held);
                    self.inner.changed.notify_one();
                    return Ok(());
                }
                occupied.insert(Held::running(&request, cancel.clone()));
            }
        }
        drop(held);
        if busy {
            self.conclude(&request, Duration::ZERO, End::Failed(self.busy(&request)));
        } else {
            self.start(request, cancel);
        }
        Ok(())
    }

    /// Why a command is not started now, and whether a retry could succeed.
    fn busy(&self, request: &Request) -> Failure {
        let too_many = || Failure::new(Class::Internal, "the agent is busy with too many commands").retryable();
        request.permitted(&self.policy().load()).err().unwrap_or_else(too_many)
    }

    /// Stops a running command; its outcome says so.
    pub fn cancel(&self, id: CommandId) {
        if let Some(Held { stage: Stage::Running { cancel, .. }, .. }) = self.held().get(&id) {
            cancel.cancel();
        }
    }

    /// The control plane has the outcome.
    pub fn acknowledge(&self, key: Key) {
        let mut held = self.held();
        let ended = |it: &Held| it.generation == key.generation && matches!(it.stage, Stage::Ended { .. });
        if held.get(&key.id).is_some_and(ended) {
            held.remove(&key.id);
            drop(held);
            self.inner.changed.notify_one();
        }
    }

    /// Everything held.
    pub fn keys(&self) -> Vec<Key> {
        self.held().iter().map(|(id, it)| Key { id: *id, generation: it.generation }).collect()
    }

    /// Everything held, for a status report.
    pub fn report(&self) -> Vec<HeldCommand> {
        let row = |(id, it): (&CommandId, &Held)| HeldCommand {
            id: *id,
            generation: it.generation,
            kind: it.kind.to_owned(),
            running: matches!(it.stage, Stage::Running { .. }),
        };
        self.held().iter().map(row).collect()
    }

    /// Whether nothing is held.
    pub fn is_idle(&self) -> bool {
        self.held().is_empty()
    }

    /// Drops every running command without an outcome: the control plane starts them elsewhere or later.
    pub fn hand_back(&self) {
        self.held().retain(|id, it| match &it.stage {
            Stage::Running { cancel, .. } => {
                tracing::info!(command = %id, "command.handed_back");
                cancel.cancel();
                false
            }
            Stage::Ended { .. } => true,
        });
    }

    /// Ends when there is something new to send, or a command was acknowledged. For one listener.
    pub async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    /// What was not sent in this session yet: each outcome once a session, and the latest progress.
    pub fn events(&self, session: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for (id, it) in self.held().iter_mut() {
            match &mut it.stage {
                Stage::Running { progress, .. } => {
                    let key = Key { id: *id, generation: it.generation };
                    events.extend(progress.take().map(|progress| Event::Progressed(key, progress)));
                }
                Stage::Ended { outcome, sent_in } => {
                    if sent_in.replace(session) != Some(session) {
                        events.push(Event::Ended(Arc::clone(outcome)));
                    }
                }
            }
        }
        events
    }

    fn start(&self, request: Request, cancel: CancellationToken) {
        let commands = self.clone();
        self.inner.context.supervisor.spawn("command", OnCancel::Finish, async move {
            let clock = &commands.inner.context.clock;
            let started = clock.now();
            tracing::info!(
                command = %request.key.id,
                generation = request.key.generation,
                kind = request.name(),
                directory = request.directory,
                "command.started"
            );
            let end = match contain(commands.execute(&request, cancel)).await {
                Ok(end) => end,
                Err(panicked) => {
                    tracing::error!(command = %request.key.id, error = %panicked, "command.panicked");
                    End::Failed(Failure::panicked())
                }
            };
            let elapsed = clock.now().duration_since(started).unsigned_abs();
            commands.conclude(&request, elapsed, end);
        });
    }

    async fn execute(&self, request: &Request, cancel: CancellationToken) -> End {
        let context = &self.inner.context;
        let policy = context.policy.load_full();
        let run = match request.permitted(&policy) {
            Ok(run) => run,
            Err(refused) => return End::Failed(refused),
        };
        let Some(directory) = context.roster.find(&request.directory) else {
            let message = format!("this agent does not serve a directory named {:?}", request.directory);
            return End::Failed(Failure::new(Code::Invalid, message).cured_by("check the agent's configuration"));
        };
        let (key, commands) = (request.key, self.clone());
        let work = Work {
            key,
            directory,
            policy: Arc::clone(&policy),
            cancel: cancel.clone(),
            context: Arc::clone(context),
            turns: self.inner.turns.clone(),
            report: Box::new(move |progress| commands.progressed(key, progress)),
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => End::Failed(Failure::canceled()),
            end = run.run(&work) => end,
            () = expiry(&context.clock, request.timeout) => {
                let message = format!("not done within {} s", request.timeout.unwrap_or_default().as_secs());
                End::Failed(Failure::new(Class::Timeout, message).retryable())
            }
        }
    }

    fn conclude(&self, request: &Request, elapsed: Duration, end: End) {
        let key = request.key;
        let mut held = self.held();
        // Replaced by a newer generation, or handed back: nobody waits for this outcome.
        let Some(it) = held.get_mut(&key.id).filter(|it| it.generation == key.generation) else { return };
        let kind = request.name();
        let result = match end {
            End::Answered(answer) => Ok(answer),
            End::Failed(failure) => Err(failure),
            End::Unwanted => {
                held.remove(&key.id);
                drop(held);
                tracing::info!(command = %key.id, "command.unwanted");
                return self.inner.changed.notify_one();
            }
        };
        if result.as_ref().err().is_none_or(|failure| request.is_about_the_directory(failure)) {
            self.inner.context.roster.noted(&request.directory, result.as_ref().err());
        }
        log_end(key, kind, elapsed, &result);
        let outcome = Arc::new(Outcome { key, elapsed, result });
        it.stage = Stage::Ended { outcome, sent_in: None };
        drop(held);
        self.inner.changed.notify_one();
    }

    fn progressed(&self, key: Key, latest: Progress) {
        let now = self.inner.context.clock.now();
        let mut held = self.held();
        let Some(it) = held.get_mut(&key.id).filter(|it| it.generation == key.generation) else { return };
        if let Stage::Running { progress, reported_at, .. } = &mut it.stage
            && now.duration_since(*reported_at).unsigned_abs() >= PROGRESS_INTERVAL
        {
            (*progress, *reported_at) = (Some(latest), now);
            drop(held);
            self.inner.changed.notify_one();
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<CommandId, Held>> {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn running(request: &Request, cancel: CancellationToken) -> Self {
        let stage = Stage::Running { cancel, progress: None, reported_at: Timestamp::UNIX_EPOCH };
        Self { generation: request.key.generation, kind: request.name(), stage }
    }

    /// Whether a command of this generation replaces the held one. The same one asked again is a sign that its
    /// outcome was lost: it is sent once more.
    fn gives_way_to(&mut self, generation: u32) -> bool {
        if generation == self.generation
            && let Stage::Ended { sent_in, .. } = &mut self.stage
        {
            *sent_in = None;
        }
        if generation > self.generation
            && let Stage::Running { cancel, .. } = &self.stage
        {
            cancel.cancel();
        }
        generation > self.generation
    }
}

async fn expiry(clock: &SharedClock, timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => clock.sleep(timeout).await,
        None => std::future::pending().await,
    }
}

fn log_end(key: Key, kind: &'static str, elapsed: Duration, result: &Result<v1::outcome::Result, Failure>) {
    let (command, elapsed_ms) = (key.id, elapsed.as_millis());
    let ending = match result {
        Ok(_) => {
            tracing::info!(%command, kind, elapsed_ms, "command.succeeded");
            "succeeded"
        }
        Err(failure) => {
            let cure = failure.cure.as_deref();
            let error = failure.for_the_log();
            tracing::warn!(%command, kind, elapsed_ms, code = ?failure.code, error, cure, "command.failed");
            "failed"
        }
    };
    metrics::counter!("postern_agent_commands_total", "kind" => kind, "ending" => ending).increment(1);
}

#[cfg(test)]
mod tests;
