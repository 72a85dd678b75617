//! What a directory gets, as options of the command line.

use clap::{Args, ValueEnum};
use postern_engine::provisioning::settings::{
    Assignment, BothChanged, Existing, Leaving, LeavingThen, Mode, Settings, Switches,
};
use uuid::Uuid;

use super::super::super::api::groups::GroupView;
use super::super::super::api::provisioning::{ProvisioningRequest, ProvisioningView};
use super::super::client::Client;
use super::super::error::Error;
use super::super::name::Name;

/// What a directory gets. What is not given stays as it is.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(in crate::cli) struct Options {
    /// Allow this, beside what is allowed already
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Allow>,
    /// Do not allow this any more
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    forbid: Vec<Allow>,
    /// Give an account to the members of this group, nested groups too; several times for several groups
    #[arg(long, value_name = "GROUP", group = "assigned")]
    assign_group: Vec<String>,
    /// Give an account to all users
    #[arg(long, group = "assigned")]
    assign_all: bool,
    /// Give an account to users for whom this expression in CEL is true
    #[arg(long, value_name = "EXPRESSION", group = "assigned")]
    assign_if: Option<String>,
    /// Give an account to nobody; accounts that are there stay as they are
    #[arg(long, group = "assigned")]
    assign_nobody: bool,
    /// Make this group of the organization in the directory; several times for several groups, which replace those before
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// Make no groups
    #[arg(long, conflicts_with = "group")]
    no_groups: bool,
    /// Take over an entry that has the same unique value
    #[arg(long)]
    adopt: bool,
    /// Let the operation fail if an entry has the same unique value [default]
    #[arg(long, conflicts_with = "adopt")]
    no_adopt: bool,
    /// What to do with the account of a user who should have none any more, and with such a group [default: disable].
    /// It takes back the options --leaving-… that are saved and not given again
    #[arg(long, value_name = "WHAT")]
    leaving: Option<LeavingChoice>,
    /// Move such an account to this container, relative to the site's own, as ou=Former
    #[arg(long, value_name = "CONTAINER")]
    leaving_move_to: Option<String>,
    /// Remove such an account from the groups that Postern has put it into
    #[arg(long)]
    leaving_remove_groups: bool,
    /// Delete such an account so many days later
    #[arg(long, value_name = "DAYS")]
    leaving_delete_after: Option<u16>,
    /// Keep the directory's value where both ends have changed it
    #[arg(long)]
    target_wins: bool,
    /// Write the organization's value where both ends have changed it [default]
    #[arg(long, conflicts_with = "target_wins")]
    organization_wins: bool,
    /// Where accounts are: an expression in CEL that gives a container, relative to the site's own
    #[arg(long, value_name = "EXPRESSION")]
    container: Option<String>,
    /// Let the site decide where new accounts are; those that are there do not move
    #[arg(long, conflicts_with = "container")]
    no_container: bool,
    /// Only compare: what differs is sent by plans that somebody applies
    #[arg(long)]
    report_only: bool,
    /// Carry out what differs, without a plan [default]
    #[arg(long, conflicts_with = "report_only")]
    carry_out: bool,
    /// Send nothing until `postern provisioning resume`
    #[arg(long)]
    paused: bool,
}

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Allow {
    /// Make accounts
    CreateUsers,
    /// Change attributes of accounts, rename and move them
    EditUsers,
    /// Delete accounts
    DeleteUsers,
    /// Enable and disable accounts
    EnableDisableUsers,
    /// Set passwords
    SyncPasswords,
    /// Make groups
    CreateGroups,
    /// Change attributes of groups
    EditGroups,
    /// Delete groups
    DeleteGroups,
    /// Add and remove members of groups
    SyncMembers,
    /// Write changes of what comes from the directory to the directory first
    WriteThrough,
}

/// What becomes of an account that should not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LeavingChoice {
    /// Disable it
    Disable,
    /// Delete it
    Delete,
    /// Leave it as it is
    Keep,
}

impl Options {
    /// The request: what is saved, with what the options change.
    pub(super) async fn request(
        self,
        client: &Client,
        before: &ProvisioningView,
    ) -> Result<ProvisioningRequest, Error> {
        let assigned = ids(client, &self.assign_group).await?;
        let groups = ids(client, &self.group).await?;
        let settings = self.changed(before.settings.clone(), assigned, groups);
        Ok(ProvisioningRequest { settings, paused: before.paused || self.paused })
    }

