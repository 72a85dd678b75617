//! An agent that says whatever a test wants it to: the bare protocol over real mutual TLS, frame by frame, right or wrong.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use postern_agent::identity::TlsDial;
use postern_agent::identity::{Identity, IdentitySource};
use postern_agent::link::proxy::ProxyRule;
use postern_agent::link::{Connection, Dial as _};
use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_proto::digest::Digest;
use postern_proto::v1::agent_frame::Kind as Up;
use postern_proto::v1::chunk::{Entries, Kind as ChunkKind, Open, Summary};
use postern_proto::v1::control_frame::Kind as Down;
use postern_proto::v1::gateway_client::GatewayClient;
use postern_proto::v1::{
    AgentFrame, Chunk, ChunkAck, Command, ControlFrame, HeldCommand, Hello, ServedDirectory, Welcome,
};
use postern_proto::{PROTOCOL_MAX, PROTOCOL_MIN};
use postern_runtime::clock::SystemClock;
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::Supervisor;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;
use tonic::codegen::http;
use tonic::{Status, Streaming};

/// How long the control plane may take to say what it is expected to say.
const PATIENCE: Duration = Duration::from_secs(20);

/// An established session, by hand.
pub struct RawAgent {
    connection: Connection,
    frames: mpsc::Sender<AgentFrame>,
    incoming: Streaming<ControlFrame>,
    /// What the control plane answered to the hello.
    pub welcome: Welcome,
    shutdown: Shutdown,
}

/// One open delivery.
pub struct RawDelivery {
    chunks: mpsc::Sender<Chunk>,
    acks: Streaming<ChunkAck>,
}

/// A batch of encoded entries with what it adds up to.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Columnar encoding.
    pub payload: bytes::Bytes,
    /// Users in it.
    pub users: u64,
    /// Sum of their hashes.
    pub digest: Digest,
}

/// A user of a made-up directory.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "an entry's own parts")]
pub struct RawUser {
    pub external_id: String,
    pub dn: String,
    pub uid: String,
    pub cn: String,
}

impl RawUser {
    /// The user of this number.
    pub fn of(index: u32) -> Self {
        let id = uuid::Uuid::from_u128(0x5000_0000_0000_4000_8000_0000_0000_0000 + u128::from(index));
        Self {
            external_id: id.to_string(),
            dn: format!("uid=raw{index},ou=people,dc=corp,dc=example"),
            uid: format!("raw{index}"),
            cn: format!("Raw {index}"),
        }
    }
}

impl Batch {
    /// Users `first..end` of a made-up directory.
    pub fn of_users(first: u32, end: u32) -> Self {
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        for user in (first..end).map(RawUser::of) {
            let mut entry = writer.entry(Kind::User, &user.external_id, &user.dn, Some(&user.uid));
            entry.attribute("uid", [user.uid.as_bytes()]);
            entry.attribute("cn", [user.cn.as_bytes()]);
            entry.switch(Switch::On);
            entry.finish();
        }
        let digest = writer.digest();
        Self { payload: writer.finish(), users: u64::from(end - first), digest }
    }
}

impl RawAgent {
    /// Dials, says a proper hello, and reads the welcome.
    pub async fn connect(identity: Identity, directory: &str) -> Result<Self> {
        Self::connect_holding(identity, directory, &[]).await
    }

    /// The same, with several directories.
    pub async fn connect_serving(identity: Identity, directories: &[String]) -> Result<Self> {
        Self::connect_with(identity, directories, &[]).await
    }

    /// The same, with commands that it still works on.
    pub async fn connect_holding(identity: Identity, directory: &str, held: &[&Command]) -> Result<Self> {
        Self::connect_with(identity, &[directory.to_owned()], held).await
    }

