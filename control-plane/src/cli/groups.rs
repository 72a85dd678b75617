//! `postern groups`: the organization's groups and their members.

use clap::Subcommand;
use postern_store::GroupId;

use super::super::api::groups::{GroupDetail, GroupView, MemberView};
use super::client::Client;
use super::error::Error;
use super::screen::{Screen, text_or, time, time_or, word};
use super::{Limit, users};

/// Commands of `postern groups`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List groups
    List {
        /// Begin of a name [default: all groups]
        query: Option<String>,
        /// Only those that no directory has any more (true) or that one has (false)
        #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        missing: Option<bool>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a group with its accounts
    Show {
        /// Id or name of the group
        group: String,
    },
    /// List the direct members of a group
    Members {
        /// Id or name of the group
        group: String,
        #[command(flatten)]
        limit: Limit,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { query, missing, limit } => {
            let mut wanted: Vec<(&str, String)> = query.map(|query| ("query", query)).into_iter().collect();
            wanted.extend(missing.map(|missing| ("missing", missing.to_string())));
            let groups: Vec<GroupView> = client.list("groups", &wanted, limit.most()).await?;
            screen.list(&groups, &["name", "directory", "description", "missing since", "id"], |group| {
                vec![
                    group.display_name.clone(),
                    group.directories.join(", "),
                    text_or(group.description.as_deref(), "-"),
                    time_or(group.missing_since, "-"),
                    group.id.to_string(),
                ]
            })
        }
        Command::Show { group } => {
            let id = find(client, &group).await?;
            show(&client.get(&format!("groups/{id}"), &[]).await?, screen)
        }
        Command::Members { group, limit } => {
            let id = find(client, &group).await?;
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

/// The group of this id or this very name; the list finds all that begin so.
async fn find(client: &Client, group: &str) -> Result<GroupId, Error> {
    match group.parse() {
        Ok(id) => Ok(id),
        Err(_) => the_one(group, client.list("groups", &[("query", group.to_owned())], None).await?),
    }
}

/// Names of groups are not unique: two directories may each have one of the same name.
fn the_one(name: &str, mut found: Vec<GroupView>) -> Result<GroupId, Error> {
    let folded = postern_store::fold(name);
    found.retain(|group| postern_store::fold(&group.display_name) == folded);
    match found.as_slice() {
        [] => Err(Error::Nothing { what: "group", name: name.to_owned() }),
        [group] => Ok(group.id),
        several => Err(Error::Ambiguous {
            what: "groups",
            name: name.to_owned(),
            ids: several
                .iter()
                .map(|group| format!("{} {} of {}", group.id, group.display_name, group.directories.join(", ")))
                .collect(),
        }),
    }
}

fn show(detail: &GroupDetail, screen: &mut Screen) -> Result<(), Error> {
    let group = &detail.group;
    screen.fields(
        detail,
        &[
            ("name", group.display_name.clone()),
            ("id", group.id.to_string()),
            ("directory", group.directories.join(", ")),
            ("description", text_or(group.description.as_deref(), "-")),
            ("created", time(group.created_at)),
            ("changed", time(group.updated_at)),
            ("missing since", time_or(group.missing_since, "-")),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupView {
        let at = jiff::Timestamp::UNIX_EPOCH;
        GroupView {
            id: GroupId::new(),
            display_name: name.to_owned(),
            description: None,
            directories: vec!["corp".to_owned()],
            created_at: at,
            updated_at: at,
            missing_since: None,
        }
    }

    #[test]
    fn a_name_stands_for_one_group_or_says_which_there_are() {
        let (staff, staffing, upper) = (group("staff"), group("staffing"), group("STAFF"));
        assert_eq!(the_one("Staff", vec![staff.clone(), staffing.clone()]).unwrap(), staff.id);
        assert!(matches!(the_one("sta", vec![staff.clone(), staffing]), Err(Error::Nothing { .. })));
        let error = the_one("staff", vec![staff.clone(), upper.clone()]).unwrap_err().explain();
        assert!(error.contains(&staff.id.to_string()) && error.contains(&upper.id.to_string()), "{error}");
    }
}
