//! The entries of a session in the tables of the gateway.

use std::sync::Arc;

use postern_engine::jobs::reach::Route;
use postern_runtime::supervise::chain;
use postern_store::DirectoryId;
use tonic::{Code, Status};

use super::super::parts::Gateway;

/// The entries of a session in the tables of the gateway; dropping it removes them, however the session ended.
pub(super) struct Seat {
    pub(super) gateway: Gateway,
    pub(super) route: Arc<Route>,
    pub(super) directories: Vec<DirectoryId>,
    /// Something that the agent announced was refused, and the agent was informed.
    pub(super) refused: bool,
    pub(super) seated: bool,
    /// Why the session broke; `None` if it ended in good order.
    pub(super) broken: Option<String>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.seated {
            let parts = &self.gateway.0;
            parts.reach.gone(&self.route, &self.directories);
            parts.registry.closed(&self.route, parts.clock.now(), self.broken.take());
            parts.dispatcher.session_closed(&self.route);
            parts.operations.session_closed(&self.route);
            metrics::gauge!("postern_gateway_sessions").decrement(1.0);
            tracing::info!(agent = %self.route.agent(), session = %self.route.session(), "gateway.session_closed");
        }
    }
}

impl Seat {
    /// Records why an agent with a valid certificate gets no session.
    pub(super) async fn note_refusal(&self, status: &Status) {
        if self.seated || status.code() != Code::FailedPrecondition {
            return;
        }
        let (parts, refusal) = (&self.gateway.0, format!("its session was refused: {}", status.message()));
        if let Err(error) = parts.store.note_agent_error(self.route.agent(), &refusal, parts.clock.now()).await {
            tracing::warn!(error = chain(&error), "gateway.refusal_not_noted");
        }
    }
}
