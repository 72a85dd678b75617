//! `postern accounts`: what directories returned, entry by entry.

use clap::Subcommand;

use super::super::api::accounts::{AccountKind, AccountView};
use super::client::Client;
use super::error::Error;
use super::screen::{Screen, time_or, word};
use super::{Limit, users};

/// Commands of `postern accounts`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List accounts
    List {
        /// Name or id of a directory [default: all]
        #[arg(long)]
        directory: Option<String>,
        /// Users or groups [default: both]
        #[arg(long, value_enum)]
        kind: Option<AccountKind>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show an account with all of its attributes
    Show {
        /// Id of the account
        id: postern_store::AccountId,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { directory, kind, limit } => {
            let mut query: Vec<(&str, String)> = Vec::new();
            query.extend(directory.map(|directory| ("directory", directory)));
            query.extend(kind.map(|kind| ("kind", word(&kind))));
            let accounts: Vec<AccountView> = client.list("accounts", &query, limit.most()).await?;
            let head = ["kind", "directory", "dn", "missing since", "conflict", "id"];
            screen.list(&accounts, &head, |account| {
                vec![
                    word(&account.kind),
                    account.directory.name.clone(),
                    account.dn.clone(),
                    time_or(account.missing_since, "-"),
                    account.conflict.clone().unwrap_or_else(|| "-".to_owned()),
                    account.id.to_string(),
                ]
            })
        }
        Command::Show { id } => {
            let account: AccountView = client.get(&format!("accounts/{id}"), &[]).await?;
            if screen.is_json() {
                return screen.json(&account);
            }
            users::account(&account, screen)
        }
    }
}
