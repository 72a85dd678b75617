//! What a directory gets, as options of the command line.

use clap::{Args, ValueEnum};
use postern_engine::provisioning::settings::{
    Assignment, BothChanged, Existing, Leaving, LeavingThen, Mode, Settings, Switches,
};

use super::super::super::api::groups::GroupView;
use super::super::super::api::provisioning::ProvisioningRequest;
use super::super::client::Client;
use super::super::error::Error;
use super::super::name::Name;

/// What a directory gets.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(in crate::cli) struct Options {
    /// What Postern may do there
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Allow>,
    /// Give an account to the members of this group, nested groups too; several times for several groups
    #[arg(long, value_name = "GROUP", group = "assigned")]
    assign_group: Vec<String>,
    /// Give an account to all users
    #[arg(long, group = "assigned")]
    assign_all: bool,
    /// Give an account to users for whom this expression in CEL is true
    #[arg(long, value_name = "EXPRESSION", group = "assigned")]
    assign_if: Option<String>,
    /// Make this group of the organization in the directory; several times for several groups
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// Take over an entry that has the same unique value; otherwise the operation fails
    #[arg(long)]
    adopt: bool,
    /// What to do with the account of a user who should have none any more [default: disable]
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
    directory_wins: bool,
    /// Where accounts are: an expression in CEL that gives a container, relative to the site's own
    #[arg(long, value_name = "EXPRESSION")]
    container: Option<String>,
    /// Only compare: what differs is sent by plans that somebody applies
    #[arg(long)]
    report_only: bool,
    /// Send nothing yet
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
    /// The request, with the thresholds that stay.
    pub(super) async fn request(self, client: &Client, before: &Settings) -> Result<ProvisioningRequest, Error> {
        let assignment = if self.assign_all {
            Assignment::All
        } else if let Some(expression) = self.assign_if {
            Assignment::Condition { expression }
        } else if self.assign_group.is_empty() {
            Assignment::Nobody
        } else {
            Assignment::Groups { groups: ids(client, &self.assign_group).await? }
        };
        let on = |what: Allow| self.allow.contains(&what);
        let switches = Switches {
            create_users: on(Allow::CreateUsers),
            edit_users: on(Allow::EditUsers),
            delete_users: on(Allow::DeleteUsers),
            enable_disable_users: on(Allow::EnableDisableUsers),
            sync_passwords: on(Allow::SyncPasswords),
            create_groups: on(Allow::CreateGroups),
            edit_groups: on(Allow::EditGroups),
            delete_groups: on(Allow::DeleteGroups),
            sync_members: on(Allow::SyncMembers),
            write_through: on(Allow::WriteThrough),
        };
        let leaving = match self.leaving {
            None | Some(LeavingChoice::Disable) => Leaving::Disable,
            Some(LeavingChoice::Delete) => Leaving::Delete,
            Some(LeavingChoice::Keep) => Leaving::Keep,
        };
        let settings = Settings {
            mode: if self.report_only { Mode::Report } else { Mode::Enforce },
            switches,
            assignment,
            groups: ids(client, &self.group).await?,
            existing: if self.adopt { Existing::Adopt } else { Existing::Conflict },
            leaving,
            leaving_then: LeavingThen {
                move_to: self.leaving_move_to,
                remove_groups: self.leaving_remove_groups,
                delete_after_days: self.leaving_delete_after,
            },
            both_changed: if self.directory_wins { BothChanged::TargetWins } else { BothChanged::OrganizationWins },
            user_container: self.container,
            // These only the API sets; what is set there stays.
            thresholds: before.thresholds,
            imports: before.imports,
            operations_per_minute: before.operations_per_minute,
        };
        Ok(ProvisioningRequest { settings, paused: self.paused })
    }
}

/// The ids of groups.
async fn ids(client: &Client, groups: &[String]) -> Result<Vec<uuid::Uuid>, Error> {
    let mut ids = Vec::with_capacity(groups.len());
    for group in groups {
        let name: Name = group.parse().map_err(|error| Error::Usage(format!("{group:?}: {error}")))?;
        let found: GroupView = client.get(&format!("groups/{name}"), &[]).await?;
        ids.push(found.id.as_uuid());
    }
    Ok(ids)
}
