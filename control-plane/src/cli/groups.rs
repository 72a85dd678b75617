//! `postern groups`: the organization's groups and their members.

use clap::Subcommand;
use postern_store::GroupId;

use super::super::api::groups::{GroupDetail, GroupView, MemberView};
use super::client::Client;
use super::error::Error;
use super::screen::{Screen, text_or, time, word};
use super::{Limit, users};

/// Commands of `postern groups`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List groups
    List {
        /// Begin of a name [default: all groups]
        query: Option<String>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a group with its accounts
    Show {
        /// Id of the group
        id: GroupId,
    },
    /// List the direct members of a group
    Members {
        /// Id of the group
        id: GroupId,
        #[command(flatten)]
        limit: Limit,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { query, limit } => {
            let query: Vec<(&str, String)> = query.map(|query| ("query", query)).into_iter().collect();
            let groups: Vec<GroupView> = client.list("groups", &query, limit.most()).await?;
            screen.list(&groups, &["name", "description", "id"], |group| {
                vec![group.display_name.clone(), text_or(group.description.as_deref(), "-"), group.id.to_string()]
            })
        }
        Command::Show { id } => show(&client.get(&format!("groups/{id}"), &[]).await?, screen),
        Command::Members { id, limit } => {
            let members: Vec<MemberView> = client.list(&format!("groups/{id}/members"), &[], limit.most()).await?;
            screen.list(&members, &["kind", "name", "display name", "id", "key"], |member| {
                vec![
                    word(&member.kind),
                    text_or(member.user_name.as_deref(), "-"),
                    text_or(member.display_name.as_deref(), "-"),
                    member.id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
                    member.key.clone(),
                ]
            })
        }
    }
}

fn show(detail: &GroupDetail, screen: &mut Screen) -> Result<(), Error> {
    let group = &detail.group;
    screen.fields(
        detail,
        &[
            ("name", group.display_name.clone()),
            ("id", group.id.to_string()),
            ("description", text_or(group.description.as_deref(), "-")),
            ("created", time(group.created_at)),
            ("changed", time(group.updated_at)),
        ],
    )?;
    if !screen.is_json() {
        for account in &detail.accounts {
            screen.line("")?;
            users::account(account, screen)?;
        }
    }
    Ok(())
}
