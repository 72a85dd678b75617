//! The way to one server: name, TCP, TLS or STARTTLS, each step failing in its own words.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::config::DirectoryConfig;
use crate::error::{Error, Step};
use crate::server_url::ServerUrl;
use crate::tls::{CertificateSummary, Tls, TlsFailure};
use postern_dn::ber::{self, Malformed, Reader};

/// Anything bytes go through.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connected, and unless plaintext is allowed, encrypted stream.
pub(crate) struct Transport {
    pub(crate) wire: Box<dyn Wire>,
    /// What the server showed; empty without TLS.
    pub(crate) certificates: Vec<CertificateSummary>,
    /// The server's own.
    pub(crate) address: SocketAddr,
}

/// STARTTLS: an extended request with message id 1 and the object identifier 1.3.6.1.4.1.1466.20037 (RFC 4511 §4.14).
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// An answer to STARTTLS longer than this is none.
const MAX_START_TLS_ANSWER: usize = 64 * 1024;

const EXTENDED_RESPONSE: u8 = 0x78;

/// Taken from the socket at a time. `rustls` itself asks for 4 KiB, which costs a call for each, and lets the window
/// towards a fast server close so often that it stands still for the 200 ms of TCP's probe.
const READ_BYTES: usize = 64 * 1024;

/// Connects to `url`, at this very address if there is one; the caller bounds the time of the whole.
pub(crate) async fn connect(
    config: &DirectoryConfig,
    url: &ServerUrl,
    at: Option<SocketAddr>,
) -> Result<Transport, Error> {
    let stream = tcp(url, at, config.connect_timeout()).await?;
    let address = stream.peer_addr().map_err(|source| Error::Connect { url: url.text.clone(), source })?;
    if url.is_tls() {
        return secure(config, url, stream, address).await;
    }
    if config.start_tls {
        let stream = start_tls(url, stream).await?;
        return secure(config, url, stream, address).await;
    }
    Ok(Transport { wire: Box::new(stream), certificates: Vec::new(), address })
}

/// Resolves the name, unless the address is known, and opens the TCP connection.
pub(crate) async fn tcp(url: &ServerUrl, at: Option<SocketAddr>, limit: Duration) -> Result<TcpStream, Error> {
    let failed = |source| Error::Connect { url: url.text.clone(), source };
    let addresses = if let Some(address) = at {
        vec![address]
    } else {
        let resolved = tokio::time::timeout(limit, lookup_host((url.host.as_str(), url.port))).await;
        let resolved = resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        resolved.map_err(|source| Error::Resolve { url: url.text.clone(), source })?.collect()
    };
    let stream = first_of(&addresses, limit).await.map_err(failed)?;
    // Requests are small and waited for.
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// Connects to the first of these that answers. One that does not uses up its share of the time, and no more.
async fn first_of(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
    }
    Err(last)
}

async fn secure(
    config: &DirectoryConfig,
    url: &ServerUrl,
    stream: TcpStream,
    address: SocketAddr,
) -> Result<Transport, Error> {
    let tls = Tls::new(config).map_err(Error::TlsConfig)?;
    let failed = |failure, source| Error::Tls { url: url.text.clone(), failure, source };
    let name = url.server_name().map_err(|error| {
        failed(TlsFailure::WrongName { chain: Vec::new() }, io::Error::new(io::ErrorKind::InvalidInput, error))
    })?;
    match TlsConnector::from(std::sync::Arc::clone(&tls.config))
        .connect(name, BufReader::with_capacity(READ_BYTES, stream))
        .await
    {
        Ok(stream) => Ok(Transport { wire: Box::new(stream), certificates: tls.presented(), address }),
        Err(source) => Err(failed(tls.failure(&source), source)),
    }
}

