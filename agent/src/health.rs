//! `/healthz` and `/metrics` for the machine's own monitoring, on a loopback address, off unless configured.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use postern_runtime::supervise::{OnCancel, Supervisor};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::agent::Agent;

const MAX_CONNECTIONS: usize = 8;
/// Pause after the machine refuses to accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for [health]")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The metrics cannot be collected.
    #[error("cannot collect metrics")]
    Recorder(#[source] BuildError),
}

/// The listener, bound and not answering yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    metrics: PrometheusHandle,
}

impl Listener {
    /// Binds the address and begins to collect metrics.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let metrics = PrometheusBuilder::new().install_recorder().map_err(Error::Recorder)?;
        describe();
        Ok(Self { listener, metrics })
    }

    /// Answers until the process stops.
    pub async fn serve(self, agent: Arc<Agent>, supervisor: Supervisor) {
        let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
            let (connection, _) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(error = %error, "health.accept_failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (agent, metrics) = (Arc::clone(&agent), self.metrics.clone());
            supervisor.spawn("health_request", OnCancel::Abort, async move {
                let _seat = seat;
                answer(connection, agent, metrics).await;
            });
        }
    }
}

async fn answer(connection: TcpStream, agent: Arc<Agent>, metrics: PrometheusHandle) {
    let respond = service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, &agent, &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    // One request a connection: nobody can sit on it.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(connection), respond)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "health.request_failed");
    }
}

fn respond(request: &Request<Incoming>, agent: &Agent, metrics: &PrometheusHandle) -> Response<String> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new());
    }
    match request.uri().path() {
        "/healthz" => healthz(agent),
        "/metrics" => {
            gauge(agent);
            metrics.run_upkeep();
            text(StatusCode::OK, "text/plain; version=0.0.4", metrics.render())
        }
        _ => text(StatusCode::NOT_FOUND, "text/plain", String::new()),
    }
}

/// Healthy is who can take commands: an agent without a session is shown as what it is.
fn healthz(agent: &Agent) -> Response<String> {
    let session = agent.status().session;
    let status = if session.state == "connected" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({ "session": session.state, "since": session.since }).to_string();
    text(status, "application/json", body)
}

/// Says for each metric what it is.
fn describe() {
    let counters = [
        ("postern_agent_chunks_delivered_total", "Chunks of entries acknowledged by the control plane."),
        ("postern_agent_commands_total", "Finished commands, by kind and outcome."),
        ("postern_agent_connect_failures_total", "Failed attempts to connect to the control plane."),
        ("postern_agent_delivery_cuts_total", "Deliveries interrupted by a lost connection."),
        ("postern_agent_unknown_frames_total", "Unknown frames from the control plane."),
    ];
    for (name, help) in counters {
        metrics::describe_counter!(name, help);
    }
    let gauges = [
        ("postern_agent_certificate_not_after_seconds", "Expiry of the agent's certificate, in seconds since 1970."),
        ("postern_agent_commands_running", "Running commands."),
        ("postern_agent_connected", "1 while the agent has a session with the control plane, 0 otherwise."),
    ];
    for (name, help) in gauges {
        metrics::describe_gauge!(name, help);
    }
}

fn gauge(agent: &Agent) {
    let status = agent.status();
    if let Some(identity) = status.identity {
        let seconds = identity.certificate_not_after.as_duration().as_secs_f64();
        metrics::gauge!("postern_agent_certificate_not_after_seconds").set(seconds);
    }
    let running = u32::try_from(status.commands.iter().filter(|command| command.running).count());
    metrics::gauge!("postern_agent_commands_running").set(f64::from(running.unwrap_or(u32::MAX)));
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
