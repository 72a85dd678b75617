//! Reads a secret from the terminal without showing it, or a line of the standard input.

use std::io::{BufRead as _, IsTerminal as _};

use secrecy::zeroize::Zeroizing;

/// The next line. On a terminal, this is asked for first.
pub(super) fn read(question: &str) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    if std::io::stdin().is_terminal() {
        let unseen = Unseen::begin()?;
        eprint!("{question} ({}): ", Unseen::HINT);
        std::io::stdin().lock().read_line(&mut line)?;
        drop(unseen);
    } else {
        std::io::stdin().lock().read_line(&mut line)?;
    }
    Ok(line)
}

/// The terminal does not show what is typed while this lives.
#[cfg(unix)]
struct Unseen(rustix::termios::Termios);

#[cfg(unix)]
impl Unseen {
    const HINT: &str = "it is not shown";

    fn begin() -> std::io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin())?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        // Echo the newline, to start the next output on a new line.
        unseen.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &unseen)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for Unseen {
    fn drop(&mut self) {
        // If this fails, the terminal is gone.
        rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &self.0).ok();
    }
}

#[cfg(not(unix))]
struct Unseen;

#[cfg(not(unix))]
impl Unseen {
    const HINT: &str = "it will be visible";

    fn begin() -> std::io::Result<Self> {
        Ok(Self)
    }
}
