//! `postern schedules`: jobs that start by themselves.

use clap::{Args, Subcommand};
use jiff::SignedDuration;
use postern_engine::records::{JobState, MissedRuns};
use postern_engine::schedules::timing::{Day, Repeat, Timing};
use serde_json::{Map, Value};

use super::super::api::jobs::KindName;
use super::super::api::schedules::{SchedulePatch, ScheduleRequest, ScheduleView};
use super::choice::choice;
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::jobs;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, time, time_or, word};
use super::tokens::lifetime;

const AFTER_CREATE: &str = "\
Times are meant in --time-zone. When the clocks change, a time that is left out runs right after the gap, and one that \
comes twice runs once; what runs each hour runs in each hour that passes.

  postern schedules create nightly --job import --directory corp --daily 02:30 --time-zone Europe/Berlin --jitter 10m
  postern schedules create quarters --job import --directory corp --cron '*/15 6-20 * * MON-FRI'";

/// Commands of `postern schedules`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the schedules
    List(ListArgs),
    /// Show a schedule, its next five runs and its last one
    Show {
        /// Name of the schedule, or id
        schedule: Name,
    },
    /// Create a schedule
    #[command(after_help = AFTER_CREATE)]
    Create {
        /// What to call it
        name: String,
        /// What its jobs do
        #[arg(long, value_name = "KIND", value_parser = jobs::kind())]
        job: KindName,
        /// Name or id of the directory
        #[arg(long)]
        directory: String,
        #[command(flatten)]
        times: Times,
        #[command(flatten)]
        options: Options,
        /// Do not run until it is resumed
        #[arg(long)]
        paused: bool,
    },
    /// Change a schedule; what is not given stays as it is
    Change {
        /// Name of the schedule, or id
        schedule: Name,
        /// What to call it
        #[arg(long)]
        name: Option<String>,
        /// What its jobs do
        #[arg(long, value_name = "KIND", value_parser = jobs::kind())]
        job: Option<KindName>,
        /// Name or id of the directory
        #[arg(long)]
        directory: Option<String>,
        #[command(flatten)]
        times: Times,
        #[command(flatten)]
        options: Options,
    },
    /// Start nothing until the schedule is resumed
    Pause {
        /// Name of the schedule, or id
        schedule: Name,
    },
    /// Let a paused schedule run again, from its next time on
    Resume {
        /// Name of the schedule, or id
        schedule: Name,
    },
    /// Delete a schedule; the jobs that it has started go on
    Delete {
        /// Name of the schedule, or id
        schedule: Name,
        #[command(flatten)]
        yes: Yes,
    },
}

/// When it runs.
#[derive(Debug, Args)]
pub(super) struct Times {
    /// Run each hour at this minute
    #[arg(long, value_name = "MINUTE", group = "when", value_parser = clap::value_parser!(u8).range(0..=59))]
    hourly: Option<u8>,
    /// Run each day at this time
    #[arg(long, value_name = "HH:MM", group = "when")]
    daily: Option<String>,
    /// Run on these days of the week, like monday,friday
    #[arg(long, value_name = "DAYS", group = "when", value_delimiter = ',', value_parser = day, requires = "at")]
    weekly: Option<Vec<Day>>,
    /// The time of day for --weekly
    #[arg(long, value_name = "HH:MM", requires = "weekly")]
    at: Option<String>,
    /// Cron expression with five fields: minute, hour, day of the month, month, day of the week
    #[arg(long, value_name = "FIELDS", group = "when")]
    cron: Option<String>,
}

/// What may be said beside.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// IANA name of the time zone of the times, like Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Make each run later by up to this time, like 10m, so that not all start at once [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = jitter)]
    jitter: Option<u32>,
    /// What to do with runs that cannot start in time [default: skip]
    #[arg(long, value_name = "HOW", value_parser = choice::<MissedRuns>())]
    missed: Option<MissedRuns>,
    /// Input of its jobs as a JSON object, like `{"unique_value":"anna"}` for lookup-user [default: {}]
    #[arg(long, value_name = "JSON", value_parser = object)]
    input: Option<Object>,
}

/// A JSON object.
#[derive(Clone, Debug)]
struct Object(Map<String, Value>);

impl Times {
    /// What was given. `None`: nothing.
    fn timing(self) -> Option<Timing> {
        let Self { hourly, daily, weekly, at, cron } = self;
        let nothing = Timing { repeat: Repeat::Hourly, minute: None, at: None, days: None, cron: None };
        match (hourly, daily, weekly, cron) {
            (Some(minute), ..) => Some(Timing { minute: Some(minute), ..nothing }),
            (_, Some(at), ..) => Some(Timing { repeat: Repeat::Daily, at: Some(at), ..nothing }),
            (_, _, Some(days), _) => Some(Timing { repeat: Repeat::Weekly, days: Some(days), at, ..nothing }),
            (.., Some(cron)) => Some(Timing { repeat: Repeat::Cron, cron: Some(cron), ..nothing }),
            _ => None,
        }
    }
}

