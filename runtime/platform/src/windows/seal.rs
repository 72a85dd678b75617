//! How a secret lies on the disk: sealed to this machine by DPAPI. Each program of the machine could open it again, so the
//! file's ACL guards it as well.

use std::io;

use super::raw;

/// What a sealed file begins with; a file of an administrator does not.
const MARK: &[u8] = b"postern-sealed-1\n";

/// What to write.
pub fn seal(secret: &[u8]) -> io::Result<Vec<u8>> {
    let mut sealed = MARK.to_vec();
    sealed.extend(raw::protect(secret)?);
    Ok(sealed)
}

/// The secret in what was read, sealed or not.
pub fn open(read: Vec<u8>) -> io::Result<Vec<u8>> {
    match read.strip_prefix(MARK) {
        Some(sealed) => raw::unprotect(sealed),
        None => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_cannot_be_read_and_is_opened_again() -> io::Result<()> {
        let sealed = seal(b"s3cret")?;
        assert!(!sealed.windows(6).any(|bytes| bytes == b"s3cret"));
        assert_eq!(open(sealed.clone())?, b"s3cret");
        assert_eq!(open(b"plain\n".to_vec())?, b"plain\n");
        let mut damaged = sealed;
        if let Some(byte) = damaged.last_mut() {
            *byte ^= 1;
        }
        assert!(open(damaged).is_err());
        Ok(())
    }
}
