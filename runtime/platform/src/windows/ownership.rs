//! Whether files and folders belong to those who may change the service anyway. Whoever owns a folder can put links into it,
//! and a process with more rights would write wherever they lead.

use std::io;
use std::path::{Path, PathBuf};

use super::files::SERVICE_SID;
use super::raw;

/// Why a file or folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to another account ({owner}); look at what is in it, and if everything is yours, run as an \
         administrator: postern-agent service protect \"{path}\""
    )]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Its owner, as a SID.
        owner: String,
    },
    /// It is a link.
    #[error("{path} is a link and may lead to another file; look where it leads, then remove it")]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error("cannot look at {path}")]
    Look {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Refuses a folder that belongs neither to this account nor to SYSTEM, Administrators or the service. A missing one is
/// accepted.
pub fn check_folder(path: &Path) -> Result<(), Error> {
    if present(path)?.is_none() {
        return Ok(());
    }
    let looking = |source| Error::Look { path: path.to_owned(), source };
    let security = raw::security_of(path).map_err(looking)?;
    let owner = owner_in(&security).to_owned();
    let trusted = ["SY", "BA", "S-1-5-18", "S-1-5-32-544", SERVICE_SID];
    if trusted.contains(&owner.as_str()) || raw::accounts().map_err(looking)?.contains(&owner) {
        return Ok(());
    }
    Err(Error::Foreign { path: path.to_owned(), owner })
}

/// Refuses a file that is a link, or that belongs to another account. A missing one is accepted.
pub fn check_file(path: &Path) -> Result<(), Error> {
    match present(path)? {
        Some(metadata) if metadata.is_symlink() => Err(Error::Link { path: path.to_owned() }),
        _ => check_folder(path),
    }
}

/// Refuses a file to read that belongs neither to this account nor to those whom it trusts. A missing one is accepted.
pub fn check_readable(path: &Path) -> Result<(), Error> {
    check_folder(path)
}

fn present(path: &Path) -> Result<Option<std::fs::Metadata>, Error> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Look { path: path.to_owned(), source }),
    }
}

/// The owner in SDDL such as `O:BAD:(…)`.
fn owner_in(sddl: &str) -> &str {
    let owner = sddl.strip_prefix("O:").unwrap_or_default();
    let end = ["D:", "G:"].iter().filter_map(|next| owner.find(next)).min();
    &owner[..end.unwrap_or(owner.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_sddl() {
        assert_eq!(owner_in("O:BAD:P(A;;FA;;;SY)"), "BA");
        assert_eq!(owner_in("O:S-1-5-21-1-2-3-1000G:DUD:(A;;FA;;;SY)"), "S-1-5-21-1-2-3-1000");
        assert_eq!(owner_in("D:P(A;;FA;;;SY)"), "");
    }

    #[test]
    fn what_this_process_makes_is_accepted() -> Result<(), Error> {
        let folder = tempfile::tempdir().map_err(|source| Error::Look { path: PathBuf::new(), source })?;
        let file = folder.path().join("file");
        check_file(&file)?;
        std::fs::write(&file, "").map_err(|source| Error::Look { path: file.clone(), source })?;
        check_file(&file)?;
        check_folder(folder.path())
    }
}
