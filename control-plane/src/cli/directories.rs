//! `postern directories`: the directories that agents have announced.

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use postern_engine::intake::effect::Effect;
use postern_runtime::clock::{Clock as _, SystemClock};

use super::super::api::accounts::AccountView;
use super::super::api::directories::{DirectoryPatch, DirectoryProblem, DirectoryView};
use super::super::api::directory_order::{OrderRequest, OrderView, OrderedDirectory};
use super::age::ago;
use super::client::Client;
use super::confirm::Yes;
use super::effect;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, note, time, word};

/// Commands of `postern directories`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the directories
    List(ListArgs),
    /// Show a directory
    Show {
        /// Name, display name or id of the directory
        directory: Name,
    },
    /// Change the display name of a directory
    Rename {
        /// Name, display name or id of the directory
        directory: Name,
        /// What to call it
        display_name: String,
    },
    /// Set when an import is held because too much would change at once
    #[command(
        after_help = "In a directory with fewer than ten accounts, half of them hold an import, if that is at least \
        three. With 100 percent, changes of that kind never hold an import."
    )]
    Threshold {
        /// Name, display name or id of the directory
        directory: Name,
        /// Which changes
        #[arg(long = "for", value_enum, default_value_t = Changes::Missing, value_name = "CHANGES")]
        changes: Changes,
        /// Hold above this share, percent
        #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
        percent: Option<u32>,
        /// Never hold below this number of changes
        #[arg(long)]
        minimum: Option<u32>,
    },
    /// Show or set the order of the directories
    #[command(
        after_help = "Of a user that several directories have, each value comes from the first directory that has \
        one. Directories that you do not name follow in their present order. A new directory comes last. Where users would \
        get another user name, this command asks first."
    )]
    Order {
        /// Names or ids of the directories that come first [default: shows the order]
        directories: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Start no new jobs on a directory, and end running ones
    Disable {
        /// Name, display name or id of the directory
        directory: Name,
    },
    /// Allow jobs on a directory again
    Enable {
        /// Name, display name or id of the directory
        directory: Name,
    },
    /// Delete a directory
    #[command(after_help = "An agent that still announces the directory brings it back. Remove it from the agents' \
        configuration first.")]
    Delete {
        /// Name, display name or id of the directory
        directory: Name,
        #[command(flatten)]
        yes: Yes,
    },
}

/// Changes that hold an import in great number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Changes {
    /// Accounts that would be marked missing, of all accounts
    Missing,
    /// Users who would become active, of all users
    Activated,
    /// Users who would become inactive, of all users
    Deactivated,
    /// Users who would get another user name, of all users
    Renamed,
    /// Accounts that would lose an attribute, of those that had it
    Vanished,
    /// Memberships of groups that would be removed, of all memberships
    Removed,
}

impl Changes {
    fn patch(self, percent: Option<u32>, minimum: Option<u32>) -> DirectoryPatch {
        let mut patch = DirectoryPatch::default();
        let (to_percent, to_minimum) = match self {
            Self::Missing => (&mut patch.missing_threshold_percent, &mut patch.missing_threshold_minimum),
            Self::Activated => (&mut patch.activated_threshold_percent, &mut patch.activated_threshold_minimum),
            Self::Deactivated => (&mut patch.deactivated_threshold_percent, &mut patch.deactivated_threshold_minimum),
            Self::Renamed => (&mut patch.renamed_threshold_percent, &mut patch.renamed_threshold_minimum),
            Self::Vanished => (&mut patch.vanished_threshold_percent, &mut patch.vanished_threshold_minimum),
            Self::Removed => (&mut patch.removed_threshold_percent, &mut patch.removed_threshold_minimum),
        };
        (*to_percent, *to_minimum) = (percent, minimum);
        patch
    }
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let (directory, patch) = match command {
        Command::List(args) => return list(&args, client, screen).await,
        Command::Show { directory } => {
            let shown: DirectoryView = client.get(&format!("directories/{directory}"), &[]).await?;
            return show(&shown, screen);
        }
        Command::Delete { directory, yes } => {
            let directory: DirectoryView = client.get(&format!("directories/{directory}"), &[]).await?;
            yes.or_ask(&cuts(&directory, client).await?)?;
            let deleted: DirectoryView = client.delete_for(&format!("directories/{}", directory.id)).await?;
            if !deleted.agents.is_empty() {
                let agents: Vec<String> = deleted.agents.iter().map(ToString::to_string).collect();
                note(format!(
                    "warning: {} is still in the configuration of the agents {}; it comes back when one of them connects \
                     or reloads. Remove it there",
                    deleted.name,
                    agents.join(", ")
                ));
            }
            return screen.done(&directory.name, "deleted", "The directory is deleted.");
        }
        Command::Order { directories, yes } => return order(directories, yes, client, screen).await,
        Command::Rename { directory, display_name } => {
            (directory, DirectoryPatch { display_name: Some(display_name), ..DirectoryPatch::default() })
        }
        Command::Threshold { directory, changes, percent, minimum } => {
            if percent.is_none() && minimum.is_none() {
                return Err(Error::Usage("give --percent, --minimum, or both".to_owned()));
            }
            (directory, changes.patch(percent, minimum))
        }
        Command::Disable { directory } => {
            (directory, DirectoryPatch { disabled: Some(true), ..DirectoryPatch::default() })
        }
        Command::Enable { directory } => {
            (directory, DirectoryPatch { disabled: Some(false), ..DirectoryPatch::default() })
        }
    };
    let changed: DirectoryView = client.patch(&format!("directories/{directory}"), &patch).await?;
    show(&changed, screen)
}

