//! Asks before something is disconnected or deleted. Without a terminal, nothing is done unless `--yes` is given.

use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;

use super::error::Error;
use super::screen::plain_lines;

/// Whether an administrator has agreed in advance.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Yes {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Yes {
    /// Asks, and fails unless the administrator agrees.
    pub(super) fn or_ask(self, what: &str) -> Result<(), Error> {
        if self.yes {
            return Ok(());
        }
        let what = plain_lines(what);
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Error::Usage(format!("{what}\n  Nothing was changed. To continue, add --yes")));
        }
        eprint!("{what}\nContinue? [y/N] ");
        let mut answer = String::new();
        let failed = |source| Error::Io { what: "reading the answer", source };
        std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Error::Declined),
        }
    }
}
