//! `postern-agent status`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;

use super::output;
use super::place::{Place, log_quietly, one_thread};
use crate::config::Config;
use crate::socket;
use crate::status::Status;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn execute(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    log_quietly()?;
    // The agent may run on an older configuration than the file has by now, and this is how one looks.
    let state_dir = match &args.place.state_dir {
        Some(state_dir) => state_dir.clone(),
        None => Config::state_dir_in(args.place.config.as_deref())?,
    };
    let runtime = one_thread().context("the runtime cannot be started")?;
    let status = runtime.block_on(socket::ask(&state_dir))?;
    if args.json {
        let json = serde_json::to_string_pretty(&status).context("cannot write the status as JSON")?;
        output::print_json(&json)?;
    } else {
        output::print(&(lines(&status).join("\n") + "\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(status: &Status) -> Vec<String> {
    let mut lines = vec![format!("postern-agent {} (process {})", status.version, status.process_id)];
    if let Some(identity) = &status.identity {
        lines.push(format!("agent          {} of {}", identity.agent_id, identity.control_plane));
        lines.push(format!(
            "certificate    valid until {}, renewed at {}",
            second(identity.certificate_not_after),
            second(identity.renewal_due)
        ));
    }
    lines.push(format!("session        {} since {}", status.session.state, second(status.session.since)));
    if let Some(retry_at) = status.session.retry_at {
        lines.push(format!("next attempt   {}", second(retry_at)));
    }
    if let Some(error) = &status.session.last_error {
        lines.push(format!("last error     {} ({})", error.error, second(error.at)));
    }
    if let Some(refused) = &status.reload_refused {
        lines.push(format!(
            "configuration  the old one is in use: the file could not be taken up at {}: {}",
            second(refused.at),
            refused.error
        ));
    }
    for directory in &status.directories {
        let flavour = directory.flavour.map_or("not reached yet", |flavour| flavour.name());
        lines.push(format!("directory      {} ({flavour})", directory.name));
        if let Some(problem) = &directory.problem {
            lines.push(format!("               cannot be used now: {problem}"));
        }
        if let Some(reason) = &directory.refused {
            lines.push(format!("               refused by the control plane: {reason}"));
        }
    }
    for command in &status.commands {
        let stage = if command.running { "running" } else { "done, not acknowledged yet" };
        lines.push(format!("command        {} {} ({stage})", command.kind, command.id));
    }
    lines
}

/// Nobody reads fractions of a second.
fn second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Occurrence, SessionReport};

    #[test]
    fn times_are_shown_to_the_second() {
        let at: Timestamp = "2026-11-28T04:05:06.123456789Z".parse().unwrap();
        let session = SessionReport {
            state: "disconnected".to_owned(),
            since: at,
            retry_at: Some(at),
            session_id: None,
            last_error: Some(Occurrence { at, error: "no answer".to_owned() }),
            clock_ahead_ms: 0,
        };
        let status = Status {
            version: "1".to_owned(),
            process_id: 1,
            identity: None,
            session,
            directories: Vec::new(),
            commands: Vec::new(),
            reload_refused: None,
        };
        let text = lines(&status).join("\n");
        assert_eq!((text.matches("2026-11-28T04:05:06Z").count(), text.contains(".123")), (3, false), "{text}");
    }
}
