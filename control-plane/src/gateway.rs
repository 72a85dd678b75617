//! The agents' side door: who may come in, and what each call leads to.

mod certificates;
mod connection;
mod deliver;
mod enrollment;
pub(crate) mod held;
pub mod listener;
mod memory;
pub(crate) mod pulse;
mod receiving;
pub mod registry;
pub mod revocation;
mod service;
mod session;
#[cfg(test)]
mod tests;
mod workshop;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_proto::v1;
use postern_proto::v1::enrollment_server::Enrollment;
use postern_proto::v1::gateway_server;
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::{Supervisor, chain};
use postern_store::{Agent, AgentReading, Store};
use tonic::{Request, Response, Status, Streaming};

pub use self::service::Service;
use crate::pki::{PeerAgent, Pki};
use crate::refusals::Refusals;
use postern_engine::jobs::dispatch::Dispatcher;
use postern_engine::jobs::reach::Reach;
use registry::Registry;

/// What the gateway works with. Clones share it.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Parts>);

/// The parts of a gateway.
#[derive(Debug)]
pub struct Parts {
    /// Where agents and their work are kept.
    pub store: Store,
    /// Signs agents' certificates.
    pub pki: Arc<Pki>,
    /// The time.
    pub clock: SharedClock,
    /// Who is connected.
    pub registry: Arc<Registry>,
    /// Which directories can be reached.
    pub reach: Arc<Reach>,
    /// Gives commands and takes outcomes.
    pub dispatcher: Arc<Dispatcher>,
    /// Which addresses were refused of late.
    pub(crate) refusals: Refusals,
    /// Runs deliveries; knows when to stop.
    pub supervisor: Supervisor,
    /// Life of an agent's certificate.
    pub certificate_lifetime: Duration,
    /// How often an idle agent gives a sign of life.
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

    /// The agent at the other end, unless it was revoked or deleted. Asked anew for each call.
    async fn admit(&self, peer: &PeerAgent) -> Result<Agent, Status> {
        let agent = self.0.store.agent_by_id(peer.agent).await.map_err(|error| unavailable(&error))?;
        check(peer, agent.as_ref())?;
        let agent = agent.ok_or_else(unknown)?;
        certificates::admit(self, peer, &agent).await?;
        Ok(agent)
    }

    /// The same, with what the agent last announced.
    async fn admit_session(&self, peer: &PeerAgent) -> Result<AgentReading, Status> {
        let reading = self.0.store.known_agent(peer.agent).await.map_err(|error| unavailable(&error))?;
        check(peer, reading.as_ref().map(|reading| &reading.agent))?;
        let reading = reading.ok_or_else(unknown)?;
        certificates::admit(self, peer, &reading.agent).await?;
        certificates::used(self, peer, &reading.agent).await?;
        Ok(reading)
    }
}

fn unknown() -> Status {
    Status::permission_denied("this agent is not known here; enroll it again")
}

fn check(peer: &PeerAgent, agent: Option<&Agent>) -> Result<(), Status> {
    match agent {
        Some(agent) if agent.organization != peer.organization => Err(Status::permission_denied("foreign agent")),
        Some(agent) if agent.revoked_at.is_some() => {
            Err(Status::permission_denied("this agent was revoked; enroll it again to use it"))
        }
        Some(_) => Ok(()),
        None => Err(unknown()),
    }
}

/// Who calls, by the certificate of the connection.
fn peer<T>(request: &Request<T>) -> Result<Arc<PeerAgent>, Status> {
    let peer = request.extensions().get::<Arc<PeerAgent>>().cloned();
    peer.ok_or_else(|| Status::unauthenticated("this call needs a client certificate; enroll the agent first"))
}

/// The database does not answer: agents come back later and lose nothing.
fn unavailable(error: &postern_store::Error) -> Status {
    tracing::error!(error = chain(error), "gateway.store_failed");
    Status::unavailable(match error {
        postern_store::Error::StorageFull(_) => {
            "the volume of the control plane's database is full or cannot be written"
        }
        _ => "the control plane cannot reach its database",
    })
}

#[tonic::async_trait]
impl gateway_server::Gateway for Gateway {
    type ConnectStream = session::ControlFrames;
    type DeliverStream = deliver::ChunkAcks;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let peer = peer(&request)?;
        let known = self.admit_session(&peer).await?;
        Ok(Response::new(session::open(self.clone(), &peer, known, request.into_inner())))
    }

    async fn deliver(&self, request: Request<Streaming<v1::Chunk>>) -> Result<Response<Self::DeliverStream>, Status> {
        let peer = peer(&request)?;
        let agent = self.admit(&peer).await?;
        let share = self.0.registry.share(agent.id);
        Ok(Response::new(deliver::open(self, agent.id, share, request.into_inner())))
    }
}

#[tonic::async_trait]
impl Enrollment for Gateway {
    async fn enroll(&self, request: Request<v1::EnrollRequest>) -> Result<Response<v1::EnrollResponse>, Status> {
        let address = request.extensions().get::<IpAddr>().copied();
        enrollment::enroll(self, address, request.into_inner()).await.map(Response::new)
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let peer = peer(&request)?;
        let agent = self.admit(&peer).await?;
        enrollment::renew(self, &peer, &agent, request.into_inner()).await.map(Response::new)
    }
}
