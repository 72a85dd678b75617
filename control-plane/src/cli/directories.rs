//! `postern directories`: the directories that agents have announced.

use clap::Subcommand;

use super::super::api::directories::{DirectoryPatch, DirectoryView};
use super::client::Client;
use super::error::Error;
use super::screen::{Screen, time, word};

/// Commands of `postern directories`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the directories
    List,
    /// Show a directory
    Show {
        /// Name or id of the directory
        directory: String,
    },
    /// Change what people call a directory
    Rename {
        /// Name or id of the directory
        directory: String,
        /// What to call it
        display_name: String,
    },
    /// Set when an import is held because too many accounts would be marked missing
    Threshold {
        /// Name or id of the directory
        directory: String,
        /// Hold above this share of the accounts, percent
        #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
        percent: Option<u32>,
        /// Never hold below this number of accounts
        #[arg(long)]
        minimum: Option<u32>,
    },
    /// Start no new jobs on a directory, and end those under way
    Disable {
        /// Name or id of the directory
        directory: String,
    },
    /// Allow jobs on a directory again
    Enable {
        /// Name or id of the directory
        directory: String,
    },
    /// Delete a directory
    #[command(
        after_help = "It comes back when an agent announces it again; take it out of the agents' configuration first."
    )]
    Delete {
        /// Name or id of the directory
        directory: String,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let (directory, patch) = match command {
        Command::List => return list(client, screen).await,
        Command::Show { directory } => {
            let shown: DirectoryView = client.get(&format!("directories/{directory}"), &[]).await?;
            return show(&shown, screen);
        }
        Command::Delete { directory } => {
            client.delete(&format!("directories/{directory}")).await?;
            return super::done(screen, &directory, "deleted", "The directory is deleted.");
        }
        Command::Rename { directory, display_name } => {
            (directory, DirectoryPatch { display_name: Some(display_name), ..DirectoryPatch::default() })
        }
        Command::Threshold { directory, percent, minimum } => {
            if percent.is_none() && minimum.is_none() {
                return Err(Error::Usage("give --percent, --minimum, or both".to_owned()));
            }
            let patch = DirectoryPatch {
                missing_threshold_percent: percent,
                missing_threshold_minimum: minimum,
                ..DirectoryPatch::default()
            };
            (directory, patch)
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

async fn list(client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let directories: Vec<DirectoryView> = client.list("directories", &[], None).await?;
    let head = ["name", "display name", "kind", "agents", "state", "id"];
    screen.list(&directories, &head, |directory| {
        vec![
            directory.name.clone(),
            directory.display_name.clone(),
            word(&directory.flavour),
            directory.agents.len().to_string(),
            state(directory).to_owned(),
            directory.id.to_string(),
        ]
    })
}

fn show(directory: &DirectoryView, screen: &mut Screen) -> Result<(), Error> {
    let agents: Vec<String> = directory.agents.iter().map(ToString::to_string).collect();
    screen.fields(
        directory,
        &[
            ("name", directory.name.clone()),
            ("display name", directory.display_name.clone()),
            ("id", directory.id.to_string()),
            ("kind", word(&directory.flavour)),
            ("state", state(directory).to_owned()),
            ("agents", if agents.is_empty() { "none".to_owned() } else { agents.join(", ") }),
            (
                "imports held",
                format!(
                    "above {} % missing, but not below {} accounts",
                    directory.missing_threshold_percent, directory.missing_threshold_minimum
                ),
            ),
            ("first announced", time(directory.created_at)),
        ],
    )
}

fn state(directory: &DirectoryView) -> &'static str {
    if directory.disabled { "disabled" } else { "enabled" }
}
