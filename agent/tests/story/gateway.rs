//! A gateway of which the test pulls the strings: it records what agents say and stores what they deliver.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use postern_agent::identity::AgentId;
use postern_proto::chunk::{ChunkReader, Kind};
use postern_proto::digest::Digest;
use postern_proto::enrollment_token::EnrollmentToken;
use postern_proto::v1::agent_frame::Kind as Up;
use postern_proto::v1::chunk::Kind as Part;
use postern_proto::v1::chunk_ack::{Kind as Ack, LookAgain, Opened, Sought, SummaryAccepted, SummaryRefused};
use postern_proto::v1::control_frame::Kind as Down;
use postern_proto::v1::enrollment_server::{Enrollment, EnrollmentServer};
use postern_proto::v1::gateway_server::{Gateway, GatewayServer};
use postern_proto::v1::{
    AgentFrame, Chunk, ChunkAck, Command, ControlFrame, EnrollRequest, EnrollResponse, Hello, Outcome, OutcomeAck,
    RenewRequest, RenewResponse, Welcome, command,
};
use postern_runtime::clock::{SharedClock, SystemClock};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::peer::Peer;
use crate::pki::{Authority, Life, WEEK};

/// No test waits for longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const SECRET: &str = "one-time";

pub(crate) struct FakeGateway {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    sessions: mpsc::UnboundedReceiver<Session>,
    tls: Arc<Mutex<TlsAcceptor>>,
    tasks: JoinSet<()>,
}

pub(crate) struct Shared {
    pub(crate) authority: Authority,
    pub(crate) stored: Mutex<BTreeMap<(String, u32), Delivered>>,
    /// Asked for after each summary.
    pub(crate) missed: Mutex<Vec<Sought>>,
    pub(crate) renewals: Mutex<u32>,
    pub(crate) life: Mutex<Life>,
    /// Whether every call is refused.
    pub(crate) revoked: AtomicBool,
    pub(crate) heartbeat_ms: Mutex<u32>,
    /// The version that is chosen, whatever the agent speaks.
    pub(crate) protocol_version: AtomicU32,
    pub(crate) clock: SharedClock,
    sessions: mpsc::UnboundedSender<Session>,
}

/// What came of one generation of a command.
#[derive(Default)]
pub(crate) struct Delivered {
    pub(crate) payloads: Vec<bytes::Bytes>,
    pub(crate) streams: u32,
    /// How the chunks of the latest stream were compressed.
    pub(crate) encoding: Option<String>,
    pub(crate) accepted: bool,
    /// What the agent answered about those who were missed.
    pub(crate) sights: Vec<u8>,
}

/// The gateway's end of one session.
pub(crate) struct Session {
    pub(crate) hello: Hello,
    pub(crate) down: mpsc::Sender<Result<ControlFrame, Status>>,
    up: mpsc::Receiver<Up>,
}

impl FakeGateway {
    pub(crate) async fn start() -> Self {
        Self::start_with(SystemClock::shared()).await
    }

    pub(crate) async fn start_with(clock: SharedClock) -> Self {
        Self::build(clock, true).await
    }

    /// One of a release that cannot read compressed chunks.
    pub(crate) async fn without_compression() -> Self {
        Self::build(SystemClock::shared(), false).await
    }

