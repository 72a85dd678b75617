//! Files and folders for their owner only, by their mode.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner.
    Owner,
    /// Everybody.
    All,
}

/// Makes a file that is not there yet.
pub fn create(path: &Path, readers: Readers) -> io::Result<File> {
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// A file that opening makes is for its owner only.
pub fn private(options: &mut OpenOptions) {
    options.mode(0o600);
}

/// Makes opening fail where a link stands in the place of the file.
pub fn no_follow(options: &mut OpenOptions) {
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
}

/// Makes a folder for its owner only, with those above it, where it is missing.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a rename durable: it is so only once its folder is.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What gives others than its owner access to a file, and the command that ends that. Asked of the open file, so that it
/// cannot be exchanged in between.
pub fn exposed(path: &Path, file: &File) -> io::Result<Option<(String, String)>> {
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    let cure = || (format!("mode {mode:04o}"), format!("chmod 600 {}", path.display()));
    Ok((mode & 0o077 != 0).then(cure))
}

/// The cure, where everybody on this machine can read a file. `None` also where the file cannot be looked at.
pub fn open_to_all(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o007 != 0).then(|| "chmod 600".to_owned())
}

/// Gives a file to the owner of its folder: what root makes beside the agent must be readable to the agent.
pub fn same_owner_as_folder(path: &Path, file: &File) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let owner = |metadata: &Metadata| (metadata.uid(), metadata.gid());
    let (folder, found) = (owner(&std::fs::metadata(folder)?), owner(&file.metadata()?));
    if folder != found {
        std::os::unix::fs::fchown(file, Some(folder.0), Some(folder.1)).ok();
    }
    Ok(())
}
