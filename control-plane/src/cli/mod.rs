//! The command line `postern`: the server, and all that administrators do through its API. One file for each resource.

mod account_lines;
mod accounts;
mod age;
mod agents;
mod attributes;
mod audit;
mod choice;
mod client;
mod completions;
mod confirm;
mod conflicts;
mod consequences;
mod credentials;
mod directories;
mod docs;
mod effect;
mod enrollment_tokens;
mod error;
mod files;
mod global;
mod groups;
mod jobs;
mod leaving;
mod list;
mod login;
mod mapping;
mod matching;
mod moment;
mod name;
mod organization;
mod organizations;
mod output_file;
mod provisioning;
mod schedules;
mod screen;
pub mod serve;
mod table;
mod tokens;
mod troubleshooting;
mod unseen;
mod users;
mod whoami;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use postern_runtime::{build, tls};

use client::Client;
use error::Error;
use global::Global;
use screen::Screen;

const AFTER_HELP: &str = "\
Start with `postern serve`, then `postern organizations create NAME`, which prints the first token. Give it to \
`postern login`, or set POSTERN_TOKEN.

Exit codes: 0 done; 1 failed, or the watched job failed, was held or canceled; 2 wrong usage; 64 bad configuration.";

/// The Postern control plane: provisions a cloud identity service from LDAP directories behind firewalls
#[derive(Debug, Parser)]
#[command(name = "postern", version = build::VERSION, after_help = AFTER_HELP, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the control plane
    Serve(serve::ServeArgs),
    /// Create and list organizations on the control plane's machine
    #[command(subcommand)]
    Organizations(organizations::Command),
    /// The rules of your organization
    #[command(subcommand)]
    Organization(organization::Command),
    /// Save the address of a control plane and a token
    ///
    /// Name the address with --url. The token is read from standard input unless --token or `POSTERN_TOKEN` gives it.
    /// Both are saved in ~/.config/postern/credentials.toml, which only you can read.
    Login(login::Args),
    /// Show which token you use, and its organization
    Whoami,
    /// Delete the saved address and token
    Logout,
    /// API tokens of administrators and scripts
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// One-time tokens with which agents enroll
    #[command(subcommand)]
    EnrollmentTokens(enrollment_tokens::Command),
    /// Agents inside the sites
    #[command(subcommand)]
    Agents(agents::Command),
    /// LDAP directories that agents serve
    #[command(subcommand)]
    Directories(directories::Command),
    /// Imports, connection tests and look-ups
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Jobs that start by themselves
    #[command(subcommand)]
    Schedules(schedules::Command),
    /// What directories returned, entry by entry
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// The organization's users
    #[command(subcommand)]
    Users(users::Command),
    /// Accounts whose user name another user has
    #[command(subcommand)]
    Conflicts(conflicts::Command),
    /// The organization's groups
    #[command(subcommand)]
    Groups(groups::Command),
    /// Rules by which accounts of a directory become users and groups
    #[command(subcommand)]
    Mapping(mapping::Command),
    /// How new accounts of a directory find their users
    #[command(subcommand)]
    Matching(matching::Command),
    /// What directories get, and what was done there
    #[command(subcommand)]
    Provisioning(provisioning::Command),
    /// Attributes that your organization defines for its users
    #[command(subcommand)]
    Attributes(attributes::Command),
    /// Who changed what, verified
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the reference documents
    #[command(subcommand, hide = true)]
    Docs(docs::Command),
}

/// Options of [`Global`] that do not apply to commands without a control plane.
const ASKING: [&str; 4] = ["url", "token", "ca_file", "insecure_http"];

/// The command line as shown: a command's help lists only options that apply to it.
fn command() -> clap::Command {
    let root = Cli::command();
    let hidden = |names: &[&str]| -> Vec<clap::Arg> {
        let unheeded = root.get_arguments().filter(|arg| names.contains(&arg.get_id().as_str()));
        unheeded.map(|arg| arg.clone().hide(true)).collect()
    };
    let (asking, all) = (hidden(&ASKING), hidden(&[&ASKING[..], &["json"]].concat()));
    let names: Vec<String> = root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    // All of them, because a changed subcommand moves to the end.
    names.into_iter().fold(root, |root, name| {
        let unheeded: &[clap::Arg] = match name.as_str() {
            "organizations" => &asking,
            "serve" | "completions" | "docs" => &all,
            _ => &[],
        };
        root.mut_subcommand(name, |command| command.args(unheeded))
    })
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    tls::install_crypto_provider();
    let mut cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    cli.global.complete(|name| std::env::var(name).ok());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("postern: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::run(args).await,
            command => finish(run(&cli.global, command, Box::new(std::io::stdout())).await),
        }
    })
}

/// Runs any command except `serve`, and writes its output to `out`.
async fn run(global: &Global, command: Command, out: Box<dyn Write + Send>) -> Result<(), Error> {
    let mut screen = Screen::new(out, global.json).of_width(table::terminal_width());
    let client = || Client::new(global);
    match command {
        Command::Serve(_) => Err(Error::Usage("serve cannot be run from here".to_owned())),
        Command::Organizations(command) => organizations::run(command, &mut screen).await,
        Command::Organization(command) => organization::run(command, &client()?, &mut screen).await,
        Command::Login(args) => login::run(args, global, &mut screen).await,
        Command::Whoami => whoami::show(global, &mut screen).await,
        Command::Logout => whoami::forget(global, &mut screen),
        Command::Tokens(command) => tokens::run(command, &client()?, &mut screen).await,
        Command::EnrollmentTokens(command) => enrollment_tokens::run(command, &client()?, &mut screen).await,
        Command::Agents(command) => agents::run(command, &client()?, &mut screen).await,
        Command::Directories(command) => directories::run(command, &client()?, &mut screen).await,
        Command::Jobs(command) => jobs::run(command, &client()?, &mut screen).await,
        Command::Schedules(command) => schedules::run(command, &client()?, &mut screen).await,
        Command::Accounts(command) => accounts::run(command, &client()?, &mut screen).await,
        Command::Users(command) => users::run(command, &client()?, &mut screen).await,
        Command::Conflicts(command) => conflicts::run(command, &client()?, &mut screen).await,
        Command::Groups(command) => groups::run(command, &client()?, &mut screen).await,
        Command::Mapping(command) => mapping::run(command, &client()?, &mut screen).await,
        Command::Matching(command) => matching::run(command, &client()?, &mut screen).await,
        Command::Provisioning(command) => provisioning::run(command, &client()?, &mut screen).await,
        Command::Attributes(command) => attributes::run(command, &client()?, &mut screen).await,
        Command::Audit(command) => audit::run(command, &client()?, &mut screen).await,
        Command::Completions(args) => completions::run(&args, self::command(), &mut screen),
        Command::Docs(command) => docs::run(&command, self::command(), &mut screen),
    }
}

fn finish(result: Result<(), Error>) -> ExitCode {
    match result {
        // The reader of the output has read enough.
        Ok(()) | Err(Error::OutputClosed) => ExitCode::SUCCESS,
        Err(error) => {
            screen::note(error.explain());
            ExitCode::from(error.exit_code())
        }
    }
}
