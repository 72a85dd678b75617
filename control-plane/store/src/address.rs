//! Where the database is. A password in it is never shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

use crate::error::{Error, Result};

/// Where the database is.
#[derive(Clone)]
pub struct DatabaseUrl(Address);

/// The engine with what it needs to be reached.
#[derive(Clone)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl DatabaseUrl {
    /// A `SQLite` file, created when it is not there.
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
        // The parser's own words could repeat the password.
        let options = PgConnectOptions::from_str(text)
            .map_err(|_| Error::Address { what: "the postgres:// URL is not well formed".to_owned() })?;
        Ok(Self(Address::Postgres(Box::new(options))))
    }
}

impl DatabaseUrl {
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