    async fn build(clock: SharedClock, reads_zstd: bool) -> Self {
        postern_runtime::tls::install_crypto_provider();
        let authority = Authority::new();
        let tls = Arc::new(Mutex::new(TlsAcceptor::from(Arc::new(authority.server("127.0.0.1")))));
        let acceptor = Arc::clone(&tls);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to_test, sessions) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            authority,
            stored: Mutex::default(),
            missed: Mutex::default(),
            renewals: Mutex::default(),
            life: Mutex::new(WEEK),
            revoked: AtomicBool::new(false),
            heartbeat_ms: Mutex::new(0),
            protocol_version: AtomicU32::new(1),
            clock,
            sessions: to_test,
        });
        let (accepted, incoming) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut handshakes = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (tls, accepted) = (acceptor.lock().unwrap().clone(), accepted.clone());
                handshakes.spawn(async move {
                    if let Ok(stream) = tls.accept(tcp).await {
                        let _ = accepted.send(Ok::<_, io::Error>(Peer(stream)));
                    }
                });
            }
        });
        let mut gateway = GatewayServer::from_arc(Arc::new(Service(Arc::clone(&shared))));
        if reads_zstd {
            gateway = gateway.accept_compressed(tonic::codec::CompressionEncoding::Zstd);
        }
        let state = Arc::clone(&shared);
        let admit = move |response: http::Response<tonic::body::Body>| {
            let revoked = state.revoked.load(Ordering::Relaxed);
            if revoked { Status::permission_denied("this agent was revoked").into_http() } else { response }
        };
        let server = tonic::transport::Server::builder()
            .layer(tower::util::MapResponseLayer::new(admit))
            .add_service(gateway)
            .add_service(EnrollmentServer::from_arc(Arc::new(Service(Arc::clone(&shared)))));
        tasks.spawn(async move {
            server.serve_with_incoming(UnboundedReceiverStream::new(incoming)).await.unwrap();
        });
        Self { address, shared, sessions, tls, tasks }
    }

    /// Stops; nothing listens at its address as long as the socket lives.
    pub(crate) async fn stop(mut self) -> TcpSocket {
        self.tasks.shutdown().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        socket
    }

    pub(crate) fn token(&self) -> EnrollmentToken {
        EnrollmentToken {
            address: self.address.to_string(),
            ca_sha256: self.shared.authority.pin(),
            secret: SECRET.to_owned(),
        }
    }

    /// From now on certificates of another authority are presented.
    pub(crate) fn replace_authority(&self) {
        *self.tls.lock().unwrap() = TlsAcceptor::from(Arc::new(Authority::new().server("127.0.0.1")));
    }

    /// From now on a certificate is presented that has expired.
    pub(crate) fn expire(&self) {
        *self.tls.lock().unwrap() = TlsAcceptor::from(Arc::new(self.shared.authority.expired_server("127.0.0.1")));
    }

    /// The next session that an agent opens.
    pub(crate) async fn session(&mut self) -> Session {
        within(self.sessions.recv()).await.unwrap()
    }

    /// Whether an agent has opened another session meanwhile.
    pub(crate) fn has_session(&mut self) -> bool {
        !self.sessions.is_empty()
    }

    /// Everything delivered for a command, decoded: external ids and how many of each kind.
    pub(crate) fn delivered(&self, key: (&str, u32)) -> Vec<(Kind, String)> {
        let stored = self.shared.stored.lock().unwrap();
        let mut entries = Vec::new();
        for payload in &stored[&(key.0.to_owned(), key.1)].payloads {
            let mut reader = ChunkReader::parse(payload).unwrap();
            while let Some(entry) = reader.next_entry().unwrap() {
                entries.push((entry.kind, entry.external_id.to_owned()));
            }
        }
        entries
    }
}

/// A test that waits for something that never comes fails rather than hangs.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not happen in time")
}

impl Session {
    pub(crate) async fn send(&self, kind: Down) {
        self.down.send(Ok(ControlFrame { kind: Some(kind) })).await.unwrap();
    }

    pub(crate) async fn command(&self, id: u128, generation: u32, kind: Option<command::Kind>) -> String {
        let command_id = Uuid::from_u128(id).to_string();
        let directory = "corp".to_owned();
        let command = Command { command_id: command_id.clone(), generation, directory, timeout_ms: 0, kind };
        self.send(Down::Command(command)).await;
        command_id
    }

    /// The next frame that is not a heartbeat or progress.
    pub(crate) async fn next(&mut self) -> Up {
        loop {
            match within(self.up.recv()).await.expect("the session ended") {
                Up::Heartbeat(_) | Up::Progress(_) => {}
                frame => return frame,
            }
        }
    }

    pub(crate) async fn outcome(&mut self) -> Outcome {
        match self.next().await {
            Up::Outcome(outcome) => outcome,
            other => panic!("not an outcome: {other:?}"),
        }
    }

    /// The next outcome; nothing if the session ends before.
    pub(crate) async fn try_outcome(&mut self) -> Option<Outcome> {
        loop {
            if let Up::Outcome(outcome) = within(self.up.recv()).await? {
                return Some(outcome);
            }
        }
    }

    pub(crate) async fn acknowledge(&self, outcome: &Outcome) {
        let (command_id, generation) = (outcome.command_id.clone(), outcome.generation);
        self.send(Down::OutcomeAck(OutcomeAck { command_id, generation })).await;
    }

    /// Waits until the agent has closed its end, or the line is gone.
    pub(crate) async fn ended(&mut self) {
        within(async { while self.up.recv().await.is_some() {} }).await;
    }
}

struct Service(Arc<Shared>);

