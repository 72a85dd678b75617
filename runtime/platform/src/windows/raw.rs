//! What only unsafe code can ask of Windows: no maintained crate has a safe function for it. Each function here is safe to
//! call, and nothing else of the software has unsafe code.

#![expect(unsafe_code, reason = "Windows' own functions for security descriptors, DPAPI and the event log")]

mod dpapi;
mod event;
mod security;
mod token;

use std::io;
use std::iter::once;
use std::os::windows::ffi::OsStrExt as _;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::core::BOOL;

pub(super) use self::dpapi::{protect, unprotect};
pub(super) use self::event::report;
pub(super) use self::security::{create_folder, pipe, security_of, set_security};
pub(super) use self::token::accounts;

/// UTF-16 with a zero at its end.
fn wide(text: impl AsRef<std::ffi::OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain(once(0)).collect()
}

fn done(result: BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Memory that Windows has allocated for us.
struct Allocated(*mut core::ffi::c_void);

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: the pointer is null or comes from a function whose result is freed by `LocalFree`, once, here.
        unsafe { LocalFree(self.0) };
    }
}

/// Reads text that ends with a zero.
///
/// # Safety
/// `text` is null or points to such text, which lives as long as the call.
unsafe fn text_at(text: *const u16) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises; the loop ends at the zero.
    let length = (0..usize::MAX).take_while(|place| unsafe { *text.add(*place) } != 0).count();
    // SAFETY: so many characters were just read.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) })
}
