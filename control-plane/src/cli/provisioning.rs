//! `postern provisioning`: what directories get, and what was done there.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use postern_engine::provisioning::settings::{
    Assignment, BothChanged, Existing, Leaving, Limit, Settings, Switches, Thresholds,
};
use postern_engine::records::OperationState;
use serde_json::json;

use super::super::api::groups::GroupView;
use super::super::api::provisioning::{FailingView, HeldDecision, HeldRequest, ProvisioningRequest, ProvisioningView};
use super::super::api::provisioning_report::{OperationView, ProvisionRequest, ProvisionedUser};
use super::choice::choice;
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::moment;
use super::name::Name;
use super::screen::{Screen, text_or, time, word};

const AFTER_SET: &str = "\
What is not given is off; thresholds, which only the API sets, stay. The site must allow writes, too: [directory.write] in the agent's configuration.

  postern provisioning set corp --assign-group staff --allow create-users,edit-users,enable-disable-users
  postern provisioning set corp --assign-all --allow create-users --container \"'ou=' + attributes.department\"";

/// Commands of `postern provisioning`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what a directory gets
    Show {
        /// Name, display name or id of the directory
        directory: Name,
    },
    /// Set what a directory gets; what is not given is off
    #[command(after_help = AFTER_SET)]
    Set {
        /// Name, display name or id of the directory
        directory: Name,
        #[command(flatten)]
        options: Options,
    },
    /// Send nothing to a directory until it is resumed
    Pause {
        /// Name, display name or id of the directory
        directory: Name,
    },
    /// Go on sending to a directory
    Resume {
        /// Name, display name or id of the directory
        directory: Name,
    },
    /// Send nothing to a directory any more; its accounts stay as they are
    Remove {
        /// Name, display name or id of the directory
        directory: Name,
        #[command(flatten)]
        yes: Yes,
    },
    /// Compare all users and groups with their accounts in a directory, and carry out what differs
    Compare {
        /// Name, display name or id of the directory
        directory: Name,
    },
    /// Let held operations be sent; --all for all that are held
    Approve {
        #[command(flatten)]
        held: Held,
    },
    /// Drop held operations; --all for all that are held
    Reject {
        #[command(flatten)]
        held: Held,
    },
    /// Compare one user with the account in a directory at once, even if it failed before
    User {
        /// Name or id of the user
        user: Name,
        /// Name, display name or id of the directory
        #[arg(long, value_name = "DIRECTORY")]
        target: String,
    },
    /// List users and groups whose accounts could not be changed
    Failures {
        /// Name, display name or id of the directory
        directory: Name,
        #[command(flatten)]
        args: ListArgs,
    },
    /// List what was done, the latest first
    Report {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Show one operation of the report
    Operation {
        /// Its id
        id: uuid::Uuid,
    },
}

/// Held operations.
#[derive(Debug, Args)]
pub(super) struct Held {
    /// Name, display name or id of the directory
    directory: Name,
    /// Ids of operations, as `postern provisioning report --state held` lists them
    #[arg(required_unless_present = "all")]
    operations: Vec<uuid::Uuid>,
    /// All that are held
    #[arg(long, conflicts_with = "operations")]
    all: bool,
}

/// What a directory gets.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(super) struct Options {
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
    /// Keep the directory's value where both ends have changed it
    #[arg(long)]
    directory_wins: bool,
    /// Where accounts are made: an expression in CEL that gives a container, relative to the site's own
    #[arg(long, value_name = "EXPRESSION")]
    container: Option<String>,
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

/// Which operations are wanted.
#[derive(Clone, Debug, Args)]
pub(super) struct Filter {
    /// Only of this user
    #[arg(long)]
    user: Option<String>,
    /// Only of this group
    #[arg(long, conflicts_with = "user")]
    group: Option<String>,
    /// Only in this directory
    #[arg(long, value_name = "DIRECTORY")]
    target: Option<String>,
    /// Only this action, like create
    #[arg(long)]
    action: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = choice::<OperationState>())]
    state: Option<OperationState>,
    /// Only at this time or later, like 2026-01-31T00:00:00Z, a date (midnight UTC), or 30d for thirty days ago
    #[arg(long, value_name = "TIME", value_parser = moment::earlier)]
    since: Option<Timestamp>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = moment::earlier)]
    until: Option<Timestamp>,
}

