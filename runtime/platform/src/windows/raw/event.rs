//! The event log.

use std::io;
use std::ptr::null_mut;

use windows_sys::Win32::System::EventLog::{DeregisterEventSource, RegisterEventSourceW, ReportEventW};

use super::{done, wide};

/// Writes one event of a source into the event log of this machine.
pub(crate) fn report(source: &str, kind: u16, id: u32, text: &str) -> io::Result<()> {
    let (source, text) = (wide(source), wide(text.replace('\0', " ")));
    // SAFETY: `source` ends with a zero and lives on; null means this machine.
    let log = unsafe { RegisterEventSourceW(std::ptr::null(), source.as_ptr()) };
    if log.is_null() {
        return Err(io::Error::last_os_error());
    }
    let strings = [text.as_ptr()];
    // SAFETY: `log` is open; there is one string, which ends with a zero and lives on; no user and no data are given.
    let written = done(unsafe { ReportEventW(log, kind, 0, id, null_mut(), 1, 0, strings.as_ptr(), std::ptr::null()) });
    // SAFETY: opened above, closed once.
    unsafe { DeregisterEventSource(log) };
    written
}
