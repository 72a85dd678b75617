//! Where lines of log go: to standard error, from where systemd takes them into its journal.

use std::io::{self, Write};

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

/// Where to write one line.
#[derive(Debug)]
pub struct Line(io::Stderr);

/// Where to write one line.
pub fn line(_severity: Severity) -> Line {
    Line(io::stderr())
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
