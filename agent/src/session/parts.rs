//! What a session works with, and its limits.

use std::sync::Arc;
use std::time::Duration;

use postern_runtime::clock::SharedClock;
use postern_runtime::pulse::Pulse;
use postern_runtime::supervise::Supervisor;
use uuid::Uuid;

use crate::commands::Commands;
use crate::identity::IdentitySource;
use crate::link::{Dial, Line};
use crate::roster::Roster;
use crate::status::Observed;

/// Limits of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// The first wait after a failure is at most this.
    pub reconnect_initial: Duration,
    /// No wait is longer, unless the control plane asks for it.
    pub reconnect_max: Duration,
    /// How long dialing and introducing may take together.
    pub connect_timeout: Duration,
    /// A session that held for this long had settled: the next failure is a new one.
    pub settled_after: Duration,
    /// How long commands may go on after the process was asked to stop.
    pub drain_timeout: Duration,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            reconnect_initial: Duration::from_secs(1),
            reconnect_max: Duration::from_mins(1),
            connect_timeout: Duration::from_secs(45),
            settled_after: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Everything that a session works with.
pub(crate) struct Session {
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) identity: Option<IdentitySource>,
    pub(crate) commands: Commands,
    pub(crate) roster: Arc<Roster>,
    pub(crate) line: Line,
    pub(crate) clock: SharedClock,
    pub(crate) supervisor: Supervisor,
    /// Answered wherever the session waits.
    pub(crate) pulse: Pulse,
    pub(crate) observed: Arc<Observed>,
    pub(crate) options: SessionOptions,
    /// Distinguishes this process from another one with the same identity.
    pub(crate) instance: Uuid,
}
