//! The handler of each call.

use std::net::IpAddr;
use std::sync::Arc;

use postern_proto::v1;
use postern_proto::v1::enrollment_server::Enrollment;
use postern_proto::v1::gateway_server;
use tonic::{Request, Response, Status, Streaming};

use super::parts::Gateway;
use super::{deliver, enrollment, session};
use crate::pki::PeerAgent;

/// The caller, from the certificate of the connection.
fn peer<T>(request: &Request<T>) -> Result<Arc<PeerAgent>, Status> {
    let peer = request.extensions().get::<Arc<PeerAgent>>().cloned();
    peer.ok_or_else(|| Status::unauthenticated("this call needs a client certificate; enroll the agent first"))
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
        let share = self.0.registry.share(agent.organization, agent.id);
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
