//! `postern whoami` shows the token in use and its organization; `postern logout` deletes the saved login.

use super::super::api::tokens::CurrentToken;
use super::client::Client;
use super::credentials::Credentials;
use super::error::Error;
use super::global::Global;
use super::screen::{Screen, note, time_or, word};

/// Shows the token that is used, and its organization.
pub(super) async fn show(global: &Global, screen: &mut Screen) -> Result<(), Error> {
    let client = Client::new(global)?;
    let current: CurrentToken = client.get("current-token", &[]).await?;
    let source = if global.token.is_some() { "--token or POSTERN_TOKEN" } else { "postern login" };
    screen.fields(
        &current,
        &[
            ("organization", current.organization.clone()),
            ("token", current.view.name.clone()),
            ("id", current.view.id.to_string()),
            ("role", word(&current.view.role)),
            ("expires", time_or(current.view.expires_at, "never")),
            ("control plane", client.url()),
            ("given by", source.to_owned()),
        ],
    )
}

/// Deletes the saved login. The token stays valid.
pub(super) fn forget(global: &Global, screen: &mut Screen) -> Result<(), Error> {
    let forgotten = Credentials::forget()?;
    if global.token.is_some() {
        note("POSTERN_TOKEN or --token still gives a token");
    }
    if screen.is_json() {
        return screen.json(&serde_json::json!({ "logged_out": forgotten.is_some() }));
    }
    match forgotten {
        None => screen.line("No login is saved."),
        Some(path) => screen.line(format!(
            "Deleted the login in {}. Its token stays valid until `postern tokens revoke`.",
            path.display()
        )),
    }
}
