//! DPAPI: secrets sealed to the machine.

use std::io;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Security::Cryptography::{
    CRYPT_INTEGER_BLOB, CRYPTPROTECT_LOCAL_MACHINE, CRYPTPROTECT_UI_FORBIDDEN, CryptProtectData, CryptUnprotectData,
};

use super::{Allocated, done};

/// Seals bytes so that only this machine can open them.
pub(crate) fn protect(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let input = blob(bytes)?;
    let mut output = empty();
    let flags = CRYPTPROTECT_LOCAL_MACHINE | CRYPTPROTECT_UI_FORBIDDEN;
    // SAFETY: `input` points to `bytes`, which lives on; `output` is ours to be filled; all else may be null.
    done(unsafe { CryptProtectData(&raw const input, null(), null(), null(), null(), flags, &raw mut output) })?;
    Ok(take(&output))
}

/// Opens what [`protect`] has sealed.
pub(crate) fn unprotect(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let input = blob(bytes)?;
    let mut output = empty();
    let flags = CRYPTPROTECT_UI_FORBIDDEN;
    // SAFETY: as above.
    done(unsafe { CryptUnprotectData(&raw const input, null_mut(), null(), null(), null(), flags, &raw mut output) })?;
    Ok(take(&output))
}

fn blob(bytes: &[u8]) -> io::Result<CRYPT_INTEGER_BLOB> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Ok(CRYPT_INTEGER_BLOB { cbData: length, pbData: bytes.as_ptr().cast_mut() })
}

fn empty() -> CRYPT_INTEGER_BLOB {
    CRYPT_INTEGER_BLOB { cbData: 0, pbData: null_mut() }
}

/// Copies what Windows has allocated, wipes it, and frees it.
fn take(output: &CRYPT_INTEGER_BLOB) -> Vec<u8> {
    let allocated = Allocated(output.pbData.cast());
    if allocated.0.is_null() {
        return Vec::new();
    }
    let length = usize::try_from(output.cbData).unwrap_or_default();
    // SAFETY: Windows has allocated so many bytes, and nobody else has them.
    let bytes = unsafe { std::slice::from_raw_parts_mut(output.pbData, length) };
    let copy = bytes.to_vec();
    bytes.fill(0);
    // The compiler must not find that nobody reads the zeros.
    std::hint::black_box(bytes);
    copy
}
