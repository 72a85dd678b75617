//! Routes calls to services. The two streams have different message limits, so each has a server of its own around the
//! same code.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::DATE;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use postern_proto::limits::{MAX_CHUNK_BYTES, MAX_ENROLLMENT_BYTES, MAX_FRAME_BYTES};
use postern_proto::v1::enrollment_server::EnrollmentServer;
use postern_proto::v1::gateway_server::GatewayServer;
use postern_runtime::clock::SharedClock;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;

use super::parts::Gateway;
use super::receiving;
use super::registry::Registry;
use crate::pki::PeerAgent;

/// An answer under way.
pub(super) type Answered =
    Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send + 'static>>;

/// Deadline of a unary call.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
const DELIVER: &str = "/postern.gateway.v1.Gateway/Deliver";
const GATEWAY: &str = "/postern.gateway.v1.Gateway/";
/// Calls that admit the agent themselves, and the one that needs no agent: a revoked agent may enroll again with a new
/// token.
const SELF_ADMITTING: [&str; 4] = [
    DELIVER,
    "/postern.gateway.v1.Gateway/Connect",
    "/postern.gateway.v1.Enrollment/Renew",
    "/postern.gateway.v1.Enrollment/Enroll",
];

/// The gRPC services of the gateway.
pub struct Service {
    registry: Arc<Registry>,
    clock: SharedClock,
    gateway: Gateway,
    connect: GatewayServer<Gateway>,
    deliver: GatewayServer<Gateway>,
    enrollment: EnrollmentServer<Gateway>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl Service {
    /// The services of one gateway.
    pub fn new(gateway: Gateway) -> Self {
        let (registry, clock) = (Arc::clone(gateway.registry()), gateway.clock().clone());
        let admitting = gateway.clone();
        let gateway = Arc::new(gateway);
        let connect = GatewayServer::from_arc(Arc::clone(&gateway));
        let deliver = GatewayServer::from_arc(Arc::clone(&gateway));
        Self {
            registry,
            clock,
            gateway: admitting,
            connect: connect.max_decoding_message_size(MAX_FRAME_BYTES),
            deliver: deliver.max_decoding_message_size(MAX_CHUNK_BYTES).accept_compressed(CompressionEncoding::Zstd),
            enrollment: EnrollmentServer::from_arc(gateway).max_decoding_message_size(MAX_ENROLLMENT_BYTES),
        }
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Passes a call to its service; an unknown one is answered with UNIMPLEMENTED and the time. A revoked
    /// agent may only enroll; its other calls are refused with that reason.
    pub(super) fn call(
        &self,
        peer: Option<&Arc<PeerAgent>>,
        address: IpAddr,
        mut request: Request<Incoming>,
    ) -> Answered {
        request.extensions_mut().insert(address);
        match peer.filter(|_| !SELF_ADMITTING.contains(&request.uri().path())) {
            None => self.pass(peer, request),
            Some(stranger) => {
                let (gateway, stranger, clock) = (self.gateway.clone(), Arc::clone(stranger), self.clock.clone());
                let answer = self.pass(peer, request);
                Box::pin(async move {
                    match gateway.admit(&stranger).await {
                        Ok(_) => answer.await,
                        Err(refused) => Ok(dated(refused.into_http(), clock.now())),
                    }
                })
            }
        }
    }

    fn pass(&self, peer: Option<&Arc<PeerAgent>>, mut request: Request<Incoming>) -> Answered {
        if let Some(peer) = peer {
            request.extensions_mut().insert(Arc::clone(peer));
        }
        let path = request.uri().path();
        if let Some(peer) = peer.filter(|_| path == DELIVER) {
            let share = self.registry.share(peer.organization, peer.agent);
            self.deliver.clone().call(receiving::counted(request, share))
        } else if path.starts_with(GATEWAY) {
            self.connect.clone().call(request)
        } else {
            let answer = self.enrollment.clone().call(request);
            let clock = self.clock.clone();
            Box::pin(async move {
                // tonic reads the whole request before it calls the service. A client that sends half of one would keep
                // the place of another that wants to enroll.
                let answer = tokio::select! {
                    answer = answer => answer,
                    () = clock.sleep(CALL_DEADLINE) => {
                        Ok(Status::deadline_exceeded("the request did not come to its end").into_http())
                    }
                };
                answer.map(|response| dated(response, clock.now()))
            })
        }
    }
}

/// Adds the time (RFC 9110, 6.6.1), from which an agent notices that its clock is wrong. Sessions send it in their
/// welcome and need no header.
fn dated<B>(mut response: Response<B>, now: Timestamp) -> Response<B> {
    let printed = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    if let Some(date) = printed.ok().and_then(|date| HeaderValue::try_from(date).ok()) {
        response.headers_mut().insert(DATE, date);
    }
    response
}
