//! What the policy keeps in the state folder: the limits that are used up, and the agent's own log of changes. Both stay
//! the same over a reload.

use std::path::Path;

use jiff::Timestamp;
use postern_runtime::clock::SharedClock;

use super::audit::AuditLog;
use super::limits::Limits;

/// Limits and log of one agent.
#[derive(Debug)]
pub struct Records {
    /// What is used up.
    pub(super) limits: Limits,
    /// What was done and refused.
    pub(super) audit: AuditLog,
    clock: SharedClock,
}

impl Records {
    /// Those in this folder.
    pub fn new(state_dir: &Path, clock: SharedClock) -> Self {
        Self { limits: Limits::new(state_dir, clock.clone()), audit: AuditLog::new(state_dir), clock }
    }

    /// To be called where there are limits: the time for which a missing file blocks begins now.
    pub fn prepare_limits(&self) {
        self.limits.prepare();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
