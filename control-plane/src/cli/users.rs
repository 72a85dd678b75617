//! `postern users`: the organization's users.

mod changes;
mod columns;
mod csv_file;
mod definitions;
mod export;
mod fields;
mod import;
mod import_report;
mod line_numbers;
mod merges;
mod set_password;
mod unlock;

use std::collections::BTreeMap;

use clap::Subcommand;
use jiff::Timestamp;

use self::fields::{attributes, disabled, pending, profile};
use super::super::api::change_users::DeletedUserView;
use super::super::api::users::{ManagerView, UserDetail, UserView};
use super::client::Client;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::moment;
use super::name::Name;
use super::screen::{Screen, text_or, time, time_or, yes_no};

/// Commands of `postern users`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List users
    List {
        /// Beginning of a user name, display name or e-mail address [default: all users]
        query: Option<String>,
        /// Only those who may sign in (true) or may not (false)
        #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        active: Option<bool>,
        /// Only users that no directory has any more (true), or all others (false)
        #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        missing: Option<bool>,
        /// Only users with an account in this directory; `organization`: only those that the organization has made itself
        #[arg(long, value_name = "DIRECTORY")]
        source: Option<String>,
        /// Only direct members of this group
        #[arg(long)]
        group: Option<String>,
        /// Only users that changed after this time, like 2026-11-28T09:00:00Z, a date (midnight UTC), or 30d for thirty days
        /// ago
        #[arg(long, value_name = "TIME", value_parser = moment::earlier)]
        updated_after: Option<Timestamp>,
        #[command(flatten)]
        args: ListArgs,
    },
    #[command(flatten)]
    Change(changes::Command),
    #[command(flatten)]
    Merges(merges::Command),
    /// Create and change users from a CSV file
    #[command(
        after_help = "Columns: user_name, given_name, family_name, display_name, email; every other column is a \
        further attribute. A user with the id or the name of a line is changed; an empty cell leaves a value as it is. The columns \
        active and missing_since of an export change nothing. Lists are \
        separated by |. Without --apply nothing is written. Good lines are written even if others are refused."
    )]
    Import(import::Import),
    /// Write all users to a CSV file
    Export(export::Export),
    /// Set the password of a user in a directory
    #[command(
        after_help = "The password is sealed here, to the keys of the directory's agents: the control plane cannot \
        read it. Without a terminal it is the first line of the standard input."
    )]
    SetPassword(set_password::SetPassword),
    /// Unlock a user in a directory after wrong passwords
    Unlock(unlock::Unlock),
    /// Compare a user with the account in a directory at once, and carry out what differs
    Provision(super::provisioning::trace::Provision),
    /// List deleted users that can be restored
    Deleted(ListArgs),
    /// List the groups of a user
    Groups {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
        /// Also groups that the user is a member of through nested groups
        #[arg(long)]
        effective: bool,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Show a user with its accounts and groups
    Show {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { query, active, missing, source, group, updated_after, args } => {
            let mut wanted: Vec<(&str, String)> = query.map(|query| ("query", query)).into_iter().collect();
            wanted.extend(active.map(|active| ("active", active.to_string())));
            wanted.extend(missing.map(|missing| ("missing", missing.to_string())));
            wanted.extend(source.map(|source| ("source", source)));
            wanted.extend(group.map(|group| ("group", group)));
            wanted.extend(updated_after.map(|time| ("updated_after", time.to_string())));
            let users: Found<UserView> = client.list("users", &wanted, args.most()).await?;
            screen.list(
                &users,
                &args,
                &["user name", "display name", "e-mail", "active", "missing since", "id"],
                |user| {
                    vec![
                        user.user_name.clone(),
                        text_or(user.display_name.as_deref(), "-"),
                        text_or(user.email.as_deref(), "-"),
                        yes_no(user.active).to_owned(),
                        time_or(user.missing_since, "-"),
                        user.id.to_string(),
                    ]
                },
            )
        }
        Command::Import(args) => import::import(&args, client, screen).await,
        Command::Export(args) => export::export(&args, client, screen).await,
        Command::Change(command) => changes::run(command, client, screen).await,
        Command::SetPassword(args) => set_password::run(args, client, screen).await,
        Command::Unlock(args) => unlock::run(args, client, screen).await,
        Command::Provision(args) => super::provisioning::trace::run(args, client, screen).await,
        Command::Merges(command) => merges::run(command, client, screen).await,
        Command::Deleted(args) => {
            let users: Found<DeletedUserView> = client.list("deleted-users", &[], args.most()).await?;
            screen.list(&users, &args, &["user name", "deleted", "by", "id"], |user| {
                vec![user.user_name.clone(), time(user.deleted_at), user.deleted_by.clone(), user.id.to_string()]
            })
        }
        Command::Groups { user, effective, args } => {
            let wanted = [("effective", effective.to_string())];
            let groups = client.list(&format!("users/{user}/groups"), &wanted, args.most()).await?;
            super::groups::fields::table(&groups, &args, screen)
        }
        Command::Show { user } => show(&client.get(&format!("users/{user}"), &[]).await?, screen),
    }
}

fn show(detail: &UserDetail, screen: &mut Screen) -> Result<(), Error> {
    let user = &detail.user;
    let groups: Vec<&str> = detail.groups.iter().map(|group| group.display_name.as_str()).collect();
    let mut fields = profile(user);
    let further = attributes(user);
    fields.extend(further.iter().map(|(name, text)| (name.as_str(), text.clone())));
    fields.extend(disabled(detail.suspension.as_ref()));
    fields.extend(pending(&detail.pending));
    fields.extend([
        ("missing since", time_or(user.missing_since, "-")),
        ("groups", if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }),
        ("manager", manager(detail.manager.as_ref())),
        ("provided by", provided_by(detail)),
        ("created", time(user.created_at)),
        ("changed", time(user.updated_at)),
    ]);
    screen.fields(detail, &fields)?;
    if !screen.is_json() {
        for shown in &detail.accounts {
            screen.line("")?;
            super::account_lines::account(shown, screen)?;
        }
    }
    Ok(())
}

fn manager(manager: Option<&ManagerView>) -> String {
    match manager {
        None => "-".to_owned(),
        Some(ManagerView { dn, user: None, .. }) => format!("{dn} (no user)"),
        Some(ManagerView { user: Some(user), .. }) => match &user.display_name {
            Some(name) => format!("{name} ({})", user.user_name),
            None => user.user_name.clone(),
        },
    }
}

/// The directories that provide the profile, each with the fields that it says.
fn provided_by(detail: &UserDetail) -> String {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (field, directory) in &detail.sources {
        owners.entry(directory).or_default().push(field);
    }
    let said: Vec<String> =
        owners.iter().map(|(directory, fields)| format!("{directory} ({})", fields.join(", "))).collect();
    if said.is_empty() { "the organization".to_owned() } else { said.join("; ") }
}
