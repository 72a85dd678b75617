//! docs/troubleshooting.md, the agent's part: the steps of `check`, why the control plane is not reached, and what directories
//! answer. Made from the code, so that none is missing.

use std::fmt::Write as _;
use std::io;

use crate::link::dial::Error;
use crate::link::{Address, proxy, tls};

pub(super) fn markdown() -> String {
    let mut text = String::from(
        "## The steps of `postern-agent check`\n\nThe row says what was found and what to do; here is what each tries.\n\n\
         | row | what it tries | if it fails, look at |\n| --- | --- | --- |\n",
    );
    for (name, tries, look) in postern_directory::CHECK_ROWS {
        let _ = writeln!(text, "| `{name}` | {tries} | {look} |");
    }
    text.push_str("\n## The agent does not reach the control plane\n\n| what it says | what to do |\n| --- | --- |\n");
    for error in samples() {
        let cure = error.cure().unwrap_or_else(|| "see the cause that follows in the message".to_owned());
        let _ = writeln!(text, "| {error} | {cure} |");
    }
    text.push_str(
        "\n## What directories answer\n\nThe LDAP result code is in the report of operations and in the agent's log.\n\n\
         | code | meaning | what to do |\n| --- | --- | --- |\n",
    );
    for result in postern_directory::ldap_results() {
        let _ = writeln!(text, "| {} | {} | {} |", result.code, result.meaning, result.cure.unwrap_or("-"));
    }
    text
}

/// One of each kind of error.
fn samples() -> Vec<Error> {
    let target = || Address { host: "gateway.example".to_owned(), port: 8443 };
    let proxy = || "proxy.example:3128".to_owned();
    let refused = |status: u16, reason: &str| Error::ProxyRefused {
        proxy: proxy(),
        target: target(),
        status,
        reason: reason.to_owned(),
    };
    vec![
        Error::Connect { target: target(), source: io::Error::from(io::ErrorKind::TimedOut).into() },
        Error::Connect { target: target(), source: io::Error::from(io::ErrorKind::ConnectionRefused).into() },
        Error::Timeout { step: "connecting to", target: target() },
        Error::Address { target: Address { host: "no name".to_owned(), port: 8443 } },
        Error::ProxySetting(proxy::Error::NotUrl),
        Error::ProxyUnreachable { proxy: proxy(), source: io::Error::from(io::ErrorKind::ConnectionRefused).into() },
        Error::ProxyCredentials { proxy: proxy(), sent: false, status: 407 },
        Error::ProxyCredentials { proxy: proxy(), sent: true, status: 407 },
        refused(403, "Forbidden"),
        refused(503, "Service Unavailable"),
        refused(302, "Found"),
        Error::NoProxy { proxy: proxy() },
        Error::Identity(tls::Error::Client(rustls::Error::General("other".to_owned()))),
        Error::Tls {
            target: target(),
            cure: Some(
                "exclude this address from TLS inspection if a firewall's certificate came; see the row `tls` of \
                 `postern-agent check`"
                    .to_owned(),
            ),
            source: io::Error::other("certificate"),
        },
        Error::Other(io::Error::other("other").into()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_error_is_missing() {
        // A new kind does not compile here, and is missed below until there is a sample of it.
        let place = |error: &Error| match error {
            Error::Address { .. } => 0,
            Error::ProxySetting(_) => 1,
            Error::Connect { .. } => 2,
            Error::ProxyUnreachable { .. } => 3,
            Error::ProxyCredentials { .. } => 4,
            Error::ProxyRefused { .. } => 5,
            Error::NoProxy { .. } => 6,
            Error::Timeout { .. } => 7,
            Error::Identity(_) => 8,
            Error::Tls { .. } => 9,
            Error::Other(_) => 10,
        };
        let places: BTreeSet<usize> = samples().iter().map(place).collect();
        assert_eq!(places, (0..=10).collect());
        let text = markdown();
        for part in ["| `bind` |", "asks for a user name and password (407)", "| 50 | the bind account lacks the right"]
        {
            assert!(text.contains(part), "{part}");
        }
    }
}
