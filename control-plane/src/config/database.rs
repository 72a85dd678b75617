//! Which database is used, and where its password is read.

use std::path::{Path, PathBuf};

use postern_runtime::secret;
use postern_store::DatabaseUrl;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::error::{Error, PasswordError};
use crate::home::DATABASE_FILE;

/// Where systemd puts a service's credentials (systemd.exec(5)).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where to read the password if the URL does not contain it.
#[derive(Clone, Debug, Default)]
pub struct PasswordSource {
    /// A file that only its owner may read.
    pub file: Option<PathBuf>,
    /// Name of a systemd credential.
    pub credential: Option<String>,
}

/// The database of the URL, or the file in the data folder.
pub fn database(url: Option<&SecretString>, password: &PasswordSource, data_dir: &Path) -> Result<DatabaseUrl, Error> {
    let found = password.read().map_err(Error::Password)?;
    let Some(url) = url else {
        return match found {
            Some(_) => Err(Error::Password(PasswordError::NoUrl)),
            None => Ok(DatabaseUrl::sqlite(&data_dir.join(DATABASE_FILE))),
        };
    };
    let parsed = DatabaseUrl::parse(url.expose_secret()).map_err(Error::Database)?;
    match found {
        None => Ok(parsed),
        Some(_) if has_password(url) => Err(Error::Password(PasswordError::Twice)),
        Some(_) if parsed.file().is_some() => Err(Error::Password(PasswordError::NoUrl)),
        Some(password) => Ok(parsed.with_password(password.expose_secret())),
    }
}

impl PasswordSource {
    fn read(&self) -> Result<Option<SecretString>, PasswordError> {
        let text = match (&self.file, &self.credential) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(PasswordError::Twice),
            (Some(file), None) => secret::read_private(file).map_err(PasswordError::File)?,
            (None, Some(name)) => {
                let folder = std::env::var_os(CREDENTIALS_DIRECTORY).ok_or(PasswordError::NoCredentials)?;
                let path = Path::new(&folder).join(name);
                // systemd keeps it in a folder that only this service can read, so the file's own mode does not matter.
                std::fs::read_to_string(&path)
                    .map(SecretString::from)
                    .map_err(|source| PasswordError::Credential { path, source })?
            }
        };
        let line = text.expose_secret();
        // Editors and `echo` end a file with a newline, which is not part of the password.
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() { Err(PasswordError::Empty) } else { Ok(Some(SecretString::from(line))) }
    }
}

/// Whether a database URL contains a password.
pub fn has_password(url: &SecretString) -> bool {
    Url::parse(url.expose_secret()).is_ok_and(|url| {
        url.password().is_some_and(|password| !password.is_empty())
            || url.query_pairs().any(|(key, _)| key == "password")
    })
}

/// Refuses a configuration file with a password that others could read or change.
#[cfg(unix)]
pub(super) fn refuse_exposed(file: &Path, url: Option<&SecretString>) -> Result<(), PasswordError> {
    use std::os::unix::fs::PermissionsExt as _;
    /// Readable by others than owner and group, or writable by others than the owner.
    const TOO_WIDE: u32 = 0o026;
    let Ok(metadata) = std::fs::metadata(file) else { return Ok(()) };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & TOO_WIDE != 0 && url.is_some_and(has_password) {
        return Err(PasswordError::Exposed { path: file.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn refuse_exposed(_file: &Path, _url: Option<&SecretString>) -> Result<(), PasswordError> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Settings;
    use super::*;

    const WITH_PASSWORD: &str = "postgres://postern:hunter2@db.example/postern";
    const WITHOUT: &str = "postgres://postern@db.example/postern";

    fn file(folder: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn words(error: &Error) -> String {
        postern_runtime::supervise::chain(error)
    }

    #[test]
    fn a_configuration_file_with_a_password_is_refused_when_others_can_read_or_change_it() {
        let folder = tempfile::tempdir().unwrap();
        for (url, mode, refused) in [
            (WITH_PASSWORD, 0o644, true),
            (WITH_PASSWORD, 0o660, true),
            (WITH_PASSWORD, 0o640, false),
            (WITH_PASSWORD, 0o600, false),
            ("postgres://db.example/postern?user=postern&password=hunter2", 0o644, true),
            (WITHOUT, 0o644, false),
        ] {
            let path = file(folder.path(), "postern.toml", &format!("database_url = \"{url}\"\n"), mode);
            let loaded = Settings::load(Some(&path));
            assert_eq!(loaded.is_err(), refused, "{url} {mode:o}");
            if let Err(error) = loaded {
                let words = words(&error);
                assert!(words.contains("chmod 640") && !words.contains("hunter2"), "{words}");
            }
        }
    }

    #[test]
    fn the_password_comes_from_a_private_file_and_never_twice() {
        let folder = tempfile::tempdir().unwrap();
        let source = |name, content, mode| PasswordSource {
            file: Some(file(folder.path(), name, content, mode)),
            credential: None,
        };
        let with = |url: Option<&str>, source: &PasswordSource| {
            database(url.map(SecretString::from).as_ref(), source, folder.path())
        };
        let good = source("good", "hunter2\n", 0o600);
        assert!(good.read().unwrap().is_some_and(|password| password.expose_secret() == "hunter2"));
        assert!(!format!("{:?}", with(Some(WITHOUT), &good).unwrap()).contains("hunter2"));
        let open = with(Some(WITHOUT), &source("open", "hunter2", 0o644)).unwrap_err();
        assert!(words(&open).contains("chmod 600"), "{}", words(&open));
        let refused = |url, source: &PasswordSource| with(url, source).unwrap_err();
        assert!(matches!(refused(Some(WITH_PASSWORD), &good), Error::Password(PasswordError::Twice)));
        assert!(matches!(refused(Some(WITHOUT), &source("empty", "\n", 0o600)), Error::Password(PasswordError::Empty)));
        assert!(matches!(refused(None, &good), Error::Password(PasswordError::NoUrl)));
        assert!(matches!(refused(Some("sqlite:x.db"), &good), Error::Password(PasswordError::NoUrl)));
        let both = PasswordSource { credential: Some("x".to_owned()), ..good };
        assert!(matches!(refused(Some(WITHOUT), &both), Error::Password(PasswordError::Twice)));
    }
}
