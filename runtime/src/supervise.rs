//! Every task of the process hangs here: it has a name, a policy for the end of the process, and a policy for its
//! own failure. A panic is the failure of the task in which it happened, never more.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::clock::{SharedClock, SystemClock};
use crate::lifecycle::Shutdown;
use crate::pulse::Pulse;
use crate::retry::Backoff;

/// An error of any kind, as tasks end with it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

const RESTART_INITIAL: Duration = Duration::from_millis(500);
const RESTART_MAX: Duration = Duration::from_mins(1);

/// What becomes of a task when the process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCancel {
    /// It watches for stopping itself and ends in good order; it is dropped only at the cut.
    Finish,
    /// It is dropped as soon as stopping begins.
    Abort,
}

/// What a task may end with: nothing, or a result whose error is logged.
pub trait Ended {
    /// The failure, if it is one.
    fn failure(self) -> Option<BoxError>;
}

impl Ended for () {
    fn failure(self) -> Option<BoxError> {
        None
    }
}

impl<E: Into<BoxError>> Ended for Result<(), E> {
    fn failure(self) -> Option<BoxError> {
        self.err().map(Into::into)
    }
}

/// A panic, caught and turned into an error.
#[derive(Debug, thiserror::Error)]
#[error("panicked at {location}: {message}")]
pub struct Panicked {
    /// What it said.
    pub message: String,
    /// Source file and line; "unknown" where logging is not set up.
    pub location: String,
}

/// The task that brought the process down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the essential task {task} failed")]
pub struct CriticalFailure {
    /// Its name.
    pub task: &'static str,
}

/// Spawns tasks and waits for them. Clones are the same supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor {
    shutdown: Shutdown,
    clock: SharedClock,
    tasks: TaskTracker,
    failure: Arc<OnceLock<CriticalFailure>>,
    pulses: Arc<Mutex<Vec<Pulse>>>,
}

/// A spawned task. Dropping this does nothing to it.
#[derive(Clone, Debug)]
pub struct Task(AbortHandle);

impl Task {
    /// Drops the task where it stands.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Supervisor {
    /// A supervisor whose tasks end with `shutdown`.
    pub fn new(shutdown: Shutdown) -> Self {
        Self::with_clock(shutdown, SystemClock::shared())
    }

    /// The same, with restarts timed by `clock`.
    pub fn with_clock(shutdown: Shutdown, clock: SharedClock) -> Self {
        Self { shutdown, clock, tasks: TaskTracker::new(), failure: Arc::default(), pulses: Arc::default() }
    }

    /// The shutdown that ends these tasks.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// How many tasks live.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether no task lives.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Runs `future` once. An error or panic is logged, and concerns nobody else.
    pub fn spawn<F>(&self, name: &'static str, on_cancel: OnCancel, future: F) -> Task
    where
        F: Future<Output: Ended> + Send + 'static,
    {
        // Boxed, or each of the futures around it would hold the room for it twice.
        let future = Box::pin(future);
        self.track(name, on_cancel, async move {
            if let Some(error) = run(future).await {
                log_failure(name, &*error);
            }
        })
    }

    /// Runs what `make` makes, and again after an error or panic, with growing delays. It ends when the future ends
    /// well, or with the process.
    pub fn spawn_restarting<M, F>(&self, name: &'static str, on_cancel: OnCancel, mut make: M) -> Task
    where
        M: FnMut() -> F + Send + 'static,
        F: Future<Output: Ended> + Send + 'static,
    {
        let clock = Arc::clone(&self.clock);
        let stopping = self.shutdown.stopping().clone();
        self.track(name, on_cancel, async move {
            let mut backoff = Backoff::new(RESTART_INITIAL, RESTART_MAX);
            loop {
                let started = clock.now();
                let Some(error) = run(make()).await else { return };
                log_failure(name, &*error);
                // A task that ran for longer than the longest delay starts again with the shortest.
                if clock.now().duration_since(started).unsigned_abs() > RESTART_MAX {
                    backoff.reset();
                }
                tokio::select! {
                    () = clock.sleep(backoff.next_delay()) => {}
                    () = stopping.cancelled() => return,
                }
            }
        })
    }

    /// Runs `future` once. The process cannot do without it: its error or panic stops the process, and
    /// [`join`](Self::join) says so.
    pub fn spawn_critical<F>(&self, name: &'static str, on_cancel: OnCancel, future: F) -> Task
    where
        F: Future<Output: Ended> + Send + 'static,
    {
        let failure = Arc::clone(&self.failure);
        let shutdown = self.shutdown.clone();
        self.track(name, on_cancel, async move {
            if let Some(error) = run(future).await {
                log_failure(name, &*error);
                let _ = failure.set(CriticalFailure { task: name });
                shutdown.stop();
            }
        })
    }

    /// The pulse of a loop that the process cannot do without: from now on [`all_alive`](Self::all_alive) waits for it,
    /// too.
    pub fn pulse(&self) -> Pulse {
        let pulse = Pulse::default();
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).push(pulse.clone());
        pulse
    }

    /// Waits until every loop that has a pulse has gone round once more. One that is stuck keeps this waiting.
    pub async fn all_alive(&self) {
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for pulse in pulses {
            pulse.felt().await;
        }
    }

    /// Waits until every task has ended. It does not itself stop anything.
    pub async fn join(&self) -> Result<(), CriticalFailure> {
        self.tasks.close();
        self.tasks.wait().await;
        match self.failure.get() {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    fn track<F>(&self, name: &'static str, on_cancel: OnCancel, future: F) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let end = match on_cancel {
            OnCancel::Finish => self.shutdown.cutting().clone(),
            OnCancel::Abort => self.shutdown.stopping().clone(),
        };
        let bounded = async move {
            if end.run_until_cancelled(future).await.is_none() && on_cancel == OnCancel::Finish {
                tracing::warn!(task = name, "task.cut");
            }
        };
        Task(self.tasks.spawn(bounded).abort_handle())
    }
}

async fn run<F: Future<Output: Ended>>(future: F) -> Option<BoxError> {
    match contain(future).await {
        Ok(ended) => ended.failure(),
        Err(panicked) => Some(panicked.into()),
    }
}

fn log_failure(task: &'static str, error: &(dyn StdError + 'static)) {
    tracing::error!(task, error = chain(error), "task.failed");
}

/// An error with all its sources, for one line of a log or a terminal.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

thread_local! {
    static CONTAINING: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `future`; a panic in it becomes an error instead of the end of the task that awaits it.
pub async fn contain<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        let outer = CONTAINING.replace(true);
        // A future that panicked is never polled again, so nobody sees what it left half done.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        CONTAINING.set(outer);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(Panicked {
                message: panic_message(&*payload),
                location: LOCATION.take().unwrap_or_else(|| "unknown".to_owned()),
            })),
        }
    })
    .await
}

