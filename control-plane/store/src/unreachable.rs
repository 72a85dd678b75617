//! Explains why `PostgreSQL` cannot be used, and what to do. A pool only reports a timeout; a single connection shows
//! the cause.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::DatabaseUrl;
use crate::address::Address;
use crate::error::{EngineError, Error};

/// Timeout of that connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The failure to open a database, with its cause if it can be found.
pub(crate) async fn explain(url: &DatabaseUrl, failed: Error) -> Error {
    let Address::Postgres(options) = url.address() else { return failed };
    let cause = match failed {
        Error::Unavailable(EngineError::Postgres(sqlx::Error::PoolTimedOut)) => match probe(options).await {
            Some(cause) => cause,
            None => return Error::from(sqlx::Error::PoolTimedOut),
        },
        Error::Unavailable(EngineError::Postgres(cause)) | Error::Other(EngineError::Postgres(cause)) => cause,
        other => return other,
    };
    let Some((problem, cure)) = known(&cause) else { return Error::from(cause) };
    let server = format!("{}:{}", options.get_host(), options.get_port());
    Error::Connect { server, problem, cure, source: cause }
}

async fn probe(options: &PgConnectOptions) -> Option<sqlx::Error> {
    match tokio::time::timeout(PATIENCE, options.clone().disable_statement_logging().connect()).await {
        Ok(Ok(connection)) => {
            close(connection).await;
            None
        }
        Ok(Err(cause)) => Some(cause),
        Err(_) => Some(sqlx::Error::Io(ErrorKind::TimedOut.into())),
    }
}

async fn close(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "store.close_failed");
    }
}

/// The problem and the remedy.
fn known(cause: &sqlx::Error) -> Option<(&'static str, &'static str)> {
    match cause {
        sqlx::Error::Io(error) => Some(match error.kind() {
            ErrorKind::ConnectionRefused => {
                ("the connection is refused", "start PostgreSQL there, or correct host and port in the database URL")
            }
            // The TLS library reports a failed handshake this way.
            ErrorKind::InvalidData => handshake(&error.to_string()),
            ErrorKind::TimedOut => {
                ("nobody answers", "look for a firewall, or correct host and port in the database URL")
            }
            _ => ("the connection fails", "correct host and port in the database URL"),
        }),
        sqlx::Error::Tls(error) if error.to_string().contains("does not support TLS") => Some((
            "TLS fails: the server offers none",
            "turn ssl on in its postgresql.conf; only where everything between is trusted, add sslmode=disable to the \
             database URL",
        )),
        sqlx::Error::Tls(error) => Some(handshake(&error.to_string())),
        sqlx::Error::Database(error) => match error.code()?.as_ref() {
            "28P01" => Some(("password authentication fails", "correct user and password in the database URL")),
            "28000" => Some(("the user is not let in", "correct the user in the database URL, or pg_hba.conf")),
            "3D000" => Some(("there is no such database", "make it with createdb, or correct the database URL")),
            "53300" => Some(("it has no connection left", "raise max_connections of PostgreSQL")),
            _ => None,
        },
        _ => None,
    }
}

/// The problem with a TLS handshake, from the TLS library's message.
fn handshake(words: &str) -> (&'static str, &'static str) {
    let is = |word: &str| words.contains(word);
    if is("UnknownIssuer") || is("CaUsedAsEndEntity") || is("BadSignature") {
        (
            "TLS fails: the authority of its certificate is not trusted",
            "name that authority's file by sslrootcert=FILE in the database URL",
        )
    } else if is("NotValidForName") || is("not valid for name") {
        (
            "TLS fails: its certificate is for another name",
            "use a host name from the certificate in the database URL, or add sslmode=verify-ca to it",
        )
    } else if is("Expired") || is("expired") {
        ("TLS fails: its certificate has expired", "have a new certificate issued for the database server")
    } else {
        ("TLS fails", "check the server's certificate, and sslmode and sslrootcert in the database URL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pool_that_timed_out_is_reported_by_its_cause_and_without_the_password() {
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = DatabaseUrl::parse(&format!("postgres://postern:hunter2@127.0.0.1:{port}/postern")).unwrap();
        let error = explain(&url, Error::from(sqlx::Error::PoolTimedOut)).await;
        let text = error.to_string();
        assert!(text.contains("the connection is refused; start PostgreSQL there"), "{text}");
        assert!(text.contains(&format!("127.0.0.1:{port}")) && !format!("{error:?}").contains("hunter2"), "{error:?}");
        assert!(error.is_retryable());
    }
}