    async fn connect_with(identity: Identity, directories: &[String], held: &[&Command]) -> Result<Self> {
        let held = held
            .iter()
            .map(|command| HeldCommand { command_id: command.command_id.clone(), generation: command.generation });
        let served = |name: &String| ServedDirectory { name: name.clone(), flavour: 1, ..Default::default() };
        let directories = directories.iter().map(served).collect();
        let hello = Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            agent_version: "0.0.0-raw".to_owned(),
            os: "linux".to_owned(),
            directories,
            held_commands: held.collect(),
            ..Hello::default()
        };
        Self::connect_saying(identity, Some(Up::Hello(hello))).await
    }

    /// Dials and begins with any frame at all.
    pub async fn connect_saying(identity: Identity, first: Option<Up>) -> Result<Self> {
        let (connection, shutdown) = dial(identity).await?;
        let (frames, outgoing) = mpsc::channel(16);
        frames.send(AgentFrame { kind: first }).await.ok();
        let mut client = GatewayClient::with_origin(connection.clone(), connection.origin());
        let answered = client.connect(ReceiverStream::new(outgoing));
        let answer = tokio::time::timeout(PATIENCE, answered).await.context("no answer to Connect")?;
        let mut incoming = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Err(why(status, &connection).await),
        };
        let first = tokio::time::timeout(PATIENCE, incoming.message()).await.context("no welcome")??;
        let Some(Down::Welcome(welcome)) = first.and_then(|frame| frame.kind) else { bail!("no welcome") };
        Ok(Self { connection, frames, incoming, welcome, shutdown })
    }

    /// Sends a frame.
    pub async fn say(&self, kind: Up) -> Result<()> {
        self.frames.send(AgentFrame { kind: Some(kind) }).await.context("the session is over")
    }

    /// Waits for the next command.
    pub async fn command(&mut self) -> Result<Command> {
        loop {
            if let Down::Command(command) = self.next().await? {
                return Ok(command);
            }
        }
    }

    /// The next frame from the control plane; an error when the stream ends.
    pub async fn next(&mut self) -> Result<Down> {
        let frame =
            tokio::time::timeout(PATIENCE, self.incoming.message()).await.context("the control plane is silent")?;
        frame?.and_then(|frame| frame.kind).context("the control plane ended the session")
    }

    /// Opens a delivery for a command and returns the sequence number to begin with.
    pub async fn deliver(&self, command: &Command) -> Result<(RawDelivery, u64)> {
        let client = GatewayClient::with_origin(self.connection.clone(), self.connection.origin());
        Self::open(client, command).await
    }

    /// The same, with messages that are compressed.
    pub async fn deliver_compressed(&self, command: &Command) -> Result<(RawDelivery, u64)> {
        let client = GatewayClient::with_origin(self.connection.clone(), self.connection.origin());
        Self::open(client.send_compressed(CompressionEncoding::Zstd), command).await
    }

    /// Opens a delivery, and then sends only the header of a message of `bytes` bytes. The stream stays open until the
    /// agent is dropped, or the control plane ends it: then the task returns the reason.
    pub async fn announce(&self, command: &Command, bytes: u32) -> Result<JoinHandle<Option<Status>>> {
        let open = Open { command_id: command.command_id.clone(), generation: command.generation, ..Open::default() };
        let open = Chunk { kind: Some(ChunkKind::Open(open)) }.encode_to_vec();
        let mut body = vec![0];
        body.extend(u32::try_from(open.len())?.to_be_bytes());
        body.extend(open);
        body.push(0);
        body.extend(bytes.to_be_bytes());
        let frames = futures_util::stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(body)))]);
        let frames = frames.chain(futures_util::stream::pending());
        let request = http::Request::post(format!("{}postern.gateway.v1.Gateway/Deliver", self.connection.origin()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(tonic::body::Body::new(StreamBody::new(frames)))?;
        let mut connection = self.connection.clone();
        std::future::poll_fn(|context| connection.poll_ready(context)).await.map_err(|error| anyhow!(error))?;
        let answer = tokio::time::timeout(PATIENCE, connection.call(request)).await.context("no answer to Deliver")?;
        let mut body = answer.map_err(|error| anyhow!(error))?.into_body();
        let first = tokio::time::timeout(PATIENCE, body.frame()).await.context("no answer to Open")?;
        let first = first.context("the delivery ended")??;
        ensure!(first.is_data(), "the delivery was refused: {first:?}");
        Ok(tokio::spawn(async move {
            while let Some(Ok(frame)) = body.frame().await {
                if let Some(trailers) = frame.trailers_ref() {
                    return Status::from_header_map(trailers);
                }
            }
            None
        }))
    }

    async fn open(mut client: GatewayClient<Connection>, command: &Command) -> Result<(RawDelivery, u64)> {
        let (chunks, outgoing) = mpsc::channel(16);
        let open = Open { command_id: command.command_id.clone(), generation: command.generation, ..Open::default() };
        chunks.send(Chunk { kind: Some(ChunkKind::Open(open)) }).await.ok();
        let acks = client.deliver(ReceiverStream::new(outgoing)).await.context("delivery refused")?.into_inner();
        let mut delivery = RawDelivery { chunks, acks };
        match delivery.ack().await? {
            postern_proto::v1::chunk_ack::Kind::Opened(opened) => Ok((delivery, opened.next_sequence)),
            other => bail!("{other:?} instead of an answer to Open"),
        }
    }
}

