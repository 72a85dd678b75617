//! An agent written by hand: its key, its certificate, its two streams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use postern_proto::digest::Digest;
use postern_proto::v1;
use postern_proto::v1::agent_frame::Kind as ToControl;
use postern_proto::v1::chunk_ack::{Kind as Ack, LookAgain};
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_proto::v1::enrollment_client::EnrollmentClient;
use postern_proto::v1::gateway_client::GatewayClient;
use postern_runtime::clock::{SharedClock, SystemClock};
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::tls;
use postern_store::{AgentId, Job, JobId, JobState, NewEnrollmentToken, NewJob, OrganizationId, PageRequest, Store};
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Status, Streaming};

use super::PATIENCE;
use super::chunks::Chunk;
use crate::app::Server;
use crate::config::Settings;
use postern_engine::secrets;

/// A control plane in a folder of its own, with one organization.
pub(super) struct Site {
    pub(super) server: Server,
    pub(super) organization: OrganizationId,
    shutdown: Shutdown,
    _folder: tempfile::TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.cut();
    }
}

impl Site {
    pub(super) async fn start() -> Self {
        Self::start_at(SystemClock::shared()).await
    }

    pub(super) async fn start_at(clock: SharedClock) -> Self {
        tls::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            data_dir: Some(folder.path().to_owned()),
            listen: "127.0.0.1:0".parse().ok(),
            gateway_listen: "127.0.0.1:0".parse().ok(),
            gateway_public_address: Some("localhost:0".to_owned()),
            ..Settings::default()
        };
        let shutdown = Shutdown::new();
        let server = Server::start(settings.resolve().unwrap(), clock, shutdown.clone()).await.unwrap();
        let organization = server.app.store.create_organization("acme", Timestamp::now()).await.unwrap().id;
        Self { server, organization, shutdown, _folder: folder }
    }

    pub(super) fn clock(&self) -> SharedClock {
        std::sync::Arc::clone(&self.server.app.clock)
    }

    pub(super) fn store(&self) -> &Store {
        &self.server.app.store
    }

    pub(super) fn now(&self) -> Timestamp {
        self.server.app.clock.now()
    }

    pub(super) async fn token(&self, directories: &[&str]) -> String {
        let secret = secrets::draw();
        let new = NewEnrollmentToken {
            hash: secrets::hash(&secret),
            directories: directories.iter().map(|&name| name.to_owned()).collect(),
            expires_at: self.now() + Duration::from_mins(10),
            created_by: "test".into(),
        };
        self.store().create_enrollment_token(self.organization, new, self.now()).await.unwrap();
        secret
    }

    /// An agent without a certificate.
    pub(super) fn anonymous(&self) -> TestAgent {
        let ca = tls::certificates_from_pem(self.server.app.pki.ca_pem().as_bytes(), "ca").unwrap();
        TestAgent { id: AgentId::new(), address: self.server.gateway, ca, identity: None, listed: None }
    }

    pub(super) async fn enroll(&self, secret: &str) -> Result<TestAgent, Status> {
        let (key, csr_pem) = request();
        let request = v1::EnrollRequest {
            token_secret: secret.to_owned(),
            csr_pem,
            agent_version: "1.2.3".into(),
            agent_name: "host-1".into(),
        };
        let anonymous = self.anonymous();
        let answer = EnrollmentClient::new(anonymous.channel().await?).enroll(request).await?.into_inner();
        let id = answer.agent_id.parse().unwrap();
        Ok(TestAgent { id, identity: Some(identity(&key, &answer.certificate_chain_pem)), ..anonymous })
    }

    pub(super) async fn directories(&self) -> Vec<String> {
        let page = self.store().list_directories(self.organization, &PageRequest::first(100)).await.unwrap();
        let mut names: Vec<String> = page.items.into_iter().map(|directory| directory.name).collect();
        names.sort();
        names
    }

    pub(super) async fn start_job(&self, directory: &str, kind: &str) -> JobId {
        self.start_job_with(directory, kind, serde_json::json!({})).await
    }

    pub(super) async fn start_job_with(&self, directory: &str, kind: &str, input: serde_json::Value) -> JobId {
        let directory = self.store().find_directory(self.organization, directory).await.unwrap().unwrap().id;
        let new = NewJob {
            organization: self.organization,
            kind: kind.to_owned(),
            exclusive: kind == "import",
            directory,
            input,
            deadline: self.now() + Duration::from_mins(10),
            created_by: "test".into(),
            idempotency_key: None,
        };
        self.store().create_job(new, self.now()).await.unwrap().id
    }

    pub(super) async fn wait_for(&self, job: JobId, state: JobState) -> Job {
        let reached = async {
            loop {
                let job = self.store().get_job(self.organization, job).await.unwrap().unwrap();
                if job.state == state {
                    return job;
                }
                assert!(!job.state.is_final(), "{job:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("the job is not {state}"))
    }

    /// Runs a whole import and returns its job.
    pub(super) async fn import(&self, agent: &TestAgent, session: &mut Session, chunks: &[Chunk]) -> JobId {
        self.import_of("corp", agent, session, chunks).await
    }

    /// Like [`Self::import`], for the directory of this name.
    pub(super) async fn import_of(
        &self,
        directory: &str,
        agent: &TestAgent,
        session: &mut Session,
        chunks: &[Chunk],
    ) -> JobId {
        let job = self.start_job(directory, "import").await;
        let command = super::soon(session.command()).await;
        assert_eq!(command.command_id, job.to_string());
        let accepted = agent.deliver(&command, chunks, |_| {}).await.unwrap();
        assert!(matches!(accepted, Ack::SummaryAccepted(_)), "{accepted:?}");
        let result = v1::outcome::Result::Import(v1::ImportResult { pages: 1, ..Default::default() });
        session.send(raw_outcome(&command, result)).await;
        assert!(matches!(super::soon(session.next()).await, Some(FromControl::OutcomeAck(_))));
        job
    }
}

fn request() -> (KeyPair, String) {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    (key, csr)
}

pub(super) type Identity = (Vec<CertificateDer<'static>>, Vec<u8>);

fn identity(key: &KeyPair, chain_pem: &str) -> Identity {
    (tls::certificates_from_pem(chain_pem.as_bytes(), "chain").unwrap(), key.serialize_der())
}

pub(super) fn hello(directories: &[&str]) -> ToControl {
    ToControl::Hello(v1::Hello {
        protocol_min: 1,
        protocol_max: 1,
        agent_version: "1.2.3".into(),
        os: "linux 6".into(),
        directories: directories
            .iter()
            .map(|&name| v1::ServedDirectory {
                name: name.to_owned(),
                flavour: v1::Flavour::Openldap.into(),
                ..Default::default()
            })
            .collect(),
        ..v1::Hello::default()
    })
}

pub(super) fn raw_outcome(command: &v1::Command, result: v1::outcome::Result) -> ToControl {
    ToControl::Outcome(v1::Outcome {
        command_id: command.command_id.clone(),
        generation: command.generation,
        elapsed_ms: 1,
        result: Some(result),
    })
}

#[derive(Clone, Debug)]
pub(super) struct TestAgent {
    pub(super) id: AgentId,
    pub(super) address: SocketAddr,
    pub(super) ca: Vec<CertificateDer<'static>>,
    pub(super) identity: Option<Identity>,
    /// What its deliveries list.
    pub(super) listed: Option<v1::chunk::Listed>,
}

impl TestAgent {
    pub(super) async fn channel(&self) -> Result<Channel, Status> {
        let roots = tls::roots_of(&self.ca, "ca").unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match &self.identity {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.clone()));
                builder.with_client_auth_cert(chain.clone(), key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (connector, address) = (TlsConnector::from(Arc::new(config)), self.address);
        let dial = tower::service_fn(move |_: Uri| {
            let connector = connector.clone();
            async move {
                let tcp = TcpStream::connect(address).await?;
                let name = ServerName::try_from("localhost").unwrap();
                Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
            }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        endpoint.connect_with_connector(dial).await.map_err(|error| Status::unavailable(format!("{error:?}")))
    }

    pub(super) async fn renew(&self) -> Result<Self, Status> {
        let (key, csr_pem) = request();
        let request = v1::RenewRequest { csr_pem, agent_version: String::new() };
        let answer = EnrollmentClient::new(self.channel().await?).renew(request).await?.into_inner();
        Ok(Self { identity: Some(identity(&key, &answer.certificate_chain_pem)), ..self.clone() })
    }

    pub(super) async fn connect(&self, first: ToControl) -> Result<Session, Status> {
        let (frames, outbound) = mpsc::channel(16);
        frames.send(v1::AgentFrame { kind: Some(first) }).await.unwrap();
        let mut client = GatewayClient::new(self.channel().await?);
        let inbound = client.connect(ReceiverStream::new(outbound)).await?.into_inner();
        Ok(Session { frames, inbound })
    }

    /// Delivers chunks with their summary, changed by `damage`, and returns the last answer. Accounts that did not come
    /// are reported gone.
    pub(super) async fn deliver(
        &self,
        command: &v1::Command,
        chunks: &[Chunk],
        damage: impl FnOnce(&mut v1::chunk::Summary),
    ) -> Result<Ack, Status> {
        let absent = |asked: &LookAgain| Some(vec![v1::Sight::Absent; asked.entries.len()]);
        self.deliver_seeing(command, chunks, damage, absent).await
    }

    /// Like [`Self::deliver`]; `look` answers for accounts that did not come, or ends the stream.
    pub(super) async fn deliver_seeing(
        &self,
        command: &v1::Command,
        chunks: &[Chunk],
        damage: impl FnOnce(&mut v1::chunk::Summary),
        look: impl FnMut(&LookAgain) -> Option<Vec<v1::Sight>>,
    ) -> Result<Ack, Status> {
        self.deliver_from(None, command, chunks, damage, look).await
    }

    /// Like [`Self::deliver_seeing`], with the source of the entries.
    pub(super) async fn deliver_from(
        &self,
        source: Option<v1::Source>,
        command: &v1::Command,
        chunks: &[Chunk],
        damage: impl FnOnce(&mut v1::chunk::Summary),
        mut look: impl FnMut(&LookAgain) -> Option<Vec<v1::Sight>>,
    ) -> Result<Ack, Status> {
        let (sender, outbound) = mpsc::channel(64);
        let send = async |kind| sender.send(v1::Chunk { kind: Some(kind) }).await.unwrap();
        let (command_id, generation) = (command.command_id.clone(), command.generation);
        let open = v1::chunk::Open { command_id, generation, source, listed: self.listed.clone() };
        send(v1::chunk::Kind::Open(open)).await;
        let mut inbound =
            GatewayClient::new(self.channel().await?).deliver(ReceiverStream::new(outbound)).await?.into_inner();
        let opened = inbound.message().await?.and_then(|ack| ack.kind);
        assert!(matches!(opened, Some(Ack::Opened(_))), "{opened:?}");
        let mut summary = v1::chunk::Summary { looks_again: true, ..v1::chunk::Summary::default() };
        let mut digest = Digest::default();
        for (sequence, chunk) in (0..).zip(chunks) {
            digest.add(&chunk.digest);
            summary.chunks += 1;
            summary.users += chunk.users;
            summary.groups += chunk.groups;
            send(v1::chunk::Kind::Entries(v1::chunk::Entries { sequence, payload: chunk.payload.clone() })).await;
        }
        summary.digest = Bytes::copy_from_slice(&digest.to_bytes());
        damage(&mut summary);
        send(v1::chunk::Kind::Summary(summary)).await;
        let mut last = None;
        while let Some(ack) = inbound.message().await? {
            last = ack.kind;
            if let Some(Ack::LookAgain(asked)) = &last {
                let Some(sights) = look(asked) else { return Err(Status::cancelled("the line was cut")) };
                let sights: Vec<u8> = sights.into_iter().map(|sight| u8::try_from(i32::from(sight)).unwrap()).collect();
                send(v1::chunk::Kind::LookedAgain(v1::chunk::LookedAgain { sights: sights.into() })).await;
            }
            if matches!(last, Some(Ack::SummaryAccepted(_) | Ack::SummaryRefused(_))) {
                break;
            }
        }
        last.ok_or_else(|| Status::unknown("no answer"))
    }
}

pub(super) struct Session {
    frames: mpsc::Sender<v1::AgentFrame>,
    inbound: Streaming<v1::ControlFrame>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    pub(super) async fn send(&self, kind: ToControl) {
        self.frames.send(v1::AgentFrame { kind: Some(kind) }).await.unwrap();
    }

    /// Sends a frame as it arrives if its kind is unknown.
    pub(super) async fn send_unknown(&self) {
        self.frames.send(v1::AgentFrame { kind: None }).await.unwrap();
    }

    pub(super) async fn next(&mut self) -> Option<FromControl> {
        self.inbound.message().await.unwrap().and_then(|frame| frame.kind)
    }

    pub(super) async fn welcome(&mut self) -> v1::Welcome {
        match self.next().await {
            Some(FromControl::Welcome(welcome)) => welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    pub(super) async fn command(&mut self) -> v1::Command {
        match self.next().await {
            Some(FromControl::Command(command)) => command,
            other => panic!("no command but {other:?}"),
        }
    }

    /// How the session ends; frames before the end are skipped.
    pub(super) async fn end(&mut self) -> Status {
        loop {
            match self.inbound.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok(""),
                Err(status) => return status,
            }
        }
    }
}
