//! Whether files and folders belong to the user of this process. Who owns a folder can put links into it, and a process
//! with more rights would write wherever they lead.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why a file or folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to another user (uid {owner}, this process has {uid}); run this as that user, or, if everything in \
         it is yours, run: chown -R {uid} {path}"
    )]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        uid: u32,
    },
    /// It is a link, or has a second name.
    #[error("{path} is a link and may lead to another file; look where it leads, then run: rm {path}")]
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

/// Refuses a folder that belongs neither to this user nor to root. A link to a folder must belong to them too. A missing
/// one is accepted.
pub fn check_folder(path: &Path) -> Result<(), Error> {
    trusted(path, std::fs::symlink_metadata(path))?;
    trusted(path, std::fs::metadata(path))
}

/// Refuses a file that is a link, or that belongs to another user. A missing one is accepted.
pub fn check_file(path: &Path) -> Result<(), Error> {
    let Some(metadata) = present(path, std::fs::symlink_metadata(path))? else { return Ok(()) };
    if metadata.is_symlink() || metadata.is_file() && metadata.nlink() > 1 {
        return Err(Error::Link { path: path.to_owned() });
    }
    owned(path, &metadata, |owner, uid| owner == uid)
}

/// Refuses a file to read that belongs neither to this user nor to root. A missing one is accepted.
pub fn check_readable(path: &Path) -> Result<(), Error> {
    check_folder(path)
}

fn trusted(path: &Path, metadata: io::Result<std::fs::Metadata>) -> Result<(), Error> {
    let Some(metadata) = present(path, metadata)? else { return Ok(()) };
    // Root may do everything anyway.
    owned(path, &metadata, |owner, uid| owner == uid || owner == 0)
}

fn owned(path: &Path, metadata: &std::fs::Metadata, good: impl Fn(u32, u32) -> bool) -> Result<(), Error> {
    let (owner, uid) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if good(owner, uid) { Ok(()) } else { Err(Error::Foreign { path: path.to_owned(), owner, uid }) }
}

fn present(path: &Path, metadata: io::Result<std::fs::Metadata>) -> Result<Option<std::fs::Metadata>, Error> {
    match metadata {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Look { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::{chown, symlink};

    use super::*;
    use crate::files::no_follow;

    #[test]
    fn a_link_in_the_place_of_a_file_is_refused_wherever_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let (file, missing) = (folder.path().join("file"), folder.path().join("missing"));
        fs::write(&file, "kept").unwrap();
        check_file(&file).unwrap();
        check_file(&missing).unwrap();
        for (name, target) in [("to-file", &file), ("to-nothing", &missing)] {
            let link = folder.path().join(name);
            symlink(target, &link).unwrap();
            let refused = check_file(&link).unwrap_err().to_string();
            assert!(refused.contains("is a link") && refused.contains(&format!("rm {}", link.display())), "{refused}");
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            no_follow(&mut options);
            options.open(&link).unwrap_err();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        assert!(!missing.exists());
        let second = folder.path().join("second");
        fs::hard_link(&file, &second).unwrap();
        assert!(matches!(check_file(&second), Err(Error::Link { .. })));
    }

    #[test]
    fn what_belongs_to_another_user_is_refused_with_its_owner() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "").unwrap();
        fs::create_dir(folder.path().join("mine")).unwrap();
        symlink(folder.path().join("mine"), &link).unwrap();
        check_folder(&link).unwrap();
        std::os::unix::fs::lchown(&link, Some(65_534), None).unwrap();
        chown(&file, Some(65_534), None).unwrap();
        for refused in [check_folder(&link), check_file(&file), check_readable(&file)] {
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("uid 65534") && refused.contains("chown -R 0 "), "{refused}");
        }
    }
}
