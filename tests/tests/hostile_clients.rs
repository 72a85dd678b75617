//! Clients that mean ill, or nothing at all, at the gateway: none of them costs the honest agent its import.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use postern_proto::v1::agent_frame::Kind as Up;
use postern_proto::v1::control_frame::Kind as Down;
use postern_proto::v1::{Heartbeat, Hello, Progress};
use postern_tests::in_process_agent::{Circumstances, enroll};
use postern_tests::raw_agent::RawAgent;
use postern_tests::seeded::Seeded;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{scenario, wait};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest that a connection may be silent before the gateway ends it, with room for two busy cores.
const PATIENCE: Duration = Duration::from_secs(40);

/// Reads until the other end closes or resets; fails if it does neither in time.
async fn ended(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let mut said = Vec::new();
    let reading = async {
        // A reset is an end as well.
        stream.read_to_end(&mut said).await.ok();
    };
    tokio::time::timeout(PATIENCE, reading).await.context("the gateway keeps the connection open")?;
    Ok(said)
}

#[test]
fn garbage_and_plain_http_are_shown_the_door() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 50).await?;
        let gateway = site.control_plane.gateway_address();
        let mut random = Seeded::new(7);
        for length in [1, 5, 100, 70_000] {
            let garbage: Vec<u8> = std::iter::repeat_with(|| random.number().to_le_bytes()[0]).take(length).collect();
            let mut stream = TcpStream::connect(gateway).await?;
            stream.write_all(&garbage).await.ok();
            stream.shutdown().await.ok();
            ended(&mut stream).await.with_context(|| format!("{length} bytes of garbage"))?;
        }
        let mut stream = TcpStream::connect(gateway).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n").await?;
        let said = ended(&mut stream).await?;
        ensure!(!said.starts_with(b"HTTP/1.1 2"), "plain HTTP was served");
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn http_1_over_tls_is_refused() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        postern_runtime::tls::install_crypto_provider();
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(site.control_plane.data_dir().join("pki/ca.pem"))?;
        for certificate in postern_runtime::tls::certificates_from_pem(&pem, "the CA")? {
            roots.add(certificate)?;
        }
        for alpn in [None, Some(b"http/1.1".to_vec())] {
            let mut config =
                rustls::ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
            config.alpn_protocols = alpn.into_iter().collect();
            let tcp = TcpStream::connect(site.control_plane.gateway_address()).await?;
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let name = rustls_pki_types::ServerName::try_from("127.0.0.1")?;
            // Refused in the handshake or right after it: both are fine, an answer is not.
            let Ok(mut tls) = connector.connect(name, tcp).await else { continue };
            tls.write_all(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n").await.ok();
            let said = ended(&mut tls).await?;
            ensure!(!said.starts_with(b"HTTP/1.1 2"), "HTTP/1 was served");
        }
        site.api.import(DIRECTORY).await?;
        Ok(())
    })
}

#[test]
fn a_thousand_silent_connections_are_dropped_and_cost_nobody_an_import() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 50).await?;
        let mut silent = Vec::new();
        for _ in 0..1_000 {
            silent.push(TcpStream::connect(site.control_plane.gateway_address()).await?);
        }
        site.api.import(DIRECTORY).await.context("beside a thousand silent connections")?;
        site.compare().await?;
        for stream in &mut silent {
            ended(stream).await?;
        }
        Ok(())
    })
}

#[test]
fn an_oversized_frame_ends_the_session_and_no_other() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 50).await?;
        let identity = enroll(&site.api.enrollment_token().await?, &Circumstances::default()).await?;
        let mut hostile = RawAgent::connect(identity, "hostile").await?;
        let progress = |bytes: usize| Up::Progress(Progress { phase: "x".repeat(bytes), ..Progress::default() });
        // Large, and within the limit: the session goes on.
        hostile.say(progress(3 << 20)).await?;
        hostile.say(Up::Heartbeat(Heartbeat { echo: true })).await?;
        ensure!(matches!(hostile.next().await?, Down::Heartbeat(_)), "no answer after a large frame");
        hostile.say(progress(5 << 20)).await?;
        // Where the session went on, this would be answered.
        hostile.say(Up::Heartbeat(Heartbeat { echo: true })).await.ok();
        let Err(over) = hostile.next().await else { bail!("the session went on") };
        ensure!(format!("{over:#}").contains("too large"), "ended for another reason: {over:#}");
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn a_first_frame_that_is_no_hello_is_refused() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        let token = site.api.enrollment_token().await?;
        let identity = enroll(&token, &Circumstances::default()).await?;
        let parts = identity.parts().clone();
        let again = || postern_agent::identity::Identity::new(parts.clone());
        ensure!(RawAgent::connect_saying(again()?, None).await.is_err(), "an empty frame was welcome");
        let unset = Hello::default();
        ensure!(RawAgent::connect_saying(again()?, Some(Up::Hello(unset))).await.is_err(), "no version was welcome");
        let future = Hello { protocol_min: 99, protocol_max: 120, ..Hello::default() };
        ensure!(RawAgent::connect_saying(again()?, Some(Up::Hello(future))).await.is_err(), "version 99 was welcome");
        wait::until_true("the control plane still answers", wait::SOON, || async {
            site.api.get("/healthz").await.map(|_| true)
        })
        .await
    })
}
