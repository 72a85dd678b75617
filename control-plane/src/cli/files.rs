//! Why a file cannot be used, in words.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::error::Error;

/// A file that cannot be read.
pub(super) fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::Usage(format!("cannot read {}: {}", path.display(), plain(error)))
}

/// The same error in common words, without its number.
pub(super) fn plain(error: io::Error) -> io::Error {
    let text = match error.kind() {
        ErrorKind::NotFound => "there is no such file or folder",
        ErrorKind::PermissionDenied => "you have no permission",
        ErrorKind::IsADirectory => "it is a folder",
        ErrorKind::StorageFull => "the disk is full",
        ErrorKind::InvalidData => "it is not UTF-8 text",
        ErrorKind::AlreadyExists => "it exists already; name another file",
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}
