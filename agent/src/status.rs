//! What the agent knows of itself, for `postern-agent status`, `/healthz` and the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::command::HeldCommand;
use crate::identity::AgentId;
use crate::identity::enroll::CLOCK_TOLERANCE;
use crate::served::Flavour;

/// A report of the running agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the software.
    pub version: String,
    /// Process id.
    pub process_id: u32,
    /// Who it is, where it has an identity of its own.
    pub identity: Option<IdentityReport>,
    /// How its session stands.
    pub session: SessionReport,
    /// What it serves.
    pub directories: Vec<DirectoryReport>,
    /// What it works on, or waits to have acknowledged.
    pub commands: Vec<HeldCommand>,
    /// Why the file was not taken up when it was last read again, and when. `None`: it was, or was not read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_refused: Option<Occurrence>,
}

/// Identity and certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityReport {
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Host and port of the control plane.
    pub control_plane: String,
    /// End of the certificate's life.
    pub certificate_not_after: Timestamp,
    /// When it will be renewed.
    pub renewal_due: Timestamp,
}

/// The session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Name of its state.
    pub state: String,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// When it will try again, while disconnected.
    pub retry_at: Option<Timestamp>,
    /// Id of the present or last session, as the control plane logs it.
    pub session_id: Option<String>,
    /// Why the last attempt or session failed, and when.
    pub last_error: Option<Occurrence>,
    /// How far the control plane's clock is ahead of this machine's, milliseconds.
    pub clock_ahead_ms: i64,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When.
    pub at: Timestamp,
    /// What.
    pub error: String,
}

/// A served directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryReport {
    /// Its name.
    pub name: String,
    /// Its flavour, once known.
    pub flavour: Option<Flavour>,
    /// Why it cannot be used now, and what to do; none: it can, or was not tried yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Why the control plane does not take it, and what to do; none: it does, or was not asked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Names of the directories that the control plane does not take, each with the reason.
pub type Refusals = BTreeMap<String, String>;

/// A state of the session, as a report shows it.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// Its name.
    pub name: &'static str,
    /// When it will try again, while disconnected.
    pub retry_in: Option<Duration>,
    /// Whether it takes commands.
    pub connected: bool,
}

/// What the control plane said at the beginning.
#[derive(Clone, Debug)]
pub(crate) struct Welcomed {
    pub(crate) session_id: String,
    pub(crate) clock: Timestamp,
    pub(crate) refused: Refusals,
}

/// What is noted while the agent runs.
#[derive(Debug)]
pub struct Observed {
    noted: Mutex<SessionReport>,
    refusals: Mutex<Refusals>,
    reload_refused: Mutex<Option<Occurrence>>,
    clock_ahead_ms: AtomicI64,
    clock_learned: Notify,
    unknown_frame_logged: AtomicBool,
}

impl Observed {
    /// Nothing yet, but the session's first state.
    pub fn new(state: &Shown, now: Timestamp) -> Self {
        let noted = SessionReport {
            state: state.name.to_owned(),
            since: now,
            retry_at: None,
            session_id: None,
            last_error: None,
            clock_ahead_ms: 0,
        };
        Self {
            noted: Mutex::new(noted),
            refusals: Mutex::default(),
            reload_refused: Mutex::default(),
            clock_ahead_ms: AtomicI64::new(0),
            clock_learned: Notify::new(),
            unknown_frame_logged: AtomicBool::new(false),
        }
    }

    /// How the session stands.
    pub fn session(&self) -> SessionReport {
        self.noted().clone()
    }

    /// How far the control plane's clock is ahead, as far as it is known.
    pub fn clock_ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.clock_ahead_ms.load(Ordering::Relaxed))
    }

    /// Ends when the control plane's clock was seen. For one listener.
    pub(crate) async fn clock_learned(&self) {
        self.clock_learned.notified().await;
    }

    pub(crate) fn entered(&self, state: &Shown, now: Timestamp) {
        let mut noted = self.noted();
        state.name.clone_into(&mut noted.state);
        noted.since = now;
        noted.retry_at = state.retry_in.and_then(|wait| now.checked_add(wait).ok());
        metrics::gauge!("postern_agent_connected").set(if state.connected { 1.0 } else { 0.0 });
    }

    pub(crate) fn welcomed(&self, welcome: &Welcomed, now: Timestamp) {
        let ahead = welcome.clock.duration_since(now);
        let ahead_ms = i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX);
        tracing::info!(session = welcome.session_id, clock_ahead_ms = ahead_ms, "session.established");
        if ahead.abs() > CLOCK_TOLERANCE {
            tracing::warn!(clock_ahead_ms = ahead_ms, "clock.differs: set this machine's clock (NTP)");
        }
        self.clock_ahead_ms.store(ahead_ms, Ordering::Relaxed);
        let mut noted = self.noted();
        noted.session_id = Some(welcome.session_id.clone());
        noted.clock_ahead_ms = ahead_ms;
        drop(noted);
        self.refused(&welcome.refused);
        self.clock_learned.notify_one();
    }

    pub(crate) fn failed(&self, error: String, now: Timestamp) {
        self.noted().last_error = Some(Occurrence { at: now, error });
    }

    /// What the control plane does not take now. Each is logged when it is new, not at every reconnect.
    pub(crate) fn refused(&self, refusals: &Refusals) {
        let known = std::mem::replace(&mut *self.refusals(), refusals.clone());
        for (directory, reason) in refusals {
            if known.get(directory) != Some(reason) {
                tracing::warn!(directory, reason, "directory.refused: the control plane refuses it");
            }
        }
        for directory in known.keys().filter(|directory| !refusals.contains_key(*directory)) {
            tracing::info!(directory, "directory.no_longer_refused");
        }
    }

    /// How the last reading of the changed file went: `None` if it was taken up.
    pub(crate) fn reloaded(&self, refused: Option<Occurrence>) {
        *self.reload_refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    }

    /// Why the changed file was not taken up.
    pub(crate) fn reload_refused(&self) -> Option<Occurrence> {
        self.reload_refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The directories that the control plane does not take, with the reason.
    pub fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that only a newer release knows: said once, counted always.
    pub(crate) fn unknown_frame(&self) {
        if !self.unknown_frame_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!("session.unknown_frame: the control plane is newer than this agent; update the agent");
        }
    }

    fn noted(&self) -> MutexGuard<'_, SessionReport> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