    /// Settings with what the options change. `assigned` and `groups` are the ids of the groups that they name.
    fn changed(&self, mut settings: Settings, assigned: Vec<Uuid>, groups: Vec<Uuid>) -> Settings {
        if let Some(assignment) = self.assignment(assigned) {
            settings.assignment = assignment;
        }
        for (given, on) in [(&self.allow, true), (&self.forbid, false)] {
            for what in given {
                what.set(&mut settings.switches, on);
            }
        }
        if self.no_groups || !groups.is_empty() {
            settings.groups = groups;
        }
        if let Some(leaving) = self.leaving {
            settings.leaving_then = LeavingThen::default();
            settings.leaving = match leaving {
                LeavingChoice::Disable => Leaving::Disable,
                LeavingChoice::Delete => Leaving::Delete,
                LeavingChoice::Keep => Leaving::Keep,
            };
        }
        let then = &mut settings.leaving_then;
        if self.leaving_move_to.is_some() {
            then.move_to.clone_from(&self.leaving_move_to);
        }
        then.remove_groups |= self.leaving_remove_groups;
        then.delete_after_days = self.leaving_delete_after.or(then.delete_after_days);
        if self.no_container || self.container.is_some() {
            settings.user_container.clone_from(&self.container);
        }
        choose((self.adopt, Existing::Adopt), (self.no_adopt, Existing::Conflict), &mut settings.existing);
        let organization = (self.organization_wins, BothChanged::OrganizationWins);
        choose((self.target_wins, BothChanged::TargetWins), organization, &mut settings.both_changed);
        choose((self.report_only, Mode::Report), (self.carry_out, Mode::Enforce), &mut settings.mode);
        settings
    }

    /// Who has an account. `None`: that stays.
    fn assignment(&self, groups: Vec<Uuid>) -> Option<Assignment> {
        if self.assign_all {
            Some(Assignment::All)
        } else if self.assign_nobody {
            Some(Assignment::Nobody)
        } else if let Some(expression) = &self.assign_if {
            Some(Assignment::Condition { expression: expression.clone() })
        } else {
            (!groups.is_empty()).then_some(Assignment::Groups { groups })
        }
    }
}

/// Sets what one of two options says, if one is given.
fn choose<T>(one: (bool, T), other: (bool, T), setting: &mut T) {
    let given = [one, other].into_iter().find(|(given, _)| *given);
    if let Some((_, value)) = given {
        *setting = value;
    }
}

impl Allow {
    fn set(self, switches: &mut Switches, on: bool) {
        let switch = match self {
            Self::CreateUsers => &mut switches.create_users,
            Self::EditUsers => &mut switches.edit_users,
            Self::DeleteUsers => &mut switches.delete_users,
            Self::EnableDisableUsers => &mut switches.enable_disable_users,
            Self::SyncPasswords => &mut switches.sync_passwords,
            Self::CreateGroups => &mut switches.create_groups,
            Self::EditGroups => &mut switches.edit_groups,
            Self::DeleteGroups => &mut switches.delete_groups,
            Self::SyncMembers => &mut switches.sync_members,
            Self::WriteThrough => &mut switches.write_through,
        };
        *switch = on;
    }
}

/// The ids of groups.
async fn ids(client: &Client, groups: &[String]) -> Result<Vec<Uuid>, Error> {
    let mut ids = Vec::with_capacity(groups.len());
    for group in groups {
        let name: Name = group.parse().map_err(|error| Error::Usage(format!("{group:?}: {error}")))?;
        let found: GroupView = client.get(&format!("groups/{name}"), &[]).await?;
        ids.push(found.id.as_uuid());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn changed(line: &str, before: &Settings) -> Settings {
        let words = ["set"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().options.changed(before.clone(), Vec::new(), Vec::new())
    }

    #[test]
    fn what_is_not_given_stays() {
        let before: Settings = serde_json::from_value(json!({
            "mode": "report", "switches": { "create_users": true, "delete_users": true }, "assignment": { "kind": "all" },
            "groups": [Uuid::nil()], "existing": "adopt", "leaving": "delete", "both_changed": "target_wins",
            "user_container": "'ou=Sales'", "operations_per_minute": 7,
        }))
        .unwrap();
        assert_eq!(changed("", &before), before);
        let mut wanted = before.clone();
        wanted.switches.write_through = true;
        wanted.switches.delete_users = false;
        assert_eq!(changed("--allow write-through --forbid delete-users", &before), wanted);
        let moved = changed("--leaving-move-to ou=Former --leaving-delete-after 30", &before).leaving_then;
        assert_eq!((moved.move_to.as_deref(), moved.delete_after_days), (Some("ou=Former"), Some(30)));
        let line =
            "--assign-nobody --no-groups --no-adopt --leaving keep --organization-wins --no-container --carry-out";
        let wanted = Settings {
            switches: before.switches,
            leaving: Leaving::Keep,
            operations_per_minute: before.operations_per_minute,
            ..Settings::default()
        };
        assert_eq!(changed(line, &before), wanted);
        assert!(Line::try_parse_from(["set", "--assign-all", "--assign-nobody"]).is_err());
    }
}
