//! `postern mapping`: the rules by which the accounts of a directory become users and groups, and of what it gets.

mod preview;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use postern_engine::identity::mapping::rules::Rule;
use postern_engine::intake::effect::Effect;
use postern_engine::intake::result::RuleFailureSample;
use serde::Deserialize;

use super::super::api::mapping::{Confirmation, MappingBody, MappingVersionView, MappingVersions, MappingView};
use super::super::api::mapping_preview::{MappingPreview, MappingPreviewRequest};
use super::super::api::outbound_mapping::{OutboundPreviewRequest, OutboundPreviewView};
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::name::Name;
use super::screen::{Screen, text_or, time, time_or, word};
use super::{effect, files};

const AFTER_SET: &str = "\
The file is JSON, as `postern --json mapping show` prints it: {\"version\": 3, \"rules\": [{\"target\": \"email\", \
\"expression\": \"lower(mail)\"}]}. If it names a version that is not the current one, nothing is saved. Before rules \
are saved it is counted what they would change: where users would lose a value, where no account has an attribute that a \
rule reads, or where rules would fail, this command asks first.";

const AFTER_PREVIEW: &str = "\
Shows what each rule reads and gives, and the user before and after. With --live an agent reads the entry by a look-up, which \
stays among the jobs.";

/// Commands of `postern mapping`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the rules of a directory; the default mapping as rules while none are saved
    Show {
        /// Name or id of the directory
        directory: Name,
        /// The rules of what the directory gets, instead of those by which its accounts become users and groups
        #[arg(long)]
        outbound: bool,
    },
    /// Save the rules of a directory from a file
    #[command(after_help = AFTER_SET)]
    Set {
        /// Name or id of the directory
        directory: Name,
        /// The file, in JSON
        file: PathBuf,
        /// The rules of what the directory gets, instead of those by which its accounts become users and groups
        #[arg(long)]
        outbound: bool,
        #[command(flatten)]
        yes: Yes,
    },
    /// Try rules on one user or group, without saving anything
    #[command(after_help = AFTER_PREVIEW)]
    Preview {
        /// Name or id of the directory
        directory: Name,
        /// The user: name or id, or the DN or external id of the account
        #[arg(long, required_unless_present = "group")]
        user: Option<String>,
        /// The group, instead of a user
        #[arg(long, conflicts_with_all = ["user", "live"])]
        group: Option<String>,
        /// A file with the rules to try, in JSON [default: the rules that are saved]
        #[arg(long, value_name = "RULES")]
        file: Option<PathBuf>,
        /// Let an agent read the user now, instead of using the stored account
        #[arg(long)]
        live: bool,
        /// Show all that rules could read
        #[arg(long)]
        all: bool,
        /// What the directory would get of the user or group
        #[arg(long, conflicts_with = "live")]
        outbound: bool,
    },
    /// List the versions of the rules of a directory, the newest first
    Versions {
        /// Name or id of the directory
        directory: Name,
        /// The rules of what the directory gets, instead of those by which its accounts become users and groups
        #[arg(long)]
        outbound: bool,
    },
    /// Bring back the rules of an earlier version, as a new version
    Restore {
        /// Name or id of the directory
        directory: Name,
        /// Number of the version
        version: u32,
        /// The rules of what the directory gets, instead of those by which its accounts become users and groups
        #[arg(long)]
        outbound: bool,
        #[command(flatten)]
        yes: Yes,
    },
}