fn day(text: &str) -> Result<Day, String> {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let name = text.trim().to_lowercase();
    let day = DAYS.into_iter().find(|day| name.len() >= 3 && day.starts_with(&name));
    day.and_then(|day| serde_json::from_value(day.into()).ok())
        .ok_or_else(|| "name a day, like monday or mon".to_owned())
}

fn jitter(text: &str) -> Result<u32, String> {
    if text == "0s" {
        return Ok(0);
    }
    let time: SignedDuration = lifetime(text).map_err(|_| "give a time like 0s, 90s, 10m or 2h".to_owned())?;
    u32::try_from(time.as_secs()).map_err(|_| "it is too long".to_owned())
}

fn object(text: &str) -> Result<Object, String> {
    serde_json::from_str(text).map(Object).map_err(|error| format!("it is not a JSON object: {error}"))
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List(args) => list(&args, client, screen).await,
        Command::Show { schedule } => show(&client.get(&format!("schedules/{schedule}"), &[]).await?, screen),
        Command::Create { name, job, directory, times, options, paused } => {
            let missing = "say when it runs: give --hourly, --daily, --weekly or --cron";
            let timing = times.timing().ok_or_else(|| Error::Usage(missing.to_owned()))?;
            let request = ScheduleRequest {
                name,
                directory,
                kind: job,
                input: options.input.map(|input| input.0).unwrap_or_default(),
                timing,
                time_zone: options.time_zone,
                jitter_seconds: options.jitter,
                missed_runs: options.missed,
                paused,
            };
            show(&client.post("schedules", &request).await?, screen)
        }
        Command::Change { schedule, name, job, directory, times, options } => {
            let patch = SchedulePatch {
                name,
                directory,
                kind: job,
                input: options.input.map(|input| input.0),
                timing: times.timing(),
                time_zone: options.time_zone,
                jitter_seconds: options.jitter,
                missed_runs: options.missed,
            };
            show(&client.patch(&format!("schedules/{schedule}"), &patch).await?, screen)
        }
        Command::Pause { schedule } => set(&schedule, "pause", client, screen).await,
        Command::Resume { schedule } => set(&schedule, "resume", client, screen).await,
        Command::Delete { schedule, yes } => {
            let schedule: ScheduleView = client.get(&format!("schedules/{schedule}"), &[]).await?;
            yes.or_ask(&format!(
                "This deletes the schedule {} ({} of {}, {}). The jobs that it has started go on.",
                schedule.name,
                word(&schedule.kind),
                schedule.directory.name,
                schedule.timing_text
            ))?;
            client.delete(&format!("schedules/{}", schedule.id)).await?;
            screen.done(&schedule.id, "deleted", "The schedule is deleted.")
        }
    }
}

async fn set(schedule: &Name, what: &str, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    show(&client.post(&format!("schedules/{schedule}/{what}"), &Map::new()).await?, screen)
}

async fn list(args: &ListArgs, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let schedules: Found<ScheduleView> = client.list("schedules", &[], args.most()).await?;
    let head = ["name", "job", "directory", "when", "next run", "last run", "id"];
    screen.list(&schedules, args, &head, |schedule| {
        vec![
            schedule.name.clone(),
            word(&schedule.kind),
            schedule.directory.name.clone(),
            when(schedule),
            time_or(schedule.next_runs.first().copied(), "paused"),
            last_run(schedule),
            schedule.id.to_string(),
        ]
    })
}

fn show(schedule: &ScheduleView, screen: &mut Screen) -> Result<(), Error> {
    let next: Vec<String> = schedule.next_runs.iter().map(|at| time(*at)).collect();
    let last = schedule.last_run.as_ref();
    let job = last.and_then(|last| last.job.map(|job| (job, last.job_state)));
    let job = job.map(|(job, state): (_, Option<JobState>)| {
        format!("{job} ({})", state.map_or_else(|| "deleted since".to_owned(), |state| word(&state)))
    });
    screen.fields(
        schedule,
        &[
            ("name", schedule.name.clone()),
            ("id", schedule.id.to_string()),
            ("job", word(&schedule.kind)),
            ("directory", schedule.directory.name.clone()),
            ("input", schedule.input.to_string()),
            ("when", when(schedule)),
            ("jitter", format!("up to {} s", schedule.jitter_seconds)),
            ("missed runs", word(&schedule.missed_runs)),
            ("next runs", if next.is_empty() { "none, it is paused".to_owned() } else { next.join(", ") }),
            ("last run", last_run(schedule)),
            ("last job", job.unwrap_or_else(|| "none".to_owned())),
            ("problem", last.and_then(|last| last.problem.clone()).unwrap_or_else(|| "none".to_owned())),
            ("created", format!("{} by {}", time(schedule.created_at), schedule.created_by)),
            ("changed", format!("{} by {}", time(schedule.updated_at), schedule.updated_by)),
        ],
    )
}

fn when(schedule: &ScheduleView) -> String {
    format!("{} ({})", schedule.timing_text, schedule.time_zone)
}

fn last_run(schedule: &ScheduleView) -> String {
    schedule
        .last_run
        .as_ref()
        .map_or_else(|| "never".to_owned(), |run| format!("{}: {}", time(run.at), word(&run.outcome)))
}
