//! The account of this process.

use std::io;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
use windows_sys::Win32::Security::{
    GetTokenInformation, PSID, TOKEN_INFORMATION_CLASS, TOKEN_QUERY, TokenOwner, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::{Allocated, done, text_at};

/// Enough for the structure and the longest SID.
const WORDS: usize = 32;

/// The account of this process, and to whom its new files belong, as SIDs. Of an administrator's process these differ.
pub(crate) fn accounts() -> io::Result<[String; 2]> {
    let mut token: HANDLE = null_mut();
    // SAFETY: the handle of this process needs no closing; `token` is ours to be filled.
    done(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: each structure begins with the pointer that is read from it.
    let accounts = unsafe { sid_in(token, TokenUser).and_then(|user| Ok([user, sid_in(token, TokenOwner)?])) };
    // SAFETY: opened above, closed once.
    unsafe { CloseHandle(token) };
    accounts
}

/// The SID in a piece of information about a token.
///
/// # Safety
/// The structure of `class` begins with a pointer to a SID, as `TOKEN_USER` and `TOKEN_OWNER` do.
unsafe fn sid_in(token: HANDLE, class: TOKEN_INFORMATION_CLASS) -> io::Result<String> {
    let (mut buffer, mut length) = ([0_usize; WORDS], 0);
    let size = u32::try_from(size_of_val(&buffer)).unwrap_or_default();
    // SAFETY: the buffer has `size` bytes, and is aligned for the structure.
    done(unsafe { GetTokenInformation(token, class, buffer.as_mut_ptr().cast(), size, &raw mut length) })?;
    // SAFETY: as the caller promises; Windows has filled in the structure, and the SID is in the buffer as well.
    let sid = unsafe { *buffer.as_ptr().cast::<PSID>() };
    let mut text = null_mut();
    // SAFETY: the SID is valid; `text` is ours to be filled.
    done(unsafe { ConvertSidToStringSidW(sid, &raw mut text) })?;
    let text = Allocated(text.cast());
    // SAFETY: Windows ends it with a zero, and it lives as long as `text`.
    Ok(unsafe { text_at(text.0.cast()) })
}
