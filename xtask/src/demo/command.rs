//! `postern` as the demo runs it.

use std::process::{Command, Stdio};

use crate::line::Line;

/// The command line, with the API's address and a token.
pub(super) fn command(line: &Line) -> Command {
    let mut command = Command::new(&line.binaries.postern);
    command.env("POSTERN_URL", line.control_plane.url()).env("POSTERN_TOKEN", line.api.token()).stdin(Stdio::null());
    command
}
