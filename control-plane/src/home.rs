//! The data folder: only its owner may read it, because it contains personal data and hashes of tokens.

pub(crate) mod lock;
pub(crate) mod modes;

use std::io;
use std::path::{Path, PathBuf};

/// Suffixes of the database file and of the files that `SQLite` and the lock put next to it.
const BESIDE_DATABASE: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];
/// The database in the data folder, unless a URL is configured.
pub(crate) const DATABASE_FILE: &str = "postern.db";
/// The folder of the certificate authority, unless another is configured.
pub(crate) const PKI: &str = "pki";

/// The folder of data that a process works on and throws away.
pub(crate) const COPIES: &str = "copies";

/// Creates a folder, and missing parents, readable by the owner only. An existing folder is not changed.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Creates an empty database file, readable by the owner only; `SQLite` gives the files next to it the same mode.
/// Returns whether it is new.
pub(crate) fn make_database(path: &Path) -> io::Result<bool> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the data folder readable and writable by its owner only.
pub(crate) fn secure_data_folder(path: &Path) -> Result<(), modes::Error> {
    modes::secure_folder(path, |name| name == PKI || name == COPIES || name.starts_with(DATABASE_FILE))
}

/// Does the same for a database file, the files next to it and its folder. Call it before opening: `SQLite` copies the
/// mode.
pub(crate) fn secure_database(file: &Path) -> Result<(), modes::Error> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    modes::secure_folder(folder, |found| {
        found == PKI || found == COPIES || !name.is_empty() && found.starts_with(&name)
    })?;
    BESIDE_DATABASE.iter().try_for_each(|suffix| {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        modes::secure_file(&PathBuf::from(path))
    })
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use postern_store::{DatabaseUrl, Store};

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn all_private(folder: &Path) {
        assert_eq!(mode(folder), 0o700);
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() >= 2, "the log beside the database: {files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    #[tokio::test]
    async fn nobody_but_the_owner_reads_the_folder_or_any_file_of_the_database() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("data");
        make_folder(&folder).unwrap();
        let path = folder.join("postern.db");
        assert!(make_database(&path).unwrap());
        let store = Store::open(&DatabaseUrl::sqlite(&path)).await.unwrap();
        all_private(&folder);
        assert!(!make_database(&path).unwrap(), "one that is there is left alone");
        store.ping().await.unwrap();
    }

    #[tokio::test]
    async fn a_database_that_others_could_read_is_made_private_with_all_that_is_beside_it() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("data");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("postern.db");
        let store = Store::open(&DatabaseUrl::sqlite(&path)).await.unwrap();
        for file in std::fs::read_dir(&folder).unwrap() {
            std::fs::set_permissions(file.unwrap().path(), Permissions::from_mode(0o666)).unwrap();
        }
        std::fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        secure_data_folder(&folder).unwrap();
        secure_database(&path).unwrap();
        all_private(&folder);
        store.close().await;
        let again = Store::open(&DatabaseUrl::sqlite(&path)).await.unwrap();
        again.ping().await.unwrap();
        all_private(&folder);
    }
}
