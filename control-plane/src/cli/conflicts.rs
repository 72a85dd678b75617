//! `postern conflicts`: accounts whose user name somebody else has, and what an administrator decides about them.

use clap::Subcommand;

use super::super::api::conflicts::ConflictView;
use super::super::api::users::UserView;
use super::client::Client;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, text_or};

/// Commands of `postern conflicts`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List conflicts
    #[command(
        after_help = "The last column says what ends a conflict: a change of one of the two logins in the directory, \
        or, where nobody has the user any more, your decision."
    )]
    List {
        /// Name or id of a directory [default: all]
        #[arg(long)]
        directory: Option<String>,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Link an account to the user who has the name: the entry was made anew for the same person
    Link {
        /// Id of the account, or the user name that it claims
        account: Name,
    },
    /// Create a user for an account: it is somebody new, and the one who had the name is gone
    CreateUser {
        /// Id of the account, or the user name that it claims
        account: Name,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { directory, args } => {
            let query: Vec<(&str, String)> = directory.map(|directory| ("directory", directory)).into_iter().collect();
            let conflicts: Found<ConflictView> = client.list("conflicts", &query, args.most()).await?;
            let head = ["name", "dn", "held by", "what ends it", "account"];
            screen.list(&conflicts, &args, &head, |conflict| {
                vec![
                    conflict.user_name.clone(),
                    conflict.account.dn.clone(),
                    text_or(conflict.holder_dn.as_deref(), "-"),
                    end(conflict).to_owned(),
                    conflict.account.id.to_string(),
                ]
            })
        }
        Command::Link { account } => {
            let user: UserView = client.post(&format!("conflicts/{account}/link"), &serde_json::json!({})).await?;
            decided(&user, screen)
        }
        Command::CreateUser { account } => {
            let path = format!("conflicts/{account}/create-user");
            let user: UserView = client.post(&path, &serde_json::json!({})).await?;
            decided(&user, screen)
        }
    }
}

/// What ends a conflict.
fn end(conflict: &ConflictView) -> &'static str {
    match (conflict.account.user_id, conflict.holder_user_id) {
        (_, None) => "the next import",
        (None, _) if conflict.holder_missing => "link or create-user",
        _ => "another login in the directory",
    }
}

fn decided(user: &UserView, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        return screen.json(user);
    }
    screen.line(format!("The account belongs to the user {} ({}).", user.user_name, user.id))
}