impl Options {
    async fn request(self, client: &Client, thresholds: Thresholds) -> Result<ProvisioningRequest, Error> {
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
        };
        let leaving = match self.leaving {
            None | Some(LeavingChoice::Disable) => Leaving::Disable,
            Some(LeavingChoice::Delete) => Leaving::Delete,
            Some(LeavingChoice::Keep) => Leaving::Keep,
        };
        let settings = Settings {
            switches,
            assignment,
            groups: ids(client, &self.group).await?,
            existing: if self.adopt { Existing::Adopt } else { Existing::Conflict },
            leaving,
            both_changed: if self.directory_wins { BothChanged::TargetWins } else { BothChanged::OrganizationWins },
            user_container: self.container,
            thresholds,
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

impl Filter {
    fn query(self) -> Vec<(&'static str, String)> {
        let texts = [
            ("user", self.user),
            ("group", self.group),
            ("target", self.target),
            ("action", self.action),
            ("state", self.state.map(|state| state.as_str().to_owned())),
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
        ];
        texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Show { directory } => show(&get(client, &directory).await?, screen),
        Command::Set { directory, options } => {
            let thresholds = get(client, &directory).await?.settings.thresholds;
            let request = options.request(client, thresholds).await?;
            show(&put(client, &directory, &request).await?, screen)
        }
        Command::Pause { directory } => pause(client, &directory, true, screen).await,
        Command::Resume { directory } => pause(client, &directory, false, screen).await,
        Command::Remove { directory, yes } => {
            yes.or_ask(&format!("Nothing is sent to {directory} any more. Its accounts stay as they are."))?;
            client.delete(&format!("directories/{directory}/provisioning")).await?;
            screen.done(&directory, "removed", &format!("Nothing is sent to {directory} any more."))
        }
        Command::Compare { directory } => {
            let path = format!("directories/{directory}/provisioning/compare");
            client.post::<ProvisioningView>(&path, &json!({})).await?;
            screen.done(&directory, "compared", "All users and groups are compared in the background.")
        }
        Command::Approve { held } => decide(client, held, "approve", screen).await,
        Command::Reject { held } => decide(client, held, "reject", screen).await,
        Command::User { user, target } => {
            let done: ProvisionedUser =
                client.post(&format!("users/{user}/provision"), &ProvisionRequest { target }).await?;
            screen.done(
                &done.user_id,
                "provisioned",
                "The user is compared in the background: postern provisioning report",
            )
        }
        Command::Failures { directory, args } => {
            let path = format!("directories/{directory}/provisioning/failures");
            let found: Found<FailingView> = client.list(&path, &[], args.most()).await?;
            screen.list(&found, &args, &["kind", "name", "failures", "next try", "problem", "id"], failing)
        }
        Command::Report { filter, args } => {
            let found: Found<OperationView> = client.list("reports/provisioning", &filter.query(), args.most()).await?;
            let head = ["time", "kind", "name", "action", "state", "answer", "by", "cause", "ms", "id"];
            screen.list(&found, &args, &head, operation)
        }
        Command::Operation { id } => {
            let found: OperationView = client.get(&format!("reports/provisioning/{id}"), &[]).await?;
            screen.fields(
                &found,
                &[
                    ("time", time(found.at)),
                    (&found.kind, found.name.clone()),
                    ("action", found.action.clone()),
                    ("state", word(&found.state)),
                    ("cause", found.cause.clone()),
                    ("by", text_or(found.actor.as_deref(), "-")),
                    ("changes", found.changes.to_string()),
                    ("answer", found.answer.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
                    ("sent", found.sent.to_string()),
                ],
            )
        }
    }
}

async fn get(client: &Client, directory: &Name) -> Result<ProvisioningView, Error> {
    client.get(&format!("directories/{directory}/provisioning"), &[]).await
}

async fn put(client: &Client, directory: &Name, request: &ProvisioningRequest) -> Result<ProvisioningView, Error> {
    client.replace(&format!("directories/{directory}/provisioning"), None, request).await
}

async fn pause(client: &Client, directory: &Name, paused: bool, screen: &mut Screen) -> Result<(), Error> {
    let settings = get(client, directory).await?.settings;
    show(&put(client, directory, &ProvisioningRequest { settings, paused }).await?, screen)
}

async fn decide(client: &Client, held: Held, what: &str, screen: &mut Screen) -> Result<(), Error> {
    let Held { directory, operations, all } = held;
    let request = HeldRequest { operations: (!all).then_some(operations) };
    let path = format!("directories/{directory}/provisioning/{what}");
    let HeldDecision { decided } = client.post(&path, &request).await?;
    let done = if what == "approve" { "approved; they are sent now" } else { "dropped" };
    screen.done(&decided, what, &format!("{decided} held operations were {done}."))
}

fn show(view: &ProvisioningView, screen: &mut Screen) -> Result<(), Error> {
    let Settings { switches, assignment, groups, existing, leaving, both_changed, user_container, thresholds } =
        &view.settings;
    let limit = |limit: Limit| match limit.percent {
        0 => limit.number.to_string(),
        percent => format!("{} (or {percent} %, if that is more)", limit.number),
    };
    let limits = format!(
        "{} creates, {} updates, {} disables, {} deletes, {} members removed",
        limit(thresholds.creates),
        limit(thresholds.updates),
        limit(thresholds.disables),
        limit(thresholds.deletes),
        limit(thresholds.member_removals),
    );
    let allowed = [
        ("create-users", switches.create_users),
        ("edit-users", switches.edit_users),
        ("delete-users", switches.delete_users),
        ("enable-disable-users", switches.enable_disable_users),
        ("sync-passwords", switches.sync_passwords),
        ("create-groups", switches.create_groups),
        ("edit-groups", switches.edit_groups),
        ("delete-groups", switches.delete_groups),
        ("sync-members", switches.sync_members),
    ];
    let allowed: Vec<&str> = allowed.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
    let assigned = match assignment {
        Assignment::Nobody => "nobody".to_owned(),
        Assignment::All => "all users".to_owned(),
        Assignment::Groups { groups } => {
            format!("members of {}", groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        Assignment::Condition { expression } => format!("users for whom {expression}"),
    };
    let state = match (view.revision, view.paused) {
        (0, _) => "off",
        (_, true) => "paused",
        (_, false) => "on",
    };
    screen.fields(
        view,
        &[
            ("directory", view.directory.clone()),
            ("state", state.to_owned()),
            ("allowed", allowed),
            ("accounts for", assigned),
            ("groups", groups.len().to_string()),
            ("existing entries", word(existing)),
            ("leaving users", word(leaving)),
            ("both ends changed", word(both_changed)),
            ("container", text_or(user_container.as_deref(), "the site decides")),
            ("most in an hour", limits),
            ("held", view.held.to_string()),
            ("changed by", text_or(view.updated_by.as_deref(), "-")),
        ],
    )
}

fn failing(failing: &FailingView) -> Vec<String> {
    vec![
        failing.kind.clone(),
        text_or(failing.name.as_deref(), "(deleted)"),
        failing.failures.to_string(),
        time(failing.next_try_at),
        text_or(failing.problem.as_deref(), "-"),
        failing.id.to_string(),
    ]
}

fn operation(operation: &OperationView) -> Vec<String> {
    let answer = operation.answer.as_ref().map_or_else(
        || "-".to_owned(),
        |answer| {
            let error = answer["error"]["message"].as_str();
            error.or_else(|| answer["held"].as_str()).or_else(|| answer["effect"].as_str()).unwrap_or("-").to_owned()
        },
    );
    vec![
        time(operation.at),
        operation.kind.clone(),
        operation.name.clone(),
        operation.action.clone(),
        word(&operation.state),
        answer,
        text_or(operation.actor.as_deref(), "-"),
        operation.cause.clone(),
        operation.elapsed_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
        operation.id.to_string(),
    ]
}