/// Shows the order of the directories; changes it first if some are named.
async fn order(directories: Vec<String>, yes: Yes, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let order: OrderView = if directories.is_empty() {
        client.get("directory-order", &[]).await?
    } else {
        let mut wanted = OrderRequest { directories, confirm: None };
        let found: Effect = client.post("directory-order/effect", &wanted).await?;
        wanted.confirm = effect::agreed(&found, yes)?;
        client.replace("directory-order", None, &wanted).await?
    };
    if !order.applied {
        note("users that several directories have are being mapped anew by this order");
    }
    if screen.is_json() {
        return screen.json(&order);
    }
    let row = |(place, directory): (usize, &OrderedDirectory)| {
        vec![(place + 1).to_string(), directory.name.clone(), directory.display_name.clone(), directory.id.to_string()]
    };
    let rows = order.directories.iter().enumerate().map(row);
    screen.table(&["place", "name", "display name", "id"], rows)
}

/// What deleting a directory means.
async fn cuts(directory: &DirectoryView, client: &Client) -> Result<String, Error> {
    let query = [("directory", directory.id.to_string())];
    let accounts: Found<AccountView> = client.list("accounts", &query, Some(1)).await?;
    let accounts = accounts
        .total
        .map_or(String::new(), |total| format!("{}{} ", if total.more { "more than " } else { "" }, total.count));
    Ok(format!(
        "This deletes the directory {} ({}) and ends its open jobs. Its {accounts}accounts stay as they are, but no \
         import updates them any more. Agents that serve it: {}.",
        directory.name,
        directory.id,
        directory.agents.len()
    ))
}

async fn list(args: &ListArgs, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let directories: Found<DirectoryView> = client.list("directories", &[], args.most()).await?;
    for directory in directories.items.iter().filter(|directory| !directory.disabled) {
        for problem in &directory.problems {
            note(format!("warning: {}: {}", directory.name, sentence(problem)));
        }
    }
    let head = ["name", "display name", "kind", "agents connected", "state", "last import", "id"];
    let now = SystemClock.now();
    screen.list(&directories, args, &head, |directory| {
        vec![
            directory.name.clone(),
            directory.display_name.clone(),
            word(&directory.flavour),
            format!("{} of {}", directory.connected_agents.len(), directory.agents.len()),
            state(directory).to_owned(),
            last_import(directory, now),
            directory.id.to_string(),
        ]
    })
}

/// When the last import ended, with its age.
fn last_import(directory: &DirectoryView, now: Timestamp) -> String {
    directory.last_import_at.map_or_else(|| "never".to_owned(), |at| format!("{} ({})", time(at), ago(at, now)))
}

fn sentence(problem: &DirectoryProblem) -> String {
    match problem.agent {
        Some(agent) => format!("agent {agent}: {}", problem.text),
        None => problem.text.clone(),
    }
}

fn show(directory: &DirectoryView, screen: &mut Screen) -> Result<(), Error> {
    let connected = |agent| if directory.connected_agents.contains(agent) { "connected" } else { "not connected" };
    let agents: Vec<String> = directory.agents.iter().map(|agent| format!("{agent} ({})", connected(agent))).collect();
    let problems: Vec<String> = directory.problems.iter().map(sentence).collect();
    screen.fields(
        directory,
        &[
            ("name", directory.name.clone()),
            ("display name", directory.display_name.clone()),
            ("id", directory.id.to_string()),
            ("kind", word(&directory.flavour)),
            ("state", state(directory).to_owned()),
            ("last import", last_import(directory, SystemClock.now())),
            ("problem", if problems.is_empty() { "none known".to_owned() } else { problems.join("; ") }),
            ("agents", if agents.is_empty() { "none".to_owned() } else { agents.join(", ") }),
            ("imports held", held(directory)),
            ("first announced", time(directory.created_at)),
        ],
    )
}

/// When imports are held, in a sentence.
fn held(directory: &DirectoryView) -> String {
    let thresholds = [
        ("missing", directory.missing_threshold_percent, directory.missing_threshold_minimum),
        ("activated", directory.activated_threshold_percent, directory.activated_threshold_minimum),
        ("deactivated", directory.deactivated_threshold_percent, directory.deactivated_threshold_minimum),
        ("renamed", directory.renamed_threshold_percent, directory.renamed_threshold_minimum),
        ("attributes gone", directory.vanished_threshold_percent, directory.vanished_threshold_minimum),
        ("members removed", directory.removed_threshold_percent, directory.removed_threshold_minimum),
    ];
    let each = thresholds.map(|(what, percent, minimum)| format!("{what} above {percent} % (not below {minimum})"));
    each.join(", ")
}

fn state(directory: &DirectoryView) -> &'static str {
    match (directory.disabled, directory.problems.is_empty()) {
        (true, _) => "disabled",
        (false, true) => "enabled",
        (false, false) => "problem",
    }
}
