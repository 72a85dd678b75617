//! `postern provisioning`: what directories get, and what was done there.

mod filter;
mod lines;
mod options;
mod plans;
mod show;
pub(super) mod trace;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use postern_engine::jobs::kind::Kind as _;
use postern_engine::kinds::import::Import;
use serde_json::json;

use super::super::api::accounts::AccountView;
use super::super::api::export::ExportFormat;
use super::super::api::jobs::{JobRequest, JobView};
use super::super::api::link_accounts::{LinkRequest, LinkedAccount};
use super::super::api::provisioning::{FailingView, HeldDecision, HeldRequest, ProvisioningRequest, ProvisioningView};
use super::super::api::provisioning_report::OperationView;
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::output_file::download;
use super::screen::Screen;
use filter::Filter;
use lines::{failing, one, operation};
use options::Options;
use show::show;

const AFTER_SET: &str = "\
What is not given stays as it is; at first everything is off. Thresholds, imports and operations_per_minute are set by the API. The site must allow writes, too: [directory.write] in the agent's configuration.

  postern provisioning set corp --assign-group staff --allow create-users,edit-users,enable-disable-users
  postern provisioning set corp --assign-all --allow create-users --container \"'ou=' + any_of(attributes.department, 'People')\"
  postern provisioning set corp --allow write-through --forbid delete-users";

const AFTER_RECONCILE: &str = "\
It is an import job that ends with the comparison. A schedule does the same:

  postern schedules create reconcile-corp --job import --directory corp --daily 02:30 --input '{\"reconcile\": \"report\"}'";

/// Commands of `postern provisioning`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what a directory gets
    Show {
        /// Name, display name or id of the directory
        directory: Name,
    },
    /// Change what a directory gets; what is not given stays as it is
    #[command(after_help = AFTER_SET)]
    Set {
        /// Name, display name or id of the directory
        directory: Name,
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        yes: Yes,
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
    /// Import a directory, compare all users and groups with what is really there, and carry out what differs
    #[command(after_help = AFTER_RECONCILE)]
    Reconcile {
        /// Name, display name or id of the directory
        directory: String,
        /// Make a plan of what differs. What the import has found changed is carried out all the same, unless the directory
        /// is paused or set to --report-only
        #[arg(long)]
        report: bool,
    },
    /// Compare all users and groups with their accounts in a directory, and carry out what differs
    Compare {
        /// Name, display name or id of the directory
        directory: Name,
    },
    #[command(flatten)]
    Plans(plans::Command),
    /// Let held operations be sent: those of the given ids, or all with --all
    Approve {
        #[command(flatten)]
        held: Held,
    },
    /// Drop held operations: those of the given ids, or all with --all
    Reject {
        #[command(flatten)]
        held: Held,
    },
    /// Compare one user with the account in a directory at once, even if it failed before
    User(trace::Provision),
    /// Make an entry that a directory has already the account of a user
    #[command(
        after_help = "For an entry that stands in the way of a new account, as after somebody of that name was deleted. \
        Nobody may have it. From then on the user decides what it holds, and whether it is enabled."
    )]
    Link {
        /// Name or id of the user
        user: Name,
        /// Name, display name or id of the directory
        #[arg(long, value_name = "DIRECTORY")]
        target: String,
        /// Id or external id of the account, as `postern accounts list` shows it
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        yes: Yes,
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
        /// Write all of it in this form
        #[arg(long, conflicts_with_all = ["json", "limit", "all", "columns"])]
        format: Option<ExportFormat>,
        /// File to write; it must not exist [default: standard output]
        #[arg(long, value_name = "FILE", requires = "format")]
        output: Option<PathBuf>,
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
    /// Ids of operations, as `postern provisioning report --state held` lists them; --all means all of them
    operations: Vec<uuid::Uuid>,
    /// All that are held
    #[arg(long, conflicts_with = "operations")]
    all: bool,
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Show { directory } => show(&get(client, &directory).await?, screen),
        Command::Set { directory, options, yes } => set(&directory, options, yes, client, screen).await,
        Command::Pause { directory } => pause(client, &directory, true, screen).await,
        Command::Resume { directory } => pause(client, &directory, false, screen).await,
        Command::Remove { directory, yes } => {
            yes.or_ask(&format!("From then on nothing is sent to {directory}. Its accounts stay as they are."))?;
            client.delete(&format!("directories/{directory}/provisioning")).await?;
            screen.done(&directory, "removed", &format!("Nothing is sent to {directory} any more."))
        }
        Command::Reconcile { directory, report } => reconcile(&directory, report, client, screen).await,
        Command::Compare { directory } => {
            let path = format!("directories/{directory}/provisioning/compare");
            client.post::<ProvisioningView>(&path, &json!({})).await?;
            screen.done(&directory, "compared", "All users and groups are compared in the background.")
        }
        Command::Plans(command) => plans::run(command, client, screen).await,
        Command::Approve { held } => decide(client, held, "approve", screen).await,
        Command::Reject { held } => decide(client, held, "reject", screen).await,
        Command::User(args) => trace::run(args, client, screen).await,
        Command::Link { user, target, account, yes } => link(&user, (target, account), yes, client, screen).await,
        Command::Failures { directory, args } => {
            let path = format!("directories/{directory}/provisioning/failures");
            let found: Found<FailingView> = client.list(&path, &[], args.most()).await?;
            screen.list(&found, &args, &["kind", "name", "failures", "next try", "problem", "id"], failing)
        }
        Command::Report { filter, format: Some(format), output, .. } => {
            let mut query = filter.query();
            query.push(("format", if format == ExportFormat::Csv { "csv" } else { "ndjson" }.to_owned()));
            download("reports/provisioning", &query, output.as_deref(), client, screen).await
        }
        Command::Report { filter, args, .. } => {
            let found: Found<OperationView> = client.list("reports/provisioning", &filter.query(), args.most()).await?;
            let head = ["time", "kind", "name", "target", "action", "state", "answer", "by", "cause", "ms", "id"];
            screen.list(&found, &args, &head, operation)
        }
        Command::Operation { id } => {
            let found: OperationView = client.get(&format!("reports/provisioning/{id}"), &[]).await?;
            one(&found, screen)
        }
    }
}

