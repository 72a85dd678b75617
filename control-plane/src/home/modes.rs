//! File permissions of the data. Modes that are too wide are corrected if the file is certainly ours, and otherwise
//! refused with the command that corrects them.

use std::path::{Path, PathBuf};

use postern_runtime::ownership;

/// Why the data would not be safe.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Others may read or change it, and this process may not correct that.
    #[error("other users can read or change {path} (mode {mode:04o}); run: chmod {wanted:o} {path}")]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Those that it should have.
        wanted: u32,
        /// Why it was not corrected.
        #[source]
        source: std::io::Error,
    },
    /// It belongs to another user, or leads elsewhere.
    #[error(transparent)]
    Ownership(#[from] ownership::Error),
    /// Others may write into a folder that also contains files of others, so its mode is not ours to change.
    #[error(
        "other users can write into {path} (mode {mode:04o}) and could replace what is in it; give Postern a folder of \
         its own, or run: chmod go-w {path}"
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Makes a file readable and writable by its owner only. A missing file is ignored; a link, or a file of another user, is
/// refused.
#[cfg(unix)]
pub(crate) fn secure_file(path: &Path) -> Result<(), Error> {
    ownership::check_file(path)?;
    make_private(path, 0o600)
}

/// Does the same for a folder. `ours` says which names in it are ours: a folder with other names keeps its mode, and is
/// refused if others could write into it. A folder of another user than root is refused.
#[cfg(unix)]
pub(crate) fn secure_folder(path: &Path, ours: impl Fn(&str) -> bool) -> Result<(), Error> {
    ownership::check_folder(path)?;
    let Some(mode) = mode(path).filter(|mode| mode & 0o077 != 0) else { return Ok(()) };
    let writable_by_others = mode & 0o022 != 0;
    // A folder that cannot be listed counts as shared.
    let only_ours = std::fs::read_dir(path).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(&ours)))
    });
    match (only_ours, writable_by_others) {
        (true, true) => make_private(path, 0o700),
        // Others can list it, which is not ideal, but its files are private.
        (true, false) => make_private(path, 0o700).or(Ok(())),
        (false, true) => Err(Error::Shared { path: path.to_owned(), mode }),
        (false, false) => Ok(()),
    }
}

#[cfg(unix)]
fn make_private(path: &Path, wanted: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(mode) = mode(path).filter(|mode| mode & 0o077 != 0) else { return Ok(()) };
    match std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & wanted)) {
        Ok(()) => {
            let (was, now) = (format!("{mode:04o}"), format!("{:04o}", mode & wanted));
            tracing::warn!(path = %path.display(), was, now, "home.mode_mended");
            Ok(())
        }
        // Nobody can change its contents.
        Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        Err(source) => Err(Error::Open { path: path.to_owned(), mode, wanted, source }),
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o7777)
}

// On Windows the ACL of the data folder protects the files; the installer sets it.
#[cfg(not(unix))]
pub(crate) fn secure_file(_path: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn secure_folder(_path: &Path, _ours: impl Fn(&str) -> bool) -> Result<(), Error> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn folder_of(mode: u32, files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        folder
    }

    fn ours(name: &str) -> bool {
        name.starts_with("ours")
    }

    #[test]
    fn a_folder_of_ours_is_made_private_whatever_it_was() {
        for wide in [0o777, 0o755, 0o1777, 0o770, 0o2750] {
            for files in [&["ours.db", "ours.key"][..], &[]] {
                let folder = folder_of(wide, files);
                secure_folder(folder.path(), ours).unwrap();
                assert_eq!(mode(folder.path()).unwrap() & 0o1777, 0o700, "{wide:o} {files:?}");
            }
        }
    }

    #[test]
    fn a_shared_folder_is_never_changed_and_refused_where_others_write() {
        for (wide, refused) in [(0o777, true), (0o1777, true), (0o775, true), (0o755, false), (0o700, false)] {
            let folder = folder_of(wide, &["ours.db", "theirs"]);
            let looked = secure_folder(folder.path(), ours);
            assert_eq!(mode(folder.path()).unwrap(), wide);
            assert_eq!(looked.is_err(), refused, "{wide:o}");
            if let Err(error) = looked {
                assert!(error.to_string().contains("chmod go-w "), "{error}");
            }
        }
    }

    #[test]
    fn a_file_is_made_private_and_a_missing_one_is_left_alone() {
        let folder = folder_of(0o700, &["ours.db"]);
        let file = folder.path().join("ours.db");
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        secure_file(&file).unwrap();
        assert_eq!(mode(&file).unwrap(), 0o600);
        secure_file(&folder.path().join("none")).unwrap();
    }
}
