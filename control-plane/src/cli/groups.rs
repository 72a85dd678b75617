//! `postern groups`: the organization's groups and their members.

mod changes;
pub(super) mod fields;
mod members;

use clap::Subcommand;

use self::fields::{fields, table};
use super::super::api::change_groups::DeletedGroupView;
use super::super::api::groups::{GroupDetail, GroupView, MemberView};
use super::client::Client;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, text_or, time, word};

/// Most members that `show` counts: one page.
const COUNTED: usize = 1_000;

/// Commands of `postern groups`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List groups
    List {
        /// Beginning of a name [default: all groups]
        query: Option<String>,
        /// Only groups that no directory has any more (true), or all others (false)
        #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        missing: Option<bool>,
        #[command(flatten)]
        args: ListArgs,
    },
    #[command(flatten)]
    Change(changes::Command),
    /// List deleted groups that can be restored
    Deleted(ListArgs),
    /// Show a group with its accounts
    Show {
        /// Id or name of the group
        group: Name,
    },
    /// List the members of a group
    Members {
        /// Id or name of the group
        group: Name,
        /// Also members of nested groups
        #[arg(long)]
        effective: bool,
        #[command(flatten)]
        args: ListArgs,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { query, missing, args } => {
            let mut wanted: Vec<(&str, String)> = query.map(|query| ("query", query)).into_iter().collect();
            wanted.extend(missing.map(|missing| ("missing", missing.to_string())));
            let groups: Found<GroupView> = client.list("groups", &wanted, args.most()).await?;
            table(&groups, &args, screen)
        }
        Command::Change(command) => changes::run(command, client, screen).await,
        Command::Deleted(args) => {
            let groups: Found<DeletedGroupView> = client.list("deleted-groups", &[], args.most()).await?;
            screen.list(&groups, &args, &["name", "deleted", "by", "id"], |group| {
                vec![group.display_name.clone(), time(group.deleted_at), group.deleted_by.clone(), group.id.to_string()]
            })
        }
        Command::Show { group } => {
            let detail: GroupDetail = client.get(&format!("groups/{group}"), &[]).await?;
            let path = format!("groups/{}/members", detail.group.id);
            let members: Found<MemberView> = client.list(&path, &[], Some(COUNTED)).await?;
            show(&detail, &members, screen)
        }
        Command::Members { group, effective, args } => {
            let wanted = [("effective", effective.to_string())];
            let members: Found<MemberView> =
                client.list(&format!("groups/{group}/members"), &wanted, args.most()).await?;
            screen.list(&members, &args, &["kind", "name", "display name", "id", "key"], |member| {
                vec![
                    word(&member.kind),
                    text_or(member.user_name.as_deref(), "-"),
                    text_or(member.display_name.as_deref(), "-"),
                    member.id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
                    member.key.clone().unwrap_or_default(),
                ]
            })
        }
    }
}

fn show(detail: &GroupDetail, members: &Found<MemberView>, screen: &mut Screen) -> Result<(), Error> {
    let group = &detail.group;
    let more = if members.more { "more than " } else { "" };
    let count = format!("{more}{}; `postern groups members {}` lists them", members.items.len(), group.id);
    screen.fields(detail, &[fields(group), vec![("members", count)], fields::pending(&detail.pending)].concat())?;
    if !screen.is_json() {
        for account in &detail.accounts {
            screen.line("")?;
            super::account_lines::account(account, screen)?;
        }
    }
    Ok(())
}
