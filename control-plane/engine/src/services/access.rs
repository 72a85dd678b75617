//! The services, and how an actor opens one.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use postern_runtime::clock::SharedClock;
use postern_store::{AuditNote, Store};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::actor::Actor;
use super::change::Change;
use super::changes::Changes;
use super::error::Result;
use super::gate::Gate;
use super::rights::Right;
use crate::records::OrganizationId;

/// The services of a control plane. Each file beside this one adds methods that open some of them.
pub struct Services {
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) gate: Arc<dyn Gate>,
    changes: Changes,
    /// Those who may count what a change would do: it takes seconds of computing.
    counting: Semaphore,
}

/// How many count at a time. Others wait.
const COUNTING: usize = 2;

impl fmt::Debug for Services {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Services").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Services {
    /// Services over a store.
    pub fn new(store: Store, clock: SharedClock, gate: Arc<dyn Gate>) -> Self {
        Self { store, clock, gate, changes: Changes::default(), counting: Semaphore::new(COUNTING) }
    }

    /// The time, to the millisecond, as the store keeps it: an answer shows the same time now and when read later.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Notifies of changed jobs, while [`Services::listen`] runs.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Listens for changes in the store, for ever; run it beside the surfaces.
    pub async fn listen(&self) {
        self.changes.listen(&self.store, &self.clock).await;
    }

    /// Admits an actor who has the right.
    pub(super) fn open<'s>(&'s self, actor: &'s Actor, right: Right) -> Result<Access<'s>> {
        actor.may(right)?;
        Ok(Access { services: self, actor })
    }
}

/// An admitted actor. The calls of a service need one, so none can forget to check the right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access<'s> {
    services: &'s Services,
    actor: &'s Actor,
}

impl<'s> Access<'s> {
    /// The store.
    pub(super) fn store(self) -> &'s Store {
        &self.services.store
    }

    /// The records, whose next transaction writes this change into the audit log if it changes something.
    pub(super) fn recording(self, change: Change) -> Store {
        self.services.store.noting(self.note(change))
    }

    /// The change, made by the actor now.
    pub(super) fn note(self, change: Change) -> AuditNote {
        change.by(self.actor, self.now())
    }

    /// Waits until few enough count what a change would do. Hold it while you count.
    pub(super) async fn turn(self) -> Option<SemaphorePermit<'s>> {
        self.services.counting.acquire().await.ok()
    }

    /// The gateway.
    pub(super) fn gate(self) -> &'s dyn Gate {
        self.services.gate.as_ref()
    }

    /// The actor.
    pub(super) fn actor(self) -> &'s Actor {
        self.actor
    }

    /// The actor's organization.
    pub(super) fn organization(self) -> OrganizationId {
        self.actor.organization
    }

    /// The time.
    pub(super) fn now(self) -> Timestamp {
        self.services.now()
    }
}