type Answers<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Gateway for Service {
    type ConnectStream = Answers<ControlFrame>;
    type DeliverStream = Answers<ChunkAck>;

    async fn connect(&self, request: Request<Streaming<AgentFrame>>) -> Result<Response<Self::ConnectStream>, Status> {
        let mut frames = request.into_inner();
        let Some(AgentFrame { kind: Some(Up::Hello(hello)) }) = frames.message().await? else {
            return Err(Status::failed_precondition("no hello"));
        };
        let (down, answers) = mpsc::channel(64);
        let welcome = Welcome {
            refused_directories: Vec::new(),
            protocol_version: self.0.protocol_version.load(Ordering::Relaxed),
            session_id: Uuid::now_v7().to_string(),
            heartbeat_interval_ms: *self.0.heartbeat_ms.lock().unwrap(),
            clock_unix_ms: self.0.clock.now().as_millisecond(),
            capabilities: Vec::new(),
        };
        down.send(Ok(ControlFrame { kind: Some(Down::Welcome(welcome)) })).await.unwrap();
        let (to_test, up) = mpsc::channel(1024);
        self.0.sessions.send(Session { hello, down, up }).map_err(|_| Status::unavailable("the test is over"))?;
        tokio::spawn(async move {
            while let Ok(Some(frame)) = frames.message().await {
                if to_test.send(frame.kind.unwrap()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn deliver(&self, request: Request<Streaming<Chunk>>) -> Result<Response<Self::DeliverStream>, Status> {
        let (acks, answers) = mpsc::channel(4);
        let shared = Arc::clone(&self.0);
        let encoding = request.metadata().get("grpc-encoding").map(|encoding| encoding.to_str().unwrap().to_owned());
        let mut parts = request.into_inner();
        let Some(Part::Open(open)) = parts.message().await?.and_then(|chunk| chunk.kind) else {
            return Err(Status::invalid_argument("no open"));
        };
        tokio::spawn(async move {
            let key = (open.command_id, open.generation);
            let next_sequence = {
                let mut stored = shared.stored.lock().unwrap();
                let delivered = stored.entry(key.clone()).or_default();
                delivered.streams += 1;
                delivered.encoding = encoding;
                delivered.payloads.len() as u64
            };
            let mut answer = Ack::Opened(Opened { next_sequence });
            while acks.send(Ok(ChunkAck { kind: Some(answer) })).await.is_ok() {
                match parts.message().await {
                    Ok(Some(Chunk { kind: Some(part) })) => answer = shared.store(&key, part),
                    _ => return,
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

impl Shared {
    fn store(&self, key: &(String, u32), part: Part) -> Ack {
        let mut stored = self.stored.lock().unwrap();
        let delivered = stored.entry(key.clone()).or_default();
        match part {
            Part::Open(_) => panic!("a second open"),
            Part::LookedAgain(looked) => {
                delivered.sights = looked.sights.to_vec();
                Ack::SummaryAccepted(SummaryAccepted {})
            }
            Part::Entries(entries) => {
                assert_eq!(entries.sequence, delivered.payloads.len() as u64, "in order, without gaps or doubles");
                delivered.payloads.push(entries.payload);
                Ack::ThroughSequence(entries.sequence)
            }
            Part::Summary(summary) => {
                let mut digest = Digest::default();
                let (mut users, mut groups) = (0, 0);
                for payload in &delivered.payloads {
                    let mut reader = ChunkReader::parse(payload).unwrap();
                    while let Some(entry) = reader.next_entry().unwrap() {
                        digest.add_entry(&entry.hash);
                        match entry.kind {
                            Kind::User => users += 1,
                            Kind::Group => groups += 1,
                        }
                    }
                }
                let same = summary.chunks == delivered.payloads.len() as u64
                    && (summary.users, summary.groups) == (users, groups)
                    && summary.digest[..] == digest.to_bytes();
                delivered.accepted = same;
                let missed = self.missed.lock().unwrap().clone();
                if same && !missed.is_empty() {
                    Ack::LookAgain(LookAgain { entries: missed })
                } else if same {
                    Ack::SummaryAccepted(SummaryAccepted {})
                } else {
                    Ack::SummaryRefused(SummaryRefused { reason: "counts or digest differ".to_owned() })
                }
            }
        }
    }
}

#[tonic::async_trait]
impl Enrollment for Service {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let request = request.into_inner();
        if request.token_secret != SECRET {
            return Err(Status::unauthenticated("unknown token"));
        }
        let agent_id = AgentId(Uuid::from_u128(42));
        Ok(Response::new(EnrollResponse {
            agent_id: agent_id.to_string(),
            certificate_chain_pem: self.0.authority.sign(&request.csr_pem, agent_id, *self.0.life.lock().unwrap()),
            ca_bundle_pem: self.0.authority.pem(),
        }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        *self.0.renewals.lock().unwrap() += 1;
        let agent_id = AgentId(Uuid::from_u128(42));
        let csr = request.into_inner().csr_pem;
        Ok(Response::new(RenewResponse {
            certificate_chain_pem: self.0.authority.sign(&csr, agent_id, *self.0.life.lock().unwrap()),
            ca_bundle_pem: self.0.authority.pem(),
        }))
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