/// A file of rules.
#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    version: Option<u32>,
    rules: Vec<Rule>,
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let mapping: MappingView = match command {
        Command::Show { directory, outbound } => client.get(&path(&directory, outbound), &[]).await?,
        Command::Set { directory, file, outbound, yes } => {
            let File { version, rules } = read(&file)?;
            let mut body = MappingBody { rules, confirm: None };
            if !outbound {
                body.confirm = confirmed(client, &directory, &body, yes).await?;
            }
            client.replace(&path(&directory, outbound), version, &body).await?
        }
        Command::Preview { directory, user, group, file, live, all, outbound } => {
            let rules = file.as_deref().map(read).transpose()?.map(|file| file.rules);
            let path = format!("{}/preview", path(&directory, outbound));
            if outbound {
                let found: OutboundPreviewView =
                    client.post(&path, &OutboundPreviewRequest { user, group, rules }).await?;
                return preview::show_outbound(&found, screen);
            }
            let request = MappingPreviewRequest { user, group, rules, live };
            let found: MappingPreview = client.post(&path, &request).await?;
            return preview::show(&found, all, screen);
        }
        Command::Versions { directory, outbound } => {
            let versions: MappingVersions =
                client.get(&format!("{}/versions", path(&directory, outbound)), &[]).await?;
            return show_versions(&versions, screen);
        }
        Command::Restore { directory, version, outbound, yes } => {
            let restored = format!("{}/versions/{version}/restore", path(&directory, outbound));
            let mut body = Confirmation::default();
            if !outbound {
                let versions = format!("{}/versions", path(&directory, false));
                let kept: MappingVersions = client.get(&versions, &[]).await?;
                // The control plane refuses a version that is not kept.
                if let Some(found) = kept.items.into_iter().find(|kept| kept.version == version) {
                    let rules = MappingBody { rules: found.rules, confirm: None };
                    body.confirm = confirmed(client, &directory, &rules, yes).await?;
                }
            }
            client.post(&restored, &body).await?
        }
    };
    show(&mapping, screen)
}

/// Asks about what rules take away. Returns the number of losses to confirm, if there are any.
async fn confirmed(client: &Client, directory: &Name, rules: &MappingBody, yes: Yes) -> Result<Option<u64>, Error> {
    let found: Effect = client.post(&format!("{}/effect", path(directory, false)), rules).await?;
    effect::agreed(&found, yes)
}

fn path(directory: &Name, outbound: bool) -> String {
    let rules = if outbound { "outbound-mapping" } else { "mapping" };
    format!("directories/{directory}/{rules}")
}

fn read(path: &Path) -> Result<File, Error> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| files::unreadable(path, error))?;
    serde_json::from_str(&text).map_err(|error| Error::Usage(format!("{shown} is not a file of rules: {error}")))
}

fn show(mapping: &MappingView, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        return screen.json(mapping);
    }
    screen.line(match mapping.version {
        0 => format!("{}: no rules are saved. These are the initial rules:", mapping.directory),
        version => format!(
            "{}: version {version}, saved by {} at {}",
            mapping.directory,
            text_or(mapping.saved_by.as_deref(), "-"),
            time_or(mapping.saved_at, "-")
        ),
    })?;
    let rows = mapping.rules.iter().map(|rule| vec![word(&rule.of), rule.target.clone(), rule.expression.clone()]);
    screen.table(&["of", "target", "expression"], rows)?;
    let changed = mapping.changed;
    if !mapping.mapped {
        screen.line(format!(
            "The stored accounts are being mapped anew; {changed} users and groups have changed so far."
        ))?;
    } else if mapping.mapped_at.is_some() {
        let at = time_or(mapping.mapped_at, "-");
        screen.line(format!("All stored accounts were mapped anew by {at}; {changed} users and groups changed."))?;
    }
    if mapping.rule_failures > 0 {
        screen.line(format!("Rules failed {} times on stored accounts:", mapping.rule_failures))?;
        let row = |sample: &RuleFailureSample| {
            vec![sample.rule.clone(), sample.dn.clone(), sample.error.clone(), sample.value.clone()]
        };
        screen.table(&["rule", "account", "error", "it read"], mapping.rule_failure_samples.iter().map(row))?;
    }
    Ok(())
}

fn show_versions(versions: &MappingVersions, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        return screen.json(versions);
    }
    let row = |version: &MappingVersionView| {
        vec![
            version.version.to_string(),
            version.rules.len().to_string(),
            version.saved_by.clone(),
            time(version.saved_at),
            version.restored_from.map_or_else(|| "-".to_owned(), |from| from.to_string()),
        ]
    };
    screen.table(&["version", "rules", "saved by", "saved at", "restored from"], versions.items.iter().map(row))
}