/// What a call failed with, and why its connection ended where it did.
async fn why(status: Status, connection: &Connection) -> anyhow::Error {
    // A connection that stands has not failed, and is not waited for long.
    tokio::time::timeout(Duration::from_secs(1), connection.ended()).await.ok();
    match connection.failure() {
        Some(reason) => anyhow::Error::new(status).context(reason),
        None => status.into(),
    }
}

impl Drop for RawAgent {
    fn drop(&mut self) {
        self.shutdown.cut();
    }
}

impl RawDelivery {
    /// Sends a chunk under this sequence number.
    pub async fn chunk(&self, sequence: u64, batch: &Batch) -> Result<()> {
        let entries = Entries { sequence, payload: batch.payload.clone() };
        self.send(ChunkKind::Entries(entries)).await
    }

    /// Sends a summary.
    pub async fn summary(&self, chunks: u64, users: u64, digest: Digest) -> Result<()> {
        let digest = digest.to_bytes().to_vec().into();
        // As one of an older release, which cannot look again.
        let summary = Summary { chunks, users, digest, ..Summary::default() };
        self.send(ChunkKind::Summary(summary)).await
    }

    async fn send(&self, kind: ChunkKind) -> Result<()> {
        self.chunks.send(Chunk { kind: Some(kind) }).await.context("the delivery is over")
    }

    /// The next answer.
    pub async fn ack(&mut self) -> Result<postern_proto::v1::chunk_ack::Kind> {
        let ack = tokio::time::timeout(PATIENCE, self.acks.message()).await.context("no acknowledgement")?;
        ack?.and_then(|ack| ack.kind).context("the control plane ended the delivery")
    }

    /// Waits until everything up to and including this sequence number is acknowledged.
    pub async fn acked_through(&mut self, sequence: u64) -> Result<()> {
        loop {
            match self.ack().await? {
                postern_proto::v1::chunk_ack::Kind::ThroughSequence(through) if through >= sequence => return Ok(()),
                postern_proto::v1::chunk_ack::Kind::ThroughSequence(_) => {}
                other => bail!("{other:?} instead of an acknowledgement"),
            }
        }
    }
}

/// A connection with this identity, ready for HTTP/2; cut by the shutdown.
pub async fn dial(identity: Identity) -> Result<(Connection, Shutdown)> {
    postern_runtime::tls::install_crypto_provider();
    let shutdown = Shutdown::new();
    let dial = TlsDial::new(IdentitySource::in_memory(identity), ProxyRule::Direct, SystemClock::shared());
    let dialed = dial.dial().await.context("cannot dial")?;
    let connection = Connection::start(dialed, &Supervisor::new(shutdown.clone())).await.context("no HTTP/2")?;
    // The supervisor is gone with this function; its tasks are not.
    Ok((connection, shutdown))
}
