//! `postern conflicts`: accounts whose user name another user has, and the decision about them.

use clap::Subcommand;

use super::super::api::conflicts::ConflictView;
use super::super::api::users::UserView;
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, text_or};

/// Commands of `postern conflicts`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List conflicts
    #[command(after_help = "The last column says what resolves a conflict: a change of one of the two logins in the \
        directory, or, if the user has no account any more, your decision.")]
    List {
        /// Name or id of a directory [default: all]
        #[arg(long)]
        directory: Option<String>,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Link an account to the user who has the name: the entry was created again for the same person
    Link {
        /// Id of the account, or the user name that it claims
        account: Name,
        #[command(flatten)]
        yes: Yes,
    },
    /// Create a user for an account: it belongs to a new person, and the former one is gone
    CreateUser {
        /// Id of the account, or the user name that it claims
        account: Name,
        #[command(flatten)]
        yes: Yes,
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
        Command::Link { account, yes } => {
            let what = "becomes an account of the user who has the name, which cannot be undone";
            decide(&account, "link", what, yes, client, screen).await
        }
        Command::CreateUser { account, yes } => {
            let what = "gets a new user of that name. The present user loses the name, which cannot be undone";
            decide(&account, "create-user", what, yes, client, screen).await
        }
    }
}

/// Shows the account and its user, asks, and decides about exactly that account.
async fn decide(
    account: &Name,
    choice: &str,
    what: &str,
    yes: Yes,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Error> {
    let conflict: ConflictView = client.get(&format!("conflicts/{account}"), &[]).await?;
    yes.or_ask(&question(&conflict, what))?;
    let id = conflict.account.id;
    let user: UserView = client.post(&format!("conflicts/{id}/{choice}"), &serde_json::json!({})).await?;
    decided(&user, screen)
}

/// The account and user that a decision is about, and what it does.
fn question(conflict: &ConflictView, what: &str) -> String {
    let account = &conflict.account;
    let (entry, directory, name) = (&account.dn, &account.directory.name, &conflict.user_name);
    let holder = match (&conflict.holder_dn, conflict.holder_user_id) {
        (Some(dn), Some(_)) if conflict.holder_missing => format!("{dn}, which is gone from the directory"),
        (Some(dn), Some(_)) => dn.clone(),
        (None, Some(id)) => format!("the user {id}, who has no account"),
        (_, None) => "nobody any more; the next import resolves it".to_owned(),
    };
    format!(
        "The entry {entry} of the directory {directory} claims the name {name}.\nHeld by: {holder}.\nThe entry {what}."
    )
}

/// How a conflict can end.
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
