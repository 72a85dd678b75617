//! `postern login`: tests a token and saves it with the control plane's address.

use std::io::{BufRead as _, IsTerminal as _};

use secrecy::{ExposeSecret as _, SecretString};

use super::super::api::tokens::CurrentToken;
use super::client::{Client, DEFAULT_URL, parse_url};
use super::credentials::Credentials;
use super::error::Error;
use super::global::Global;
use super::screen::Screen;

/// Arguments of `postern login`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, global: &Global, screen: &mut Screen) -> Result<(), Error> {
    let url = global.url.clone().unwrap_or_else(|| DEFAULT_URL.to_owned());
    let base = parse_url(&url)?;
    let token = match &global.token {
        Some(token) => token.clone(),
        None => read_token(&url)?,
    };
    let current: CurrentToken = Client::with(global, base, token.clone())?.get("current-token", &[]).await?;
    let path = Credentials { url, token: token.expose_secret().to_owned() }.save()?;
    if screen.is_json() {
        return screen.json(&current);
    }
    let role = super::screen::word(&current.view.role);
    screen.line(format!(
        "Logged in to {} as {:?} ({role}); saved in {}",
        current.organization,
        current.view.name,
        path.display()
    ))
}

fn read_token(url: &str) -> Result<SecretString, Error> {
    let failed = |source| Error::Io { what: "reading the token", source };
    let mut line = String::new();
    if std::io::stdin().is_terminal() {
        let unseen = Unseen::begin().map_err(failed)?;
        eprint!("Token for {url} ({}): ", Unseen::HINT);
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        drop(unseen);
    } else {
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
    }
    let token = line.trim().to_owned();
    if token.is_empty() {
        return Err(Error::Usage("no token was given".to_owned()));
    }
    Ok(SecretString::from(token))
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
