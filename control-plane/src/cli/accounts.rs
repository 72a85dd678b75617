//! `postern accounts`: what directories returned, entry by entry.

use clap::Subcommand;
use postern_engine::records::AccountKind;

use super::super::api::accounts::{AccountDetail, AccountView};
use super::account_lines;
use super::choice::choice;
use super::client::Client;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, time_or, word};

/// Commands of `postern accounts`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List accounts
    List {
        /// Name or id of a directory [default: all]
        #[arg(long)]
        directory: Option<String>,
        /// Users or groups [default: both]
        #[arg(long, value_parser = choice::<AccountKind>())]
        kind: Option<AccountKind>,
        /// Only those that the last complete import did not find (true) or found (false)
        #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        missing: Option<bool>,
        /// Only accounts of users whose entries do not say whether the user is enabled
        #[arg(long)]
        unknown: bool,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Show an account with all of its attributes
    Show {
        /// Id or external id of the account, or name of its user
        account: Name,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { directory, kind, missing, unknown, args } => {
            let mut query: Vec<(&str, String)> = Vec::new();
            query.extend(directory.map(|directory| ("directory", directory)));
            query.extend(kind.map(|kind| ("kind", word(&kind))));
            query.extend(missing.map(|missing| ("missing", missing.to_string())));
            query.extend(unknown.then(|| ("unknown", true.to_string())));
            let accounts: Found<AccountView> = client.list("accounts", &query, args.most()).await?;
            let head = ["kind", "directory", "dn", "enabled", "missing since", "conflict", "id"];
            screen.list(&accounts, &args, &head, |account| {
                vec![
                    word(&account.kind),
                    account.directory.name.clone(),
                    account.dn.clone(),
                    account_lines::enabled(account),
                    time_or(account.missing_since, "-"),
                    account.conflict.clone().unwrap_or_else(|| "-".to_owned()),
                    account.id.to_string(),
                ]
            })
        }
        Command::Show { account } => {
            let account: AccountDetail = client.get(&format!("accounts/{account}"), &[]).await?;
            if screen.is_json() {
                return screen.json(&account);
            }
            account_lines::whole(&account, screen)
        }
    }
}
