//! `bench provisioning`: from a change in the API to the changed entry, and many creates, both beside OpenLDAP's own tools;
//! then a plan and pages of the report.

mod creates;
mod latency;
mod plan;
mod server_log;
mod users;

use anyhow::Result;
use postern_tests::Stage;
use postern_tests::agent::{DirectorySettings, SitePolicySettings, WriteSettings};
use postern_tests::slapd::{self, SUFFIX, Slapd};

use super::figures::Figures;
use crate::line::{self, Line};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many changes are made one after the other, for latency.
    #[arg(long, default_value_t = 500)]
    changes: u32,
    /// How many agents are connected beside, for latency.
    #[arg(long, default_value_t = 1000)]
    agents: u32,
    /// How many users are made.
    #[arg(long, default_value_t = 10_000)]
    creates: u32,
    /// How many of these users differ when a plan is made.
    #[arg(long, default_value_t = 500)]
    differences: u32,
    /// Measure on this PostgreSQL database, which must be empty. Default: SQLite.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

/// Measures all.
pub(crate) async fn run(arguments: &Arguments) -> Result<Figures> {
    let binaries = line::build(line::MEASURED)?;
    let fleet = line::build_fleet()?;
    let mut figures = Figures::new("provisioning into OpenLDAP over TLS".to_owned());
    let stage = Stage::new()?;
    let slapd = Slapd::start(&stage, directory()).await?;
    let options = line::options(&binaries, arguments.database_url.clone());
    let mut line = Line::start_configured(&stage, &slapd, options, allow).await?;
    users::provision(&line, false).await?;
    latency::measure(&stage, &fleet, &line, &slapd, (arguments.changes, arguments.agents), &mut figures).await?;
    creates::measure(&mut line, &slapd, arguments.creates, &mut figures).await?;
    plan::measure(&line, &slapd, arguments.differences.min(arguments.creates), &mut figures).await?;
    line.stop().await?;
    Ok(figures)
}

fn directory() -> slapd::Options {
    slapd::Options { statements: true, ..slapd::Options::people(0) }
}

/// What the site allows.
fn allow(directory: &mut DirectorySettings) {
    directory.bind_dn = Some(Slapd::admin_dn());
    directory.write = Some(WriteSettings {
        user_container: Some(format!("ou=people,{SUFFIX}")),
        group_container: Some(format!("ou=groups,{SUFFIX}")),
        disable: Some("employeeType=disabled".to_owned()),
        placeholder_member: Some(Slapd::admin_dn()),
    });
    directory.policy = Some(SitePolicySettings { read_only: false, ..SitePolicySettings::default() });
    // The administrator may write. If the file cannot be written, nothing is provisioned.
    drop(directory.set_password(slapd::ADMIN_PASSWORD));
}
