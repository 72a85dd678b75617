//! `postern jobs start`: a subcommand for each kind of job, with the arguments of that kind.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand};
use jiff::SignedDuration;
use postern_engine::jobs::kind::{Argument, Flag, Kind};
use postern_engine::kinds;
use serde_json::{Map, Value, json};

use super::super::super::api::jobs::JobRequest;
use super::super::tokens::lifetime;

/// A job to start.
#[derive(Debug)]
pub(in super::super) struct Start {
    /// The expected number of entries, for the progress bar.
    pub(super) expect: Option<u64>,
    /// Wait until it has ended.
    pub(super) watch: bool,
    /// The request.
    pub(super) request: JobRequest,
}

/// The arguments of all jobs.
#[derive(Debug, Args)]
struct Common {
    /// Name or id of the directory
    #[arg(long)]
    directory: String,
    /// Wait until the job has ended and show its progress; exit code 1 unless it succeeds
    #[arg(long)]
    watch: bool,
    /// End the job with an error after this time, like 30s, 10m, 2h [default: 24h for imports, 2m otherwise]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    timeout: Option<SignedDuration>,
}

/// The arguments of jobs that count entries.
#[derive(Debug, Args)]
struct Measured {
    /// How many users and groups are expected, for the progress bar [default: as many as in the last import]
    #[arg(long, value_name = "ENTRIES", requires = "watch")]
    expect: Option<u64>,
}

impl Subcommand for Start {
    fn augment_subcommands(command: Command) -> Command {
        let command = command.subcommand_required(true).arg_required_else_help(true);
        with_commands().fold(command, |command, kind| command.subcommand(subcommand(kind)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        with_commands().any(|kind| kind.word() == name)
    }
}

impl FromArgMatches for Start {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let chosen = matches.subcommand().and_then(|(name, rest)| {
            let kind = with_commands().find(|kind| kind.word() == name)?;
            let other = flags(kind).find(|(flag, _)| rest.get_flag(flag.name));
            Some((other.map_or(kind, |(_, other)| other), rest))
        });
        let (kind, rest) = chosen.ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
        let common = Common::from_arg_matches(rest)?;
        let expect = if kind.counts().is_some() { Measured::from_arg_matches(rest)?.expect } else { None };
        let request = JobRequest {
            kind: kind.name().into(),
            directory: common.directory,
            input: input(kind, rest),
            deadline: None,
            timeout_seconds: common.timeout.map(|time| time.unsigned_abs().as_secs()),
        };
        Ok(Self { expect, watch: common.watch, request })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The kinds that have a command of their own.
fn with_commands() -> impl Iterator<Item = &'static dyn Kind> {
    kinds::ALL.iter().copied().filter(|kind| kind.flag().is_none())
}

/// The flags that turn the command of a kind into another one.
fn flags(kind: &dyn Kind) -> impl Iterator<Item = (Flag, &'static dyn Kind)> {
    let word = kind.word();
    let flags = kinds::ALL.iter().filter_map(|other| Some((other.flag()?, *other)));
    flags.filter(move |(flag, _)| flag.word == word)
}

fn subcommand(kind: &'static dyn Kind) -> Command {
    let mut command = Command::new(kind.word());
    for (flag, _) in flags(kind) {
        command = command.arg(Arg::new(flag.name).long(flag.name).help(flag.help).action(ArgAction::SetTrue));
    }
    if kind.counts().is_some() {
        command = Measured::augment_args(command);
    }
    for argument in kind.arguments() {
        let arg = Arg::new(argument.name).help(argument.help).value_name(argument.value_name);
        let arg = arg.value_parser(move |text: &str| checked(kind, argument, text));
        command = command.arg(if argument.is_option {
            arg.long(argument.name).action(ArgAction::Append)
        } else {
            arg.required(true)
        });
    }
    // Last, because the shared options' texts would replace the command's.
    Common::augment_args(command).about(kind.words().about)
}

/// Checks a value before anything is sent.
fn checked(kind: &dyn Kind, argument: &Argument, text: &str) -> Result<String, String> {
    let value = if argument.is_option { json!([text]) } else { json!(text) };
    match kind.input(&json!({ argument.field: value })) {
        Err(wrong) if wrong.field == argument.field => Err(wrong.detail),
        _ => Ok(text.to_owned()),
    }
}

/// The input of the job.
fn input(kind: &dyn Kind, matches: &ArgMatches) -> Map<String, Value> {
    let mut input = Map::new();
    for argument in kind.arguments() {
        let Some(given) = matches.get_many::<String>(argument.name) else { continue };
        let given: Vec<&String> = given.collect();
        let value = if argument.is_option { json!(given) } else { json!(given.first()) };
        input.insert(argument.field.to_owned(), value);
    }
    input
}
