//! What every handler can reach.

use std::sync::Arc;

use jiff::Timestamp;
use postern_engine::services::Services;
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::Supervisor;

use super::recorder::Metrics;
use super::share::Shares;
use crate::refusals::Refusals;

/// The state of the API. Clones share everything.
#[derive(Clone)]
pub struct Api {
    /// What may be asked for.
    pub services: Arc<Services>,
    /// The time.
    pub clock: SharedClock,
    /// Which addresses were refused of late.
    pub(crate) refusals: Arc<Refusals>,
    /// How many requests of each token are answered at a time.
    pub(crate) shares: Arc<Shares>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Ends open event streams when the process stops, and finishes requests whose caller has hung up.
    pub supervisor: Supervisor,
}

impl Api {
    /// The time of this request, as the services see it.
    pub(crate) fn now(&self) -> Timestamp {
        self.services.now()
    }
}
