//! What the gateway works with.

use std::sync::Arc;
use std::time::Duration;

use postern_engine::jobs::dispatch::Dispatcher;
use postern_engine::jobs::reach::Reach;
use postern_engine::provisioning::directory::DirectoryConnector;
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::{Supervisor, chain};
use postern_store::Store;
use tonic::Status;

use super::registry::Registry;
use crate::pki::Pki;
use crate::refusals::Refusals;

/// The gateway. Clones share its parts.
#[derive(Clone, Debug)]
pub struct Gateway(pub(super) Arc<Parts>);

/// The parts of a gateway.
#[derive(Debug)]
pub struct Parts {
    /// Keeps agents and jobs.
    pub store: Store,
    /// Signs agents' certificates.
    pub pki: Arc<Pki>,
    /// The time.
    pub clock: SharedClock,
    /// The connected agents.
    pub registry: Arc<Registry>,
    /// Which directories can be reached.
    pub reach: Arc<Reach>,
    /// Sends commands and receives outcomes.
    pub dispatcher: Arc<Dispatcher>,
    /// The operations that agents have.
    pub operations: Arc<DirectoryConnector>,
    /// Which addresses were refused recently.
    pub(crate) refusals: Refusals,
    /// Runs deliveries and signals shutdown.
    pub supervisor: Supervisor,
    /// Lifetime of an agent's certificate.
    pub certificate_lifetime: Duration,
    /// How often an idle agent sends a heartbeat.
    pub heartbeat_interval: Duration,
}

impl Gateway {
    /// A gateway of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.clock
    }
}

/// The database does not answer: agents try again later and lose nothing.
pub(super) fn unavailable(error: &postern_store::Error) -> Status {
    tracing::error!(error = chain(error), "gateway.store_failed");
    Status::unavailable(match error {
        postern_store::Error::StorageFull(_) => {
            "the volume of the control plane's database is full or cannot be written"
        }
        _ => "the control plane cannot reach its database",
    })
}
