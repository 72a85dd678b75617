//! Where lines of log go: of the service to the event log (source `Postern`, log *Application*), else to standard error.

use std::io::{self, Write};

use windows_sys::Win32::System::EventLog::{
    EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, REPORT_EVENT_TYPE,
};

use super::source::SOURCE;
use super::{raw, status};

/// One event holds at most 31,839 characters; a character is at least a byte.
const MAX_BYTES: usize = 31_000;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something failed.
    Error,
    /// Somebody should look.
    Warning,
    /// The rest.
    Information,
}

impl Severity {
    fn kind(self) -> REPORT_EVENT_TYPE {
        match self {
            Self::Error => EVENTLOG_ERROR_TYPE,
            Self::Warning => EVENTLOG_WARNING_TYPE,
            Self::Information => EVENTLOG_INFORMATION_TYPE,
        }
    }

    /// By which administrators filter.
    fn id(self) -> u32 {
        match self {
            Self::Error => 3,
            Self::Warning => 2,
            Self::Information => 1,
        }
    }
}

/// Where to write one line.
pub fn line(severity: Severity) -> Line {
    Line(severity)
}

/// One line.
#[derive(Debug)]
pub struct Line(Severity);

impl Write for Line {
    /// A line comes in one piece.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !status::is_service() {
            return io::stderr().write_all(bytes).map(|()| bytes.len());
        }
        let text = String::from_utf8_lossy(bytes);
        let text = &text[..text.floor_char_boundary(MAX_BYTES)];
        raw::report(SOURCE, self.0.kind(), self.0.id(), text.trim_end()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
