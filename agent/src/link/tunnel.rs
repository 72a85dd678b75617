//! The way through an HTTP proxy: CONNECT (RFC 9110 §9.3.6), with the proxy's own answer where it says no.

use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Address;
use super::error::Error;
use super::proxy::Proxy;

/// A longer head of an answer is none.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// More of the proxy's reason is not shown.
const MAX_REASON_CHARS: usize = 80;

/// Asks the proxy at the other end of `stream` for a way to `target`.
pub(super) async fn open(mut stream: TcpStream, target: &Address, proxy: &Proxy) -> Result<TcpStream, Error> {
    let broken = |source: std::io::Error| Error::ProxyUnreachable { proxy: proxy.to_string(), source: source.into() };
    stream.write_all(&request(target, proxy.authorization.as_ref())).await.map_err(broken)?;
    let mut head = Vec::new();
    let end = loop {
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if head.len() > MAX_HEAD_BYTES {
            return Err(Error::NoProxy { proxy: proxy.to_string() });
        }
        if stream.read_buf(&mut head).await.map_err(broken)? == 0 {
            // Whatever this is, it does not speak HTTP.
            return Err(Error::NoProxy { proxy: proxy.to_string() });
        }
    };
    let Some((status, reason)) = status(&head) else { return Err(Error::NoProxy { proxy: proxy.to_string() }) };
    match status {
        // The other end says nothing before our handshake: more bytes are a page for people.
        200..=299 if head.len() == end => Ok(stream),
        200..=299 => Err(Error::ProxyRefused {
            proxy: proxy.to_string(),
            target: target.clone(),
            status,
            reason: "and a page".to_owned(),
        }),
        // Some proxies answer 401 to a wrong password.
        401 | 407 => {
            Err(Error::ProxyCredentials { proxy: proxy.to_string(), sent: proxy.authorization.is_some(), status })
        }
        _ => Err(Error::ProxyRefused { proxy: proxy.to_string(), target: target.clone(), status, reason }),
    }
}

fn request(target: &Address, authorization: Option<&HeaderValue>) -> Vec<u8> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// `HTTP/1.1 403 Forbidden`: the number and the words.
fn status(head: &[u8]) -> Option<(u16, String)> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = String::from_utf8_lossy(line);
    let mut parts = line.splitn(3, ' ');
    parts.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = parts.next()?.parse().ok().filter(|status| (100..600).contains(status))?;
    let reason = parts.next().unwrap_or_default();
    Some((status, reason.chars().filter(|letter| !letter.is_control()).take(MAX_REASON_CHARS).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_is_read_and_rubbish_is_none() {
        assert_eq!(status(b"HTTP/1.1 403 Forbidden\r\n\r\n"), Some((403, "Forbidden".to_owned())));
        assert_eq!(status(b"HTTP/1.0 200\r\n\r\n"), Some((200, String::new())));
        for rubbish in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 999 x\r\n\r\n", "\r\n\r\n"] {
            assert_eq!(status(rubbish.as_bytes()), None, "{rubbish}");
        }
    }
}
