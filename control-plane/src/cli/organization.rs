//! `postern organization`: the rules of the caller's organization, through the API.

use clap::Subcommand;

use super::super::api::organization::{MissingUsers, OrganizationPatch, OrganizationView};
use super::client::Client;
use super::error::Error;
use super::screen::{Screen, time};

/// Commands of `postern organization`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the organization and its rules
    Show,
    /// Set what happens to users that no directory has any more
    #[command(
        after_help = "Users who are inactive because they went missing stay inactive until a directory has them \
        again and lets them sign in. The new rule also applies to users who are missing already, within ten minutes."
    )]
    MissingUsers {
        /// What they become
        rule: MissingUsers,
        /// Days until they become inactive; 0 is at once [default: unchanged]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=3650))]
        after_days: Option<u32>,
    },
    /// Set whether accounts with the same login in two directories belong to one user
    JoinUsers {
        /// Join them, or list the second account as a conflict
        rule: JoinUsers,
    },
    /// Set how long jobs that have ended are kept with their reports
    KeepJobs {
        /// Days until they are deleted; 0 keeps them for ever
        #[arg(value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=3650))]
        days: u32,
    },
    /// Set how long entries of the audit log are kept
    KeepAudit {
        /// Days until they are deleted; 0 keeps them for ever
        #[arg(value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=3650))]
        days: u32,
    },
}

/// What happens to an account whose login is that of a user of another directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum JoinUsers {
    /// It becomes an account of that user
    Allow,
    /// It is a conflict, for an administrator to decide
    Refuse,
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let organization: OrganizationView = match command {
        Command::Show => client.get("organization", &[]).await?,
        Command::MissingUsers { rule: MissingUsers::Keep, after_days: Some(_) } => {
            return Err(Error::Usage("--after-days goes with the rule inactive only".to_owned()));
        }
        Command::MissingUsers { rule, after_days } => {
            let patch = OrganizationPatch {
                missing_users: Some(rule),
                missing_user_days: after_days,
                ..OrganizationPatch::default()
            };
            client.patch("organization", &patch).await?
        }
        Command::JoinUsers { rule } => {
            let patch =
                OrganizationPatch { joins_users: Some(rule == JoinUsers::Allow), ..OrganizationPatch::default() };
            client.patch("organization", &patch).await?
        }
        Command::KeepJobs { days } => {
            let patch = OrganizationPatch { job_retention_days: Some(days), ..OrganizationPatch::default() };
            client.patch("organization", &patch).await?
        }
        Command::KeepAudit { days } => {
            let patch = OrganizationPatch { audit_retention_days: Some(days), ..OrganizationPatch::default() };
            client.patch("organization", &patch).await?
        }
    };
    screen.fields(
        &organization,
        &[
            ("name", organization.name.clone()),
            ("id", organization.id.to_string()),
            ("missing users", rule(&organization)),
            ("one login in two directories", joins(&organization).to_owned()),
            ("jobs", keeps("end", organization.job_retention_days)),
            ("audit log entries", keeps("change", organization.audit_retention_days)),
            ("created", time(organization.created_at)),
        ],
    )
}

fn keeps(since: &str, days: u32) -> String {
    match days {
        0 => "are kept for ever".to_owned(),
        1 => format!("are deleted a day after their {since}"),
        days => format!("are deleted {days} days after their {since}"),
    }
}

fn joins(organization: &OrganizationView) -> &'static str {
    if organization.joins_users { "is one user" } else { "is a conflict" }
}

fn rule(organization: &OrganizationView) -> String {
    match (organization.missing_users, organization.missing_user_days) {
        (MissingUsers::Keep, _) => "stay as they were".to_owned(),
        (MissingUsers::Inactive, 0) => "become inactive at once".to_owned(),
        (MissingUsers::Inactive, 1) => "become inactive after a day".to_owned(),
        (MissingUsers::Inactive, days) => format!("become inactive after {days} days"),
    }
}