async fn set(directory: &Name, options: Options, yes: Yes, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let before = get(client, directory).await?;
    let request = options.request(client, &before).await?;
    if let Some(question) = show::question(&before, &request) {
        yes.or_ask(&question)?;
    }
    let saved = put(client, directory, &request).await?;
    show(&saved, screen)?;
    if !screen.is_json() {
        for line in show::changed(&before, &saved) {
            screen.line(line)?;
        }
    }
    show::what_follows(&saved, screen)
}

async fn link(
    user: &Name,
    (target, account): (String, String),
    yes: Yes,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Error> {
    let name: Name = account.parse().map_err(Error::Usage)?;
    let found: AccountView = client.get(&format!("accounts/{name}"), &[]).await?;
    yes.or_ask(&format!(
        "{} becomes the account of {}; what it holds is changed to what the user should have.",
        found.dn,
        user.text()
    ))?;
    let request = LinkRequest { target, account: found.id.to_string() };
    let linked: LinkedAccount = client.post(&format!("users/{user}/link"), &request).await?;
    screen.done(&linked.account_id, "linked", &format!("{} is the account of {} now.", linked.dn, user.text()))
}

async fn reconcile(directory: &str, report: bool, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let what = if report { "report" } else { "enforce" };
    let request = JobRequest {
        kind: Import.name().into(),
        directory: directory.to_owned(),
        input: [("reconcile".to_owned(), json!(what))].into_iter().collect(),
        deadline: None,
        timeout_seconds: None,
    };
    let job: JobView = client.post("jobs", &request).await?;
    let then = if report {
        format!(
            "Its plan: postern provisioning plans {directory} {}. The plan itself carries nothing out; what the import \
             finds changed is carried out as always, unless the directory is paused or set to --report-only",
            job.id
        )
    } else {
        "What differs is carried out then: postern provisioning report".to_owned()
    };
    screen.done(&job.id, "reconciled", &format!("The job {} reads the directory first. {then}", job.id))
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
    if operations.is_empty() && !all {
        let list = format!("`postern provisioning report --state held --target {directory}` lists them");
        return Err(Error::Usage(format!("give the ids of held operations ({list}), or --all for all of them")));
    }
    let request = HeldRequest { operations: (!all).then_some(operations) };
    let path = format!("directories/{directory}/provisioning/{what}");
    let HeldDecision { decided } = client.post(&path, &request).await?;
    let (were, are) = if decided == 1 { ("operation was", "it is") } else { ("operations were", "they are") };
    let done = if what == "approve" { format!("approved; {are} sent now") } else { "dropped".to_owned() };
    screen.done(&decided, what, &format!("{decided} held {were} {done}."))
}
