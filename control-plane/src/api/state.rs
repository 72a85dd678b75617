//! What every handler can reach, and the one thing that the API asks of the agents' side door.

use std::sync::Arc;

use jiff::Timestamp;
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::Supervisor;
use postern_store::{AgentId, Store};

use super::health::Metrics;
use super::jobs::Changes;
use super::shares::Shares;
use crate::refusals::Refusals;

/// The state of the API. Clones share everything.
#[derive(Clone)]
pub struct Api {
    /// The records.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// The agents' side.
    pub gate: Arc<dyn Gate>,
    /// Tells event streams which jobs have changed.
    pub changes: Changes,
    /// Which addresses were refused of late.
    pub(crate) refusals: Arc<Refusals>,
    /// How many requests of each token are answered at a time.
    pub(crate) shares: Arc<Shares>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Ends open event streams when the process stops, and finishes requests whose caller has hung up.
    pub supervisor: Supervisor,
}

/// The agents' side door, as far as administrators have to do with it.
pub trait Gate: Send + Sync {
    /// What a new agent must know to find the door and trust it.
    fn door(&self) -> Door;
    /// Cuts the live session of an agent that was just revoked, if this replica holds it. Other replicas learn of the
    /// revocation from the store.
    fn cut(&self, agent: AgentId);
}

/// Where agents knock, and whose certificate they must find there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// `host:port`.
    pub address: String,
    /// SHA-256 over the DER of the certificate authority.
    pub ca_sha256: [u8; 32],
}

impl Api {
    /// The time of this request, to the millisecond, as the store keeps it: what is answered first is answered later.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
