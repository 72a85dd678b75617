//! `postern jobs`: starts jobs, watches them, and decides about held ones.

mod ended;
mod hold;
mod preview;
mod report;
mod start;
mod watch;

use clap::Subcommand;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use postern_engine::kinds;
use postern_engine::records::{JobId, JobState};

use super::super::api::jobs::{JobView, KindName, Rejection};
use super::choice::choice;
use super::client::Client;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, note, plain, time, word};
use start::Start;

/// Commands of `postern jobs`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a job
    #[command(subcommand)]
    Start(Start),
    /// List jobs, the latest first
    List {
        /// Name or id of a directory [default: all]
        #[arg(long)]
        directory: Option<String>,
        /// Only jobs of this kind
        #[arg(long, value_parser = kind())]
        kind: Option<KindName>,
        /// Only jobs in this state
        #[arg(long, value_parser = choice::<JobState>())]
        state: Option<JobState>,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Show a job and its result
    Show {
        /// Id of the job, or its beginning
        id: Name,
    },
    /// Watch a job until it ends; exit code 1 unless it succeeds
    #[command(after_help = "Ctrl-C ends the watching, not the job.")]
    Watch {
        /// Id of the job, or its beginning
        id: Name,
    },
    /// Show what a preview of an import found, user by user and group by group
    Preview(preview::Preview),
    /// Cancel a job
    Cancel {
        /// Id of the job, or its beginning
        id: Name,
    },
    /// Approve a held job: apply its changes
    Approve {
        /// Id of the job, or its beginning
        id: Name,
    },
    /// Reject a held job: discard the changes that it was held for
    Reject {
        /// Id of the job, or its beginning
        id: Name,
        /// The reason, recorded with the job
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// Reads the name of a kind; it has hyphens on the command line.
pub(super) fn kind() -> impl TypedValueParser<Value = KindName> {
    let names = kinds::ALL.iter().map(|kind| PossibleValue::new(kind.word()).help(kind.words().about));
    PossibleValuesParser::new(names).map(|word| {
        let kind = kinds::ALL.iter().find(|kind| kind.word() == word);
        KindName::from(kind.map_or(word.as_str(), |kind| kind.name()))
    })
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Start(start) => start_job(start, client, screen).await,
        Command::List { directory, kind, state, args } => {
            let mut query: Vec<(&str, String)> = Vec::new();
            query.extend(directory.map(|directory| ("directory", directory)));
            query.extend(kind.map(|kind| ("kind", word(&kind))));
            query.extend(state.map(|state| ("state", word(&state))));
            let jobs: Found<JobView> = client.list("jobs", &query, args.most()).await?;
            screen.list(&jobs, &args, &["id", "kind", "directory", "state", "created", "entries", "note"], row)
        }
        Command::Show { id } => report::show(&client.get(&format!("jobs/{id}"), &[]).await?, screen),
        Command::Watch { id } => {
            let job: JobView = client.get(&format!("jobs/{id}"), &[]).await?;
            watch_to_end(client, job.id, None, screen).await
        }
        Command::Preview(preview) => preview::show(preview, client, screen).await,
        Command::Cancel { id } => decide(client, &id, "cancel", &serde_json::json!({}), screen).await,
        Command::Approve { id } => decide(client, &id, "approve", &serde_json::json!({}), screen).await,
        Command::Reject { id, reason } => decide(client, &id, "reject", &Rejection { reason }, screen).await,
    }
}

async fn start_job(start: Start, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let job: JobView = client.post("jobs", &start.request).await?;
    if start.watch {
        // At once, on standard error: after an interruption the id is known, to watch or cancel the job.
        note(format!("started job {} ({})", job.id, word(&job.state)));
        return watch_to_end(client, job.id, start.expect, screen).await;
    }
    if screen.is_json() {
        return screen.json(&job);
    }
    screen.line(format!("Started job {} ({}).", job.id, word(&job.state)))?;
    if let Some(message) = &job.message {
        screen.line(plain(message))?;
    }
    screen.line(format!("Watch it with: postern jobs watch {}", job.id))
}

async fn watch_to_end(client: &Client, id: JobId, expected: Option<u64>, screen: &mut Screen) -> Result<(), Error> {
    let job = watch::until_end(client, id, expected).await?;
    if screen.is_json() {
        screen.json(&job)?;
    } else {
        ended::ended(&job, screen)?;
    }
    match job.state {
        JobState::Succeeded => Ok(()),
        _ => Err(Error::Job { id: job.id.to_string(), what: report::end(&job) }),
    }
}

async fn decide(
    client: &Client,
    id: &Name,
    what: &str,
    body: &impl serde::Serialize,
    screen: &mut Screen,
) -> Result<(), Error> {
    let job: JobView = client.post(&format!("jobs/{id}/{what}"), body).await?;
    if screen.is_json() {
        return screen.json(&job);
    }
    let more = if job.cancel_requested && !job.state.is_final() { ", and will end soon" } else { "" };
    screen.line(format!("Job {} is now {}{more}.", job.id, word(&job.state)))
}

/// What somebody should know of a job in a list: why it failed, is held or was rejected, or what needs a decision.
fn note_of(job: &JobView) -> String {
    if let Some(error) = &job.error {
        return error.message.clone();
    }
    if let Some(hold) = job.hold.as_ref().filter(|_| job.state == JobState::Held) {
        return hold["reason"].as_str().unwrap_or("a safeguard stopped it").to_owned();
    }
    let conflicts = job.result.as_ref().and_then(|result| result["conflicts"].as_u64()).filter(|count| *count > 0);
    let conflicts = conflicts.map(|count| match count {
        1 => "1 conflict of user names: postern conflicts list".to_owned(),
        count => format!("{count} conflicts of user names: postern conflicts list"),
    });
    let message = job.message.clone().or_else(|| report::was_held(job));
    message.or(conflicts).unwrap_or_else(|| "-".to_owned())
}

fn row(job: &JobView) -> Vec<String> {
    let note = note_of(job);
    vec![
        job.id.to_string(),
        word(&job.kind),
        job.directory.name.clone(),
        word(&job.state),
        time(job.created_at),
        if job.kind.kind().is_some_and(|kind| kind.counts().is_some()) {
            job.progress.entries_read.to_string()
        } else {
            "-".to_owned()
        },
        note,
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_list_says_what_a_job_is_held_for_and_that_an_import_has_conflicts() {
        let mut job = super::super::tests::sample_job();
        job.state = JobState::Succeeded;
        assert_eq!(note_of(&job), "-");
        job.result = Some(json!({ "users": 3, "conflicts": 2 }));
        assert!(note_of(&job).starts_with("2 conflicts of user names"), "{}", note_of(&job));
        job.state = JobState::Held;
        job.hold = Some(json!({ "reason": "9 of 10 users would be marked missing." }));
        assert_eq!(note_of(&job), "9 of 10 users would be marked missing.");
        (job.state, job.decided_by, job.result) = (JobState::Canceled, Some("olga".to_owned()), None);
        assert!(note_of(&job).starts_with("was rejected by olga"), "{}", note_of(&job));
    }
}
