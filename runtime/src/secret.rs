//! Files that only their owner may read: written whole or not at all, refused when others could read them. Where the system
//! can seal secrets to the machine (Windows), they are.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use postern_platform::files::{self, Readers};
use postern_platform::seal;
use secrecy::SecretString;
use zeroize::{Zeroize as _, Zeroizing};

/// What went wrong with a secret file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the secret file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner can read the file.
    #[error("the secret file {path} can be read by others ({how}); run: {cure}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// By what.
        how: String,
        /// What to run.
        cure: String,
    },
    /// The file was sealed for another machine, or is damaged.
    #[error("the secret file {path} cannot be opened on this machine; write it again")]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not text.
    #[error("the secret file {path} is not UTF-8 text")]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Writes `bytes` to `path`, for its owner only. Readers see the old file or the new one, never half of one, also after
/// a power cut.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let sealed = Zeroizing::new(seal::seal(bytes).map_err(failed)?);
    replace(path, &sealed, Readers::Owner).map_err(failed)
}

/// The same for a file that is no secret, for everybody to read.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    replace(path, bytes, Readers::All).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Reads a secret, and refuses a file that others than its owner can read.
pub fn read_private(path: &Path) -> Result<SecretString, Error> {
    let reading = |source| Error::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(reading)?;
    // Asked of the open file, so that it cannot be exchanged in between.
    if let Some((how, cure)) = files::exposed(path, &file).map_err(reading)? {
        return Err(Error::Exposed { path: path.to_owned(), how, cure });
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes).map_err(reading)?;
    let bytes = seal::open(bytes).map_err(|source| Error::Sealed { path: path.to_owned(), source })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(SecretString::from(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(Error::NotText { path: path.to_owned() })
        }
    }
}

fn replace(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let temporary = folder.join(format!(".{}.{:016x}", name.to_string_lossy(), rand::random::<u64>()));
    let written = files::create(&temporary, readers).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| std::fs::rename(&temporary, path)) {
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    files::sync_folder(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn what_was_written_is_private_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_private(&path, b"first").unwrap();
        write_private(&path, b"second").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(read_private(&path).unwrap().expose_secret(), "second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_a_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_public(&path, b"open").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_private(&path).unwrap_err().to_string();
        assert!(error.contains("mode 0640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("taken");
        std::fs::create_dir(&target).unwrap();
        assert!(write_private(&target, b"x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
