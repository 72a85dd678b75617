//! Clients that mean ill, or nothing at all, at the gateway: none of them costs the honest agent its import.

use std::net::SocketAddr;
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
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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

/// The connection preface and an empty SETTINGS frame, whose type is 4 (RFC 9113 §3.4, §6.5).
const HTTP_2_OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HTTP_2_SETTINGS: u8 = 4;

/// Types of TLS records (RFC 8446 §5.1).
const TLS_ALERT: u8 = 21;
const TLS_HANDSHAKE: u8 = 22;

/// Says this, and waits for the alert with which the gateway ends the connection: a limit on time would end it without.
async fn shown_the_door(gateway: SocketAddr, words: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(gateway).await?;
    stream.write_all(words).await.ok();
    let said = ended(&mut stream).await?;
    // Where more is on the way than was read, the kernel resets the connection, alert and all.
    let reset = words.len() > 60_000 && said.is_empty();
    ensure!(reset || said.first() == Some(&TLS_ALERT), "it answered {said:?}");
    Ok(())
}

#[test]
fn garbage_and_plain_http_are_shown_the_door() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 50).await?;
        let gateway = site.control_plane.gateway_address();
        let mut random = Seeded::new(7);
        for length in [5, 100, 70_000] {
            let garbage: Vec<u8> = std::iter::repeat_with(|| random.number().to_le_bytes()[0]).take(length).collect();
            ensure!(garbage[0] != TLS_HANDSHAKE, "that is no garbage");
            shown_the_door(gateway, &garbage).await.with_context(|| format!("{length} bytes of garbage"))?;
        }
        shown_the_door(gateway, b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n").await.context("plain HTTP")?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

/// A client without a certificate that offers these protocols, after its handshake.
async fn over_tls(site: &Site, protocols: &[&[u8]]) -> Result<TlsStream<TcpStream>> {
    postern_runtime::tls::install_crypto_provider();
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(site.control_plane.data_dir().join("pki/ca.pem"))?;
    for certificate in postern_runtime::tls::certificates_from_pem(&pem, "the CA")? {
        roots.add(certificate)?;
    }
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let tcp = TcpStream::connect(site.control_plane.gateway_address()).await?;
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
}

#[test]
fn http_1_over_tls_is_refused() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        let Err(refused) = over_tls(&site, &[b"http/1.1"]).await else { bail!("HTTP/1 was agreed on") };
        ensure!(refused.to_string().contains("NoApplicationProtocol"), "refused for another reason: {refused}");
        // Who agrees on nothing, and who agrees on HTTP/2 and speaks HTTP/1 all the same.
        for agreed in [&[][..], &[&b"h2"[..]]] {
            let mut tls = over_tls(&site, agreed).await?;
            tls.write_all(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n").await.ok();
            let said = ended(&mut tls).await?;
            let answered = said.windows(5).any(|some| some == b"HTTP/");
            ensure!(!answered, "HTTP/1 was answered: {}", String::from_utf8_lossy(&said));
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
fn a_client_that_is_silent_after_the_handshake_is_dropped() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        let mut silent = Vec::new();
        for opening in [&b""[..], HTTP_2_OPENING] {
            for _ in 0..20 {
                let mut tls = over_tls(&site, &[b"h2"]).await?;
                tls.write_all(opening).await?;
                tls.flush().await?;
                silent.push(tls);
            }
        }
        // HTTP/2 was spoken to those who began with it: they are not dropped for what they said.
        let mut settings = [0; 9];
        let last = silent.last_mut().context("nobody is silent")?;
        tokio::time::timeout(PATIENCE, last.read_exact(&mut settings)).await??;
        ensure!(settings[3] == HTTP_2_SETTINGS, "no SETTINGS but {settings:?}");
        site.api.import(DIRECTORY).await.context("beside silent connections")?;
        for tls in &mut silent {
            ended(tls).await?;
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
