//! `postern enrollment-tokens`: one-time tokens with which agents enroll.

use clap::Subcommand;
use jiff::SignedDuration;

use super::super::api::enrollment_tokens::{CreatedEnrollmentToken, EnrollmentTokenRequest, EnrollmentTokenView};
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, note, time};
use super::tokens::{from_now, lifetime};

/// Commands of `postern enrollment-tokens`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create an enrollment token and print it, alone on the last line
    #[command(
        after_help = "Give it to `postern-agent enroll --token …` inside the site. It is shown once and used once."
    )]
    Create {
        /// Name or id of a directory that the agent may serve; repeat it for several [default: new names only]
        #[arg(long = "directory", value_name = "NAME")]
        directories: Vec<String>,
        /// Lifetime, like 30m, 12h or 7d, at most 30d [default: 24h]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<SignedDuration>,
    },
    /// List the enrollment tokens
    List(ListArgs),
    /// Revoke an unused enrollment token
    Revoke {
        /// Id of the enrollment token, or its beginning
        #[arg(value_name = "TOKEN")]
        wanted: Name,
        #[command(flatten)]
        yes: Yes,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Create { directories, expires_in } => {
            let request = EnrollmentTokenRequest { directories, expires_at: expires_in.map(from_now).transpose()? };
            let created: CreatedEnrollmentToken = client.post("enrollment-tokens", &request).await?;
            if screen.is_json() {
                return screen.json(&created);
            }
            let until = time(created.view.expires_at);
            screen.line(format!(
                "Enrollment token {} for one agent that may serve {}, valid until {until}. It is shown only now:",
                created.view.id,
                served(&created.view)
            ))?;
            screen.line(created.token)
        }
        Command::List(args) => {
            let tokens: Found<EnrollmentTokenView> = client.list("enrollment-tokens", &[], args.most()).await?;
            let head = ["id", "directories", "created", "by", "expires", "state"];
            screen.list(&tokens, &args, &head, |token| {
                vec![
                    token.id.to_string(),
                    served(token),
                    time(token.created_at),
                    token.created_by.clone(),
                    time(token.expires_at),
                    state(token),
                ]
            })
        }
        Command::Revoke { wanted, yes } => {
            let token: EnrollmentTokenView = client.get(&format!("enrollment-tokens/{wanted}"), &[]).await?;
            let id = token.id;
            yes.or_ask(&format!(
                "This revokes the enrollment token {id} ({}): no agent can enroll with it any \
            more.",
                state(&token)
            ))?;
            let revoked: EnrollmentTokenView = client.delete_for(&format!("enrollment-tokens/{id}")).await?;
            if let Some(agent) = revoked.used_by {
                note(format!(
                    "warning: the agent {agent} was enrolled with this token and stays enrolled; to cut it off, run \
                     `postern agents revoke {agent}`"
                ));
            }
            screen.done(&id, "revoked", "The enrollment token is revoked.")
        }
    }
}

fn served(token: &EnrollmentTokenView) -> String {
    if token.directories.is_empty() { "new names only".to_owned() } else { token.directories.join(", ") }
}

fn state(token: &EnrollmentTokenView) -> String {
    match (token.used_by, token.revoked_at) {
        (Some(agent), _) => format!("used by agent {agent}"),
        (None, Some(at)) => format!("revoked {}", time(at)),
        (None, None) => "unused".to_owned(),
    }
}