/// Called by the panic hook: keeps the location for [`contain`] if the panic happens inside one.
pub(crate) fn note_contained_panic(location: &str) -> bool {
    if !CONTAINING.get() {
        return false;
    }
    LOCATION.set(Some(location.to_owned()));
    true
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "something that is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};

    use jiff::Timestamp;

    use super::*;
    use crate::clock::ManualClock;

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_is_the_failure_of_its_task_only() {
        let supervisor = Supervisor::new(Shutdown::new());
        supervisor.spawn("panics", OnCancel::Finish, async { panic!("on purpose") as Result<(), Infallible> });
        supervisor.spawn("fails", OnCancel::Finish, async { Err(io::Error::other("on purpose")) });
        supervisor.spawn("works", OnCancel::Finish, async {});
        assert_eq!(supervisor.join().await, Ok(()));
        assert!(!supervisor.shutdown().stopping().is_cancelled());
    }

    #[tokio::test]
    async fn a_critical_failure_stops_the_process_and_is_named() {
        let supervisor = Supervisor::new(Shutdown::new());
        supervisor.spawn_critical("listener", OnCancel::Finish, async { Err(io::Error::other("address in use")) });
        supervisor.spawn("idle", OnCancel::Abort, std::future::pending::<()>());
        assert_eq!(supervisor.join().await, Err(CriticalFailure { task: "listener" }));
        assert!(supervisor.shutdown().stopping().is_cancelled());
    }

    #[tokio::test]
    async fn finishing_tasks_outlive_stopping_and_are_cut() {
        let supervisor = Supervisor::new(Shutdown::new());
        let finishing = supervisor.spawn("finishing", OnCancel::Finish, std::future::pending::<()>());
        let aborted = supervisor.spawn("aborted", OnCancel::Abort, std::future::pending::<()>());
        supervisor.shutdown().stop();
        until(|| aborted.is_finished()).await;
        assert!(!finishing.is_finished());
        supervisor.shutdown().cut();
        assert_eq!(supervisor.join().await, Ok(()));
    }

    #[tokio::test]
    async fn a_restarting_task_is_tried_again_until_it_ends_well() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let supervisor = Supervisor::with_clock(Shutdown::new(), clock.shared());
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        supervisor.spawn_restarting("flaky", OnCancel::Finish, move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move { if run < 2 { Err(io::Error::other("not yet")) } else { Ok(()) } }
        });
        for expected in 1..=2 {
            until(|| runs.load(Ordering::SeqCst) == expected && clock.sleepers() == 1).await;
            clock.advance(RESTART_MAX);
        }
        assert_eq!(supervisor.join().await, Ok(()));
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_chain_shows_every_source_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot start")]
        struct Outer(#[source] io::Error);
        assert_eq!(chain(&Outer(io::Error::other("no room"))), "cannot start: no room");
    }
}
