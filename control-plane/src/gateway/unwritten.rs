//! Sessions that opened or closed and are not yet in the database.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use postern_store::{AgentId, ClosedSession, NewSession};
use tokio::sync::Notify;

/// Sessions that opened or closed since the last write.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    changes: Mutex<Changes>,
    pub(super) changed: Notify,
}

/// Changes of sessions.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) opened: HashMap<AgentId, NewSession>,
    pub(super) closed: Vec<ClosedSession>,
}

impl Unwritten {
    /// A session was opened.
    pub(super) fn opened(&self, session: NewSession) {
        self.lock().opened.insert(session.agent, session);
        self.changed.notify_one();
    }

    /// A session was closed.
    pub(super) fn closed(&self, session: ClosedSession) {
        let mut changes = self.lock();
        if changes.opened.get(&session.agent).is_some_and(|opened| opened.id == session.id) {
            changes.opened.remove(&session.agent);
        }
        changes.closed.push(session);
        drop(changes);
        self.changed.notify_one();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
