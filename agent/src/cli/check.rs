//! `postern-agent check`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use postern_runtime::clock::SystemClock;
use postern_runtime::exit;
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::settings;
use postern_runtime::supervise::{Supervisor, chain};
use serde::Serialize;

use super::output;
use super::place::{Place, log_quietly, one_thread};
use crate::config::{self, Config};
use crate::diagnose::{self, Diagnosis, Finding};
use crate::identity::store::{self, IdentityStore};
use crate::policy::Rules;
use crate::served::{Check, CheckState, ServedDirectory};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// One line of the report.
#[derive(Serialize)]
struct Row {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    state: CheckState,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
    elapsed_ms: u128,
}

pub(super) fn execute(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    log_quietly()?;
    let runtime = one_thread().context("the runtime cannot be started")?;
    let mut report = Report { json: args.json, rows: Vec::new(), printed: Ok(()) };
    runtime.block_on(diagnose(args, &mut report));
    runtime.shutdown_background();
    let failed = report.rows.iter().any(|row| row.state == CheckState::Failed);
    report.finish()?;
    Ok(if failed { ExitCode::from(exit::FAILURE) } else { ExitCode::SUCCESS })
}

async fn diagnose(args: &CheckArgs, report: &mut Report) {
    let config = match Config::load(args.place.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            let cure = match &error {
                config::Error::Settings(settings::Error::Read { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    "the file is not there: write it (docs/operations.md shows one), or name another with --config"
                }
                config::Error::Settings(settings::Error::Read { .. }) => {
                    "let this user read the file, or run this as the agent's user"
                }
                _ => "correct the configuration",
            };
            let finding = Finding::failed(chain(&error), cure);
            return report.add(None, finding.named("configuration", Duration::ZERO));
        }
    };
    let memory = Config::bind_memory(&config.state_dir(args.place.state_dir.as_deref()));
    let directories = config.open_each(&[], &memory);
    let unusable = directories.iter().filter(|directory| directory.is_err()).count();
    let finding = match (unusable, directories.len()) {
        // The way out can be looked at before a directory is configured; without a file somebody looks in the wrong place.
        (_, 0) if args.place.config.is_some() || config::default_file().exists() => {
            Finding::warned("no directory is configured", "add a [[directory]] section")
        }
        (_, 0) => Finding::failed(
            format!("there is no configuration: {} does not exist", config::default_file().display()),
            "write it (docs/operations.md shows one), or name it with --config",
        ),
        (0, 1) => Finding::passed("1 directory"),
        (0, all) => Finding::passed(format!("{all} directories")),
        (some, all) => Finding::failed(
            format!("{some} of {all} directories cannot be used: the agent does not start"),
            "correct the directories that fail below",
        ),
    };
    report.add(None, finding.named("configuration", Duration::ZERO));
    control_plane(args, &config, report).await;
    for directory in directories {
        match directory {
            Ok(directory) => {
                for check in ServedDirectory::check(&directory).await {
                    report.add(Some(ServedDirectory::name(&directory)), check);
                }
                // Here the rules are shown with their values: nobody but the site reads this.
                let rules = Finding::passed(Rules::new(directory.config()).described());
                report.add(Some(ServedDirectory::name(&directory)), rules.named("policy", Duration::ZERO));
            }
            Err(error) => {
                let finding = Finding::failed(chain(&error), "correct this [[directory]] section");
                report.add(Some(&error.directory), finding.named("configuration", Duration::ZERO));
            }
        }
    }
}

async fn control_plane(args: &CheckArgs, config: &Config, report: &mut Report) {
    let kept = IdentityStore::new(config.state_dir(args.place.state_dir.as_deref()));
    let identity = match kept.load() {
        Ok(identity) => identity,
        Err(error) => {
            let cure = match error {
                store::Error::NotEnrolled { .. } => "enroll this agent: postern-agent enroll --token TOKEN",
                store::Error::Read(_) => "run this as the agent's user, and let only that user read the file",
                _ => "enroll this agent again, with a new token: postern-agent enroll --force --token TOKEN",
            };
            let enrollment = Finding::failed(chain(&error), cure).named("enrollment", Duration::ZERO);
            return diagnose::skip_rest(vec![enrollment]).into_iter().for_each(|row| report.add(None, row));
        }
    };
    // Loading has proven that the setting can be used.
    let Ok(proxy) = config.proxy_rule() else { return };
    let clock = SystemClock::shared();
    let supervisor = Supervisor::new(Shutdown::new());
    let diagnosis = Diagnosis { identity: &identity, proxy: &proxy, clock: &clock, supervisor: &supervisor };
    for check in diagnosis.run().await {
        report.add(None, check);
    }
    supervisor.shutdown().cut();
}

/// Lines for people as they come, or one JSON document at the end.
struct Report {
    json: bool,
    rows: Vec<Row>,
    /// The first failure to print. The checks go on for the exit code's sake.
    printed: anyhow::Result<()>,
}

impl Report {
    fn add(&mut self, directory: Option<&str>, check: Check) {
        let row = Row {
            name: check.name,
            directory: directory.map(str::to_owned),
            state: check.state,
            detail: check.detail_local,
            cure: check.cure,
            elapsed_ms: check.elapsed.as_millis(),
        };
        if !self.json && self.printed.is_ok() {
            self.printed = output::print(&lines(&row));
        }
        self.rows.push(row);
    }

    fn finish(self) -> anyhow::Result<()> {
        if self.json {
            let json = serde_json::to_string_pretty(&self.rows).context("cannot write the report as JSON")?;
            return output::print_json(&json);
        }
        self.printed
    }
}

fn lines(row: &Row) -> String {
    let mark = match row.state {
        CheckState::Passed => "ok  ",
        CheckState::Warned => "warn",
        CheckState::Failed => "FAIL",
        CheckState::Skipped => "skip",
    };
    let subject = match &row.directory {
        Some(directory) => format!("{directory}: {}", row.name),
        None => row.name.clone(),
    };
    let cure = row.cure.as_ref().map(|cure| format!("      {:<24} cure: {cure}\n", ""));
    format!("{mark}  {subject:<24} {} ({} ms)\n{}", row.detail, row.elapsed_ms, cure.unwrap_or_default())
}
