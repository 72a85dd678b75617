//! Crowds at the doors: connections that only occupy a place keep out neither an enrolled agent, nor one that enrolls, nor
//! the holder of a token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::in_process_agent::{Circumstances, enroll};
use postern_tests::scenario;
use postern_tests::site::{DIRECTORY, Site};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest wait of somebody who knocks in earnest, on a loaded machine.
const SOON: Duration = Duration::from_secs(8);

/// An agent imports, a token holder asks over a new connection, and a new agent enrolls, all of them soon.
async fn everybody_gets_through(site: &Site) -> Result<()> {
    let fresh = site.control_plane.client(site.api.token())?;
    tokio::time::timeout(SOON, fresh.get("/api/v1/directories")).await.context("the API is blocked")??;
    let token = tokio::time::timeout(SOON, fresh.enrollment_token()).await.context("the API is blocked")??;
    let circumstances = Circumstances::default();
    let enrolling = enroll(&token, &circumstances);
    tokio::time::timeout(SOON, enrolling).await.context("enrollment is blocked")??;
    site.api.import(DIRECTORY).await.context("the enrolled agent is blocked")?;
    site.compare().await
}

async fn connections(to: SocketAddr, count: usize, words: &[u8]) -> Result<Vec<TcpStream>> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        let mut tcp = TcpStream::connect(to).await?;
        // Connections that were closed meanwhile have lost their place.
        tcp.write_all(words).await.ok();
        open.push(tcp);
    }
    Ok(open)
}

/// The opening of HTTP/2 with one request that carries no token.
fn request_without_token() -> Vec<u8> {
    let mut words = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // :method GET, :scheme http, :path /, :authority x; all of the static table (RFC 7541, appendix A).
    let fields = [0x82, 0x86, 0x84, 0x41, 1, b'x'];
    words.extend([0, 0, 6, 1, 5, 0, 0, 0, 1]);
    words.extend(fields);
    words
}

#[test]
fn idle_http_2_connections_without_a_token_do_not_block_the_api() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        let idle = connections(site.control_plane.api_address(), 2_100, &request_without_token()).await?;
        everybody_gets_through(&site).await?;
        drop(idle);
        Ok(())
    })
}

#[test]
fn silent_connections_do_not_delay_a_new_agent() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        let silent = connections(site.control_plane.gateway_address(), 4_300, b"").await?;
        everybody_gets_through(&site).await?;
        drop(silent);
        Ok(())
    })
}

async fn without_certificate(site: &Site) -> Result<TlsStream<TcpStream>> {
    postern_runtime::tls::install_crypto_provider();
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(site.control_plane.data_dir().join("pki/ca.pem"))?;
    for certificate in postern_runtime::tls::certificates_from_pem(&pem, "the CA")? {
        roots.add(certificate)?;
    }
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(site.control_plane.gateway_address()).await?;
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
}

#[test]
fn anonymous_connections_do_not_lock_enrollment_out() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        let mut idle = Vec::new();
        for _ in 0..530 {
            let mut tls = without_certificate(&site).await?;
            tls.write_all(&request_without_token()).await.ok();
            idle.push(tls);
        }
        everybody_gets_through(&site).await?;
        drop(idle);
        Ok(())
    })
}

#[test]
fn guesses_of_tokens_are_slowed_down_and_a_valid_token_is_taken_all_the_same() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        let guess = site.control_plane.client("pst_guess")?;
        let (mut refused, mut throttled) = (0, 0);
        for _ in 0..300 {
            match guess.get("/api/v1/users").await {
                Err(error) if format!("{error:#}").contains("429") => throttled += 1,
                Err(error) if format!("{error:#}").contains("401") => refused += 1,
                other => anyhow::bail!("a guess was answered with {other:?}"),
            }
        }
        ensure!(throttled > 100, "{refused} guesses were answered, {throttled} were throttled");
        site.api.get("/api/v1/users").await.context("the valid token was refused")?;
        let lines = site.control_plane.log().lines().filter(|line| line.contains("api.refused")).count();
        ensure!(lines <= refused, "{lines} lines for {refused} refusals");
        let metrics = site.control_plane.metrics()?.get("/metrics").await?;
        let counted = |name: &str| metrics.as_str().unwrap_or_default().contains(name);
        ensure!(counted("postern_api_refused_total 300") && counted("postern_api_throttled_total"), "{metrics}");
        Ok(())
    })
}
