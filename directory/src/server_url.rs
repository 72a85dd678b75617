//! The address of one LDAP server.

use rustls_pki_types::ServerName;
use thiserror::Error;
use url::Url;

/// `ldaps://host:port` or `ldap://host:port`, and nothing more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ServerUrl {
    pub(crate) text: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    tls: bool,
}

/// Why a text is no server address.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub(crate) struct UrlError(&'static str);

impl ServerUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError("not a URL such as ldaps://ldap1.corp.example:636"))?;
        let tls = match url.scheme() {
            "ldaps" => true,
            "ldap" => false,
            _ => return Err(UrlError("starts with neither ldaps:// nor ldap://")),
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        if host.is_empty() {
            return Err(UrlError("has no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError("contains a user; use bind_dn for that"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError("has something after host and port; use base_dns and filter for that"));
        }
        if ServerName::try_from(host.as_str()).is_err() {
            return Err(UrlError("has a host that is neither a DNS name nor an IP address"));
        }
        let port = url.port().unwrap_or(if tls { 636 } else { 389 });
        Ok(Self { text: text.to_owned(), host, port, tls })
    }

    /// Whether TLS starts with the first byte.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// The name that the server's certificate must be for.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, UrlError> {
        ServerName::try_from(self.host.clone()).map_err(|_| {
            UrlError(
                "has a host for which no certificate can be \
        issued",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_their_default_ports() {
        let read =
            |text: &str| ServerUrl::parse(text).map(|url| (url.host, url.port, url.tls)).map_err(|error| error.0);
        assert_eq!(read("ldaps://LDAP1.corp.example"), Ok(("ldap1.corp.example".to_owned(), 636, true)));
        assert_eq!(read("ldap://10.0.0.1:3890/"), Ok(("10.0.0.1".to_owned(), 3890, false)));
        assert_eq!(read("ldaps://[::1]:1636"), Ok(("::1".to_owned(), 1636, true)));
        for text in ["ldap1.corp.example", "https://x", "ldaps://", "ldaps://u:p@x", "ldaps://x/dc=corp", "ldaps://a b"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
