//! `postern login`: tests a token and saves it with the control plane's address.

use secrecy::{ExposeSecret as _, SecretString};

use super::super::api::tokens::CurrentToken;
use super::client::{Client, DEFAULT_URL, parse_url};
use super::credentials::Credentials;
use super::error::Error;
use super::global::Global;
use super::screen::Screen;
use super::unseen;

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
    let line =
        unseen::read(&format!("Token for {url}")).map_err(|source| Error::Io { what: "reading the token", source })?;
    let token = line.trim().to_owned();
    if token.is_empty() {
        return Err(Error::Usage("no token was given".to_owned()));
    }
    Ok(SecretString::from(token))
}