async fn start_tls(url: &ServerUrl, mut stream: TcpStream) -> Result<TcpStream, Error> {
    let lost = |source| Error::Lost { step: Step::Connect, source };
    stream.write_all(START_TLS).await.map_err(lost)?;
    let mut answer = BytesMut::new();
    let total = loop {
        let malformed = |source| Error::Malformed { step: Step::Connect, source };
        match ber::header(&answer).map_err(malformed)? {
            Some(header) if header.total() > MAX_START_TLS_ANSWER => {
                return Err(malformed(Malformed("an oversized answer to STARTTLS")));
            }
            Some(header) if header.total() <= answer.len() => break header.total(),
            _ => {}
        }
        if stream.read_buf(&mut answer).await.map_err(lost)? == 0 {
            return Err(lost(io::ErrorKind::UnexpectedEof.into()));
        }
    };
    let malformed = |source| Error::Malformed { step: Step::Connect, source };
    if answer.len() > total {
        // Bytes before the handshake would be taken for protected ones (CVE-2011-0411 and its kin).
        return Err(malformed(Malformed("bytes behind the answer to STARTTLS")));
    }
    match result_code(&answer).map_err(malformed)? {
        0 => Ok(stream),
        code => Err(Error::StartTls { url: url.text.clone(), code }),
    }
}

fn result_code(message: &[u8]) -> Result<u32, Malformed> {
    let mut outer = Reader::new(message);
    let mut parts = Reader::new(outer.require(ber::SEQUENCE)?);
    parts.require(ber::INTEGER)?;
    let mut response = Reader::new(parts.require(EXTENDED_RESPONSE)?);
    let code = ber::integer(response.require(ber::ENUMERATED)?)?;
    u32::try_from(code).map_err(|_| Malformed("a negative result code"))
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        // A listener that accepts nothing and whose queue is full drops what comes after.
        let full = TcpSocket::new_v4().expect("a socket");
        full.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let full = full.listen(1).expect("a listener");
        let silent = full.local_addr().expect("an address");
        let mut waiting = Vec::new();
        while let Ok(connected) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(silent)).await {
            waiting.push(connected.expect("room in the queue"));
        }
        let good = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let good = good.local_addr().expect("an address");
        let limit = Duration::from_millis(600);
        let reached = tokio::time::timeout(limit, first_of(&[silent, good], limit)).await.expect("no time left");
        assert_eq!(reached.expect("a stream").peer_addr().expect("an address"), good);
        let alone = first_of(&[silent], Duration::from_millis(50)).await;
        assert_eq!(alone.expect_err("nobody answers").kind(), io::ErrorKind::TimedOut);
        assert!(first_of(&[], limit).await.is_err());
    }

    #[tokio::test]
    async fn a_known_address_is_used_whatever_the_name_leads_to_now() {
        let first = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let port = first.local_addr().expect("an address").port();
        let other = TcpListener::bind(("127.0.0.2", port)).await.expect("a listener");
        let url = ServerUrl::parse(&format!("ldap://127.0.0.1:{port}")).expect("valid");
        let known = other.local_addr().expect("an address");
        let limit = Duration::from_secs(5);
        for (at, reached) in [(None, &first), (Some(known), &other)] {
            let stream = tcp(&url, at, limit).await.expect("a stream");
            assert_eq!(stream.peer_addr().ok(), reached.local_addr().ok());
        }
        drop(other);
        assert!(matches!(tcp(&url, Some(known), limit).await, Err(Error::Connect { .. })), "and no other address");
    }

    #[test]
    fn the_start_tls_request_is_well_formed() {
        let mut outer = Reader::new(START_TLS);
        let mut parts = Reader::new(outer.require(ber::SEQUENCE).expect("a message"));
        assert!(outer.is_empty());
        assert_eq!(parts.require(ber::INTEGER), Ok(&[1_u8][..]));
        let mut request = Reader::new(parts.require(0x77).expect("a request"));
        assert_eq!(request.require(0x80), Ok(&b"1.3.6.1.4.1.1466.20037"[..]));
        assert!(parts.is_empty() && request.is_empty());
    }

    #[test]
    fn its_answer_is_read() {
        assert_eq!(result_code(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00"), Ok(52));
        assert!(result_code(b"\x30\x03\x02\x01\x01").is_err());
    }
}
