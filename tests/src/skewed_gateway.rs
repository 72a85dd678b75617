//! A gateway whose clock is wrong: it shows a certificate of the control plane's own authority, answers every call with
//! "not implemented" as a gateway does to a call that it does not know, and sends its own time.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, DATE};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::certificates::CertificateAuthority;
use crate::ports::Port;

/// gRPC's UNIMPLEMENTED.
const UNIMPLEMENTED: &str = "12";

/// A gateway that lives in this process; gone when dropped.
#[derive(Debug)]
pub struct SkewedGateway {
    port: Port,
    // Aborted with everything in it when dropped.
    _accepting: JoinSet<()>,
}

impl SkewedGateway {
    /// Starts one on a free loopback port whose clock is this far ahead of ours, or behind.
    pub async fn start(authority: &CertificateAuthority, ahead: SignedDuration) -> Result<Self> {
        postern_runtime::tls::install_crypto_provider();
        let identity = authority.server(&["127.0.0.1", "localhost"])?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?;
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate], key).context("the certificate cannot be shown")?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let port = Port::free()?;
        let listener = TcpListener::bind(port.address()).await.context("the gateway cannot listen")?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), ahead));
        Ok(Self { port, _accepting: accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, ahead: SignedDuration) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        connections.spawn(async move { serve(stream, acceptor, ahead).await.ok() });
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, ahead: SignedDuration) -> Result<()> {
    let stream = acceptor.accept(stream).await?;
    let answers = service_fn(move |_: Request<Incoming>| async move { answer(ahead) });
    http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answers).await?;
    Ok(())
}

fn answer(ahead: SignedDuration) -> Result<Response<String>> {
    let time = Timestamp::now().checked_add(ahead)?;
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&time)?;
    let response = Response::builder().header(CONTENT_TYPE, "application/grpc").header("grpc-status", UNIMPLEMENTED);
    Ok(response.header(DATE, date).body(String::new())?)
}
