//! How to get out: TCP or a proxy's tunnel, TLS, HTTP/2. One connection carries the session and all deliveries.

pub mod dial;
mod error;
pub mod http2;
pub mod line;
pub mod proxy;
pub mod tls;
mod tunnel;

use std::fmt;
use std::str::FromStr;

pub use self::dial::{Dial, Dialed};
pub use self::http2::Connection;
pub use self::line::Line;

/// Host and port of a control plane's gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// What is not an address.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not host:port")]
pub struct AddressError {
    text: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let Some((host, port)) = parts.filter(|(host, port)| !host.is_empty() && *port > 0) else {
            return Err(AddressError { text: text.to_owned() });
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self { host: bare.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip_with_brackets_only_outside() {
        for text in ["gw.example:8443", "127.0.0.1:1", "[::1]:8443"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:8443".parse::<Address>().unwrap().host, "::1");
        for text in ["gw.example", ":1", "gw:0", "gw:70000", ""] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
