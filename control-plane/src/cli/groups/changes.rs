//! `postern groups create`, `change`, `delete`, `restore`, `add` and `remove`.

use clap::Subcommand;
use serde_json::json;

use super::super::super::api::change_groups::{GroupPatch, GroupRequest};
use super::super::super::api::consequences::PlannedChange;
use super::super::super::api::groups::{GroupDetail, GroupView};
use super::super::client::Client;
use super::super::confirm::Yes;
use super::super::consequences;
use super::super::error::Error;
use super::super::name::Name;
use super::super::screen::Screen;
use super::fields::fields;
use super::members::{self, Direction, Members};

/// Commands that change groups.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Command {
    /// Create a group
    Create {
        /// Name of the group; several groups may have the same
        name: String,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Change a group that no directory has
    Change {
        /// Id or name of the group
        group: Name,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// What it is for; an empty text removes it
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete a group that no directory has
    #[command(after_help = "The group can be restored for 30 days, with its memberships.")]
    Delete {
        /// Id or name of the group
        group: Name,
        #[command(flatten)]
        yes: Yes,
    },
    /// Restore a deleted group
    Restore {
        /// Id of the deleted group, its beginning, or its name
        group: Name,
    },
    /// Add users or groups to a group that no directory has
    Add {
        /// Id or name of the group
        group: Name,
        #[command(flatten)]
        members: Members,
    },
    /// Remove users or groups from a group
    Remove {
        /// Id or name of the group
        group: Name,
        #[command(flatten)]
        members: Members,
        #[command(flatten)]
        yes: Yes,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Create { name, description } => {
            let request = GroupRequest { display_name: name, description };
            changed(&client.post("groups", &request).await?, screen)
        }
        Command::Change { group, name, description } => {
            let description = description.map(|text| Some(text).filter(|text| !text.is_empty()));
            let patch = GroupPatch { display_name: name, description };
            changed(&client.patch(&format!("groups/{group}"), &patch).await?, screen)
        }
        Command::Delete { group, yes } => {
            let detail: GroupDetail = client.get(&format!("groups/{group}"), &[]).await?;
            let id = detail.group.id;
            let lines = consequences::lines(client, &PlannedChange::DeleteGroup { group: id.to_string() }).await?;
            let what = format!("{} will be deleted, with its memberships.", detail.group.display_name);
            yes.or_ask(&[vec![what], lines].concat().join("\n"))?;
            client.delete(&format!("groups/{id}?provisioned=true")).await?;
            let cure = format!("The group is deleted. For 30 days `postern groups restore {id}` brings it back.");
            screen.done(&id, "deleted", &cure)
        }
        Command::Restore { group } => {
            changed(&client.post(&format!("groups/{group}/restore"), &json!({})).await?, screen)
        }
        Command::Add { group, members } => members::change(&group, members, Direction::Add, client, screen).await,
        Command::Remove { group, members, yes } => {
            let change = PlannedChange::RemoveMembers { group: group.text().to_owned(), members: members.named() };
            let lines = consequences::lines(client, &change).await?;
            if !lines.is_empty() {
                yes.or_ask(&format!("Members of {} will be removed.\n{}", group.text(), lines.join("\n")))?;
            }
            members::change(&group, members, Direction::Remove, client, screen).await
        }
    }
}

/// Prints a group that was just made or changed.
fn changed(group: &GroupView, screen: &mut Screen) -> Result<(), Error> {
    screen.fields(group, &fields(group))
}
