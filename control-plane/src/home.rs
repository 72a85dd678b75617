//! The data folder: people, and the hashes of tokens, are in it, so that nobody but its owner may read it.

pub(crate) mod lock;

use std::io;
use std::path::Path;

/// Makes the data folder, readable by its owner only. One that exists is left as its administrator made it.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Makes an empty database file, readable by its owner only; `SQLite` gives the files beside it the same mode. Returns
/// whether it was not there before.
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

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use postern_store::{DatabaseUrl, Store};

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn nobody_but_the_owner_reads_the_folder_or_any_file_of_the_database() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("data");
        make_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        let path = folder.join("postern.db");
        assert!(make_database(&path).unwrap());
        let store = Store::open(&DatabaseUrl::sqlite(&path)).await.unwrap();
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() >= 2, "the log beside the database: {files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        assert!(!make_database(&path).unwrap(), "one that is there is left alone");
        store.ping().await.unwrap();
    }
}
