//! How a secret lies on the disk: as it is, guarded by the mode of its file.

use std::io;

/// What to write.
pub fn seal(secret: &[u8]) -> io::Result<Vec<u8>> {
    Ok(secret.to_vec())
}

/// The secret in what was read.
pub fn open(read: Vec<u8>) -> io::Result<Vec<u8>> {
    Ok(read)
}
