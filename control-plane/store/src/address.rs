//! The address of the database. Its password is never shown.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::error::{Error, Result};

/// The address of the database.
#[derive(Clone)]
pub struct DatabaseUrl(Address);

/// The engine, with what is needed to reach it.
#[derive(Clone)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl DatabaseUrl {
    /// A `SQLite` file, created if it does not exist.
    pub fn sqlite(path: &Path) -> Self {
        Self(Address::Sqlite(path.to_owned()))
    }

    /// `postgres://user:password@host:port/database?sslmode=…`, or `sqlite:` and the path of a file.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")) {
            if path.is_empty() {
                return Err(Error::Address { what: "the path is missing".to_owned() });
            }
            return Ok(Self::sqlite(Path::new(path)));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(Error::Address { what: "it must start with postgres:// or sqlite:".to_owned() });
        }
        // The parser's message could contain the password.
        let options = PgConnectOptions::from_str(text)
            .map_err(|_| Error::Address { what: "the postgres:// URL is not well formed".to_owned() })?;
        let options = if names_sslmode(text) || is_local(&options) {
            options
        } else {
            // By default the driver would go on without TLS if the server, or an attacker in between, offers none.
            options.ssl_mode(PgSslMode::VerifyFull)
        };
        Ok(Self(Address::Postgres(Box::new(options))))
    }

    /// Sets the password for `PostgreSQL`. A file has none.
    #[must_use]
    pub fn with_password(self, password: &str) -> Self {
        match self.0 {
            Address::Postgres(options) => Self(Address::Postgres(Box::new(options.password(password)))),
            sqlite @ Address::Sqlite(_) => Self(sqlite),
        }
    }

    /// The file of a `SQLite` database.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Address::Sqlite(path) => Some(path),
            Address::Postgres(_) => None,
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0
    }
}

/// Whether the URL or the environment sets the TLS mode.
fn names_sslmode(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let in_url = query.split('&').any(|pair| matches!(pair.split('=').next(), Some("sslmode" | "ssl-mode")));
    in_url || std::env::var_os("PGSSLMODE").is_some_and(|mode| !mode.is_empty())
}

/// Whether the connection to the server stays on this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_matches(['[', ']']);
    options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Sqlite(path) => write!(formatter, "DatabaseUrl(sqlite:{})", path.display()),
            Address::Postgres(options) => {
                write!(formatter, "DatabaseUrl(postgres://{}:{})", options.get_host(), options.get_port())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_verified_unless_it_is_on_this_machine_or_the_url_says_otherwise() {
        for (url, mode) in [
            ("postgres://postern@db.example/postern", PgSslMode::VerifyFull),
            ("postgres://postern@10.0.0.7:6432/postern?application_name=sslmode", PgSslMode::VerifyFull),
            ("postgres://postern@db.example/postern?sslrootcert=/etc/ca.pem", PgSslMode::VerifyFull),
            ("postgres://db.example/postern?host=10.0.0.7", PgSslMode::VerifyFull),
            ("postgres://postern@db.example/postern?sslmode=prefer", PgSslMode::Prefer),
            ("postgres://postern@db.example/postern?application_name=x&ssl-mode=disable", PgSslMode::Disable),
            ("postgres://postern@127.0.0.1:5432/postern", PgSslMode::Prefer),
            ("postgres://postern@[::1]/postern", PgSslMode::Prefer),
            ("postgres://postern@localhost/postern", PgSslMode::Prefer),
            ("postgres://postern@%2Frun%2Fpostgresql/postern", PgSslMode::Prefer),
        ] {
            let Ok(DatabaseUrl(Address::Postgres(options))) = DatabaseUrl::parse(url) else { panic!("{url}") };
            assert_eq!(format!("{:?}", options.get_ssl_mode()), format!("{mode:?}"), "{url}");
        }
    }

    #[test]
    fn addresses_are_parsed_and_never_show_a_password() {
        let url = DatabaseUrl::parse("postgres://postern:hunter2@db.example:6432/postern?sslmode=require").unwrap();
        assert_eq!(format!("{url:?}"), "DatabaseUrl(postgres://db.example:6432)");
        let file = DatabaseUrl::parse("sqlite:///var/lib/postern/postern.db").unwrap();
        assert_eq!(format!("{file:?}"), "DatabaseUrl(sqlite:/var/lib/postern/postern.db)");
        for wrong in ["", "mysql://x", "sqlite:", "postgres://user:hunter2@[broken"] {
            let error = DatabaseUrl::parse(wrong).unwrap_err();
            assert!(matches!(error, Error::Address { .. }));
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }
}
