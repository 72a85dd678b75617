//! How the agent proves itself to the directory. Files are read at each connection, so that a rotated secret is seen
//! without a restart.

use std::io;
use std::path::{Path, PathBuf};

use postern_platform::seal;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::DirectoryConfig;

/// Larger than any password, key or bundle of authorities.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A secret or certificate that the configuration names could not be had.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{key}: cannot read {}", path.display())]
    Unreadable {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing in it. Sent as a password it would mean an anonymous bind (RFC 4513 §5.1.2).
    #[error("{key}: empty")]
    Empty {
        /// The configuration key.
        key: &'static str,
    },
    /// It is not UTF-8 text.
    #[error("{key}: not UTF-8 text")]
    NotText {
        /// The configuration key.
        key: &'static str,
    },
    /// It begins with a byte order mark, which would become part of the password.
    #[error("{key}: begins with a byte order mark; save the file as UTF-8 without one")]
    ByteOrderMark {
        /// The configuration key.
        key: &'static str,
    },
    /// systemd passed no credentials to this process.
    #[error("bind_password_credential: no CREDENTIALS_DIRECTORY in the environment")]
    NoCredentialsDirectory,
}

/// How to bind.
pub(crate) enum Credentials {
    /// Simple bind (RFC 4513 §5.1.3).
    Simple { bind_dn: String, password: SecretString },
    /// SASL EXTERNAL: the client certificate, here its file's content, says who we are.
    External { certificate: Vec<u8> },
}

/// The credentials as they stand on disk at this moment.
pub(crate) fn credentials(config: &DirectoryConfig) -> Result<Credentials, SecretError> {
    let Some(bind_dn) = config.bind_dn.clone() else {
        let read = |path: &PathBuf| read_file("client_cert_file", path);
        let certificate = config.client_cert_file.as_ref().map(read).transpose()?.unwrap_or_default();
        return Ok(Credentials::External { certificate });
    };
    let password = if let Some(password) = &config.bind_password {
        password.clone()
    } else if let Some(path) = &config.bind_password_file {
        password_in("bind_password_file", path)?
    } else if let Some(name) = &config.bind_password_credential {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(SecretError::NoCredentialsDirectory)?;
        password_in("bind_password_credential", &Path::new(&folder).join(name))?
    } else {
        return Err(SecretError::Empty { key: "bind_password_file" });
    };
    if password.expose_secret().is_empty() {
        return Err(SecretError::Empty { key: "bind_password" });
    }
    Ok(Credentials::Simple { bind_dn, password })
}

fn password_in(key: &'static str, path: &Path) -> Result<SecretString, SecretError> {
    let mut bytes = read_file(key, path)?;
    if [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| bytes.starts_with(mark)) {
        return Err(SecretError::ByteOrderMark { key });
    }
    // Editors and `echo` end a file with a newline, which is no part of the password.
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(SecretError::Empty { key });
    }
    String::from_utf8(bytes).map(SecretString::from).map_err(|_| SecretError::NotText { key })
}

/// A file that the configuration names, refused when it is absurdly large.
pub(crate) fn read_file(key: &'static str, path: &Path) -> Result<Vec<u8>, SecretError> {
    let unreadable = |source| SecretError::Unreadable { key, path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB")));
    }
    std::fs::read(path).and_then(seal::open).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::super::tests::corp;
    use super::*;

    #[test]
    fn one_newline_at_the_end_is_no_part_of_the_password() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let mut config = corp();
        config.bind_password_file = Some(path.clone());
        std::fs::write(&path, " p\u{e4}ss \r\n").expect("written");
        let Ok(Credentials::Simple { password, .. }) = credentials(&config) else { panic!("no password") };
        assert_eq!(password.expose_secret(), " p\u{e4}ss ");
        for marked in [&b"\xef\xbb\xbfsecret"[..], b"\xff\xfes\0e\0c\0"] {
            std::fs::write(&path, marked).expect("written");
            assert!(matches!(credentials(&config), Err(SecretError::ByteOrderMark { .. })));
        }
        std::fs::write(&path, "\n").expect("written");
        assert!(matches!(credentials(&config), Err(SecretError::Empty { .. })));
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(credentials(&config), Err(SecretError::Unreadable { .. })));
    }
}
