//! `postern tokens`: API tokens of administrators and scripts.

use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use postern_engine::records::Role;
use postern_runtime::clock::{Clock as _, SystemClock};

use super::super::api::tokens::{CreatedToken, CurrentToken, TokenRequest, TokenView};
use super::choice::choice;
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, time_or, word};

/// Commands of `postern tokens`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a token and print it, alone on the last line
    #[command(after_help = "The token is shown once. Only owners create and revoke tokens.")]
    Create {
        /// What to call it: who or what uses it
        name: String,
        /// What it may do
        #[arg(long, value_parser = choice::<Role>(), default_value = "operator")]
        role: Role,
        /// Lifetime, like 12h or 90d [default: no end]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<SignedDuration>,
    },
    /// List the tokens
    List(ListArgs),
    /// Revoke a token
    Revoke {
        /// Id of the token, its beginning, or name of the token
        #[arg(value_name = "TOKEN")]
        wanted: Name,
        #[command(flatten)]
        yes: Yes,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Create { name, role, expires_in } => {
            let request = TokenRequest { name, role, expires_at: expires_in.map(from_now).transpose()? };
            let created: CreatedToken = client.post("tokens", &request).await?;
            if screen.is_json() {
                return screen.json(&created);
            }
            let until = time_or(created.view.expires_at, "revoked");
            screen.line(format!(
                "Token {} ({}), valid until {until}. It is shown only now:",
                created.view.id,
                word(&role)
            ))?;
            screen.line(created.token)
        }
        Command::List(args) => {
            let tokens: Found<TokenView> = client.list("tokens", &[], args.most()).await?;
            let head = ["id", "name", "role", "created", "last used", "expires", "revoked"];
            screen.list(&tokens, &args, &head, |token| {
                vec![
                    token.id.to_string(),
                    token.name.clone(),
                    word(&token.role),
                    time_or(Some(token.created_at), "-"),
                    time_or(token.last_used_at, "never"),
                    time_or(token.expires_at, "never"),
                    time_or(token.revoked_at, "-"),
                ]
            })
        }
        Command::Revoke { wanted, yes } => {
            let token: TokenView = client.get(&format!("tokens/{wanted}"), &[]).await?;
            let current: CurrentToken = client.get("current-token", &[]).await?;
            yes.or_ask(&cuts(&token, current.view.id == token.id))?;
            client.delete(&format!("tokens/{}", token.id)).await?;
            screen.done(&token.id, "revoked", "The token is revoked. Schedules that it has made go on.")
        }
    }
}

/// What revoking a token means.
fn cuts(token: &TokenView, own: bool) -> String {
    let (name, role, used) = (&token.name, word(&token.role), time_or(token.last_used_at, "never"));
    let own = if own { " You are using it now." } else { "" };
    format!("This revokes the token {name:?} ({role}, {}). Last used: {used}.{own}", token.id)
}

/// A time like `45s`, `30m`, `12h` or `90d`.
pub(super) fn lifetime(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "give a time like 45s, 30m, 12h or 90d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(SignedDuration::from_secs(i64::from(number) * seconds))
}

/// The time after this lifetime.
pub(super) fn from_now(lifetime: SignedDuration) -> Result<Timestamp, Error> {
    let end = SystemClock.now().checked_add(lifetime);
    end.map_err(|_| Error::Usage("that time is too far in the future".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(lifetime("90d").unwrap(), SignedDuration::from_hours(90 * 24));
        assert_eq!(lifetime("30m").unwrap(), SignedDuration::from_mins(30));
        for wrong in ["", "d", "12", "0h", "-1h", "1w", "ü"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }
}
