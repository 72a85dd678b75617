//! `postern users merge` and `split`: each shows what would happen, and asks.

use clap::Subcommand;
use postern_engine::records::AccountId;

use super::super::super::api::merge_users::{MergeRequest, MergeView, MovedAccount, SplitRequest, SplitView};
use super::super::client::Client;
use super::super::confirm::Yes;
use super::super::error::Error;
use super::super::name::Name;
use super::super::screen::{Screen, plain, yes_no};

/// Commands that merge and split users.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Command {
    /// Merge another user into one: they are the same person
    #[command(
        after_help = "Accounts and memberships of the organization's groups move. A decision to disable one of the \
        two holds for both. Without --yes it shows what would happen, and asks."
    )]
    Merge {
        /// The user that stays: id, user name, display name or e-mail address
        user: Name,
        /// The user that goes: id, user name, display name or e-mail address
        other: String,
        #[command(flatten)]
        yes: Yes,
    },
    /// Give accounts of a user to a new user: they are of another person
    #[command(after_help = "No import joins them again. Without --yes it shows what would happen, and asks.")]
    Split {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
        /// Id of an account that the new user gets; may be repeated
        #[arg(long = "account", value_name = "ID", required = true)]
        accounts: Vec<AccountId>,
        /// Name of the new user
        #[arg(long, value_name = "NAME")]
        user_name: String,
        #[command(flatten)]
        yes: Yes,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Merge { user, other, yes } => {
            let path = format!("users/{user}/merge");
            let preview = MergeRequest { user: other, preview: true };
            let shown: MergeView = client.post(&path, &preview).await?;
            yes.or_ask(&would_merge(&shown))?;
            // What was shown, whatever the names mean by now.
            let path = format!("users/{}/merge", shown.user.user.id);
            let request = MergeRequest { user: shown.merged.id.to_string(), preview: false };
            let merged: MergeView = client.post(&path, &request).await?;
            if screen.is_json() {
                return screen.json(&merged);
            }
            screen.line(plain(&format!("{} is merged into {}.", merged.merged.user_name, merged.user.user.user_name)))
        }
        Command::Split { user, accounts, user_name, yes } => {
            let path = format!("users/{user}/split");
            let request = SplitRequest { accounts, user_name, preview: true };
            let shown: SplitView = client.post(&path, &request).await?;
            yes.or_ask(&would_split(&shown, &request.user_name))?;
            let path = format!("users/{}/split", shown.user.user.id);
            let split: SplitView = client.post(&path, &SplitRequest { preview: false, ..request }).await?;
            if screen.is_json() {
                return screen.json(&split);
            }
            let new = &split.new_user.user;
            screen.line(plain(&format!("The new user is {} ({}).", new.user_name, new.id)))
        }
    }
}

fn would_merge(shown: &MergeView) -> String {
    let (user, groups) = (&shown.user.user, &shown.groups);
    let groups: Vec<&str> = groups.iter().map(|group| group.display_name.as_str()).collect();
    let mut lines = vec![format!(
        "{} ({}) is merged into {} ({}).",
        shown.merged.user_name, shown.merged.id, user.user_name, user.id
    )];
    lines.extend(moving(&shown.accounts));
    if !groups.is_empty() {
        lines.push(format!("It comes into the groups {}.", groups.join(", ")));
    }
    lines.push(format!("Afterwards: name {}, active {}.", user.user_name, yes_no(user.active)));
    lines.join("\n")
}

fn would_split(shown: &SplitView, given: &str) -> String {
    let (user, new) = (&shown.user.user, &shown.new_user.user);
    let mut lines = vec![format!("{} ({}) is split: the new user is {}.", user.user_name, user.id, new.user_name)];
    if new.user_name != given {
        lines.push(format!("The name {given} is not used: the account has one of its own."));
    }
    lines.extend(moving(&shown.accounts));
    lines.push(format!(
        "Active: {} {}, {} {}.",
        user.user_name,
        yes_no(user.active),
        new.user_name,
        yes_no(new.active)
    ));
    lines.join("\n")
}

fn moving(accounts: &[MovedAccount]) -> impl Iterator<Item = String> {
    accounts.iter().map(|account| format!("The account {} of {} moves.", account.dn, account.directory))
}
