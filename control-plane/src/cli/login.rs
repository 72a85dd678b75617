//! `postern login`: tries a token and remembers it with the control plane's address.

use std::io::{BufRead as _, IsTerminal as _};

use secrecy::{ExposeSecret as _, SecretString};

use super::super::api::tokens::CurrentToken;
use super::Global;
use super::client::{Client, DEFAULT_URL, parse_url};
use super::credentials::Credentials;
use super::error::Error;
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
    let current: CurrentToken = Client::with(global, base, token.clone())?.get("tokens/current", &[]).await?;
    let path = Credentials { url, token: token.expose_secret().to_owned() }.save()?;
    if screen.is_json() {
        return screen.json(&current);
    }
    let role = super::screen::word(&current.view.role);
    screen.line(format!(
        "Logged in to {} as {:?} ({role}); kept in {}",
        current.organization,
        current.view.name,
        path.display()
    ))
}

fn read_token(url: &str) -> Result<SecretString, Error> {
    if std::io::stdin().is_terminal() {
        eprint!("Token for {url} (it will be visible): ");
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|source| Error::Io { what: "reading the token", source })?;
    let token = line.trim().to_owned();
    if token.is_empty() {
        return Err(Error::Usage("no token was given".to_owned()));
    }
    Ok(SecretString::from(token))
}
