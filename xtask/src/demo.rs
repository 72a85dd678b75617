//! `cargo xtask demo`: the main jobs on this machine, from nothing, with the real programs and a real OpenLDAP: users come
//! in, and users go out.

mod command;
mod provisioning;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use postern_tests::Stage;
use postern_tests::install::{self, Server};
use postern_tests::people::{Person, Population};
use postern_tests::site::DIRECTORY;
use postern_tests::slapd::Slapd;

use self::command::command;
use crate::line::{self, Line};
use crate::steps;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many people work at the demonstrated company.
    #[arg(long, default_value_t = 2000)]
    users: u32,
    /// End when all is shown, and leave nothing running or lying about.
    #[arg(long)]
    once: bool,
}

/// Builds, starts everything, imports, shows what arrived, writes to the directory, and stays up until Ctrl-C.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = steps::runtime()?;
    if !install::missing(&[Server::OpenLdap]).is_empty() {
        println!("» installing OpenLDAP");
    }
    // Before the build: where it cannot be installed, that is said at once, and not after minutes.
    runtime.block_on(install::ensure(&[Server::OpenLdap]))?;
    let binaries = line::build(line::SHOWN)?;
    runtime.block_on(async {
        tokio::select! {
            ended = demonstrate(arguments, line::options(&binaries, None)) => ended,
            signal = tokio::signal::ctrl_c() => {
                println!("\n» stopping");
                signal.context("cannot wait for Ctrl-C")
            }
        }
    })
}

async fn demonstrate(arguments: &Arguments, options: postern_tests::control_plane::Options) -> Result<()> {
    let began = Instant::now();
    let stage = Stage::new()?;
    println!("» starting an OpenLDAP with {} users", arguments.users);
    let slapd = Slapd::start(&stage, provisioning::directory(arguments.users)).await?;
    let directory_took = began.elapsed();
    println!("» starting the control plane, enrolling and starting the agent");
    let mut line = Line::start_configured(&stage, &slapd, options, provisioning::allow).await?;
    println!("» importing");
    let began = Instant::now();
    watch_import(&line, arguments.users)?;
    let [control_plane_took, agent_took] = line.started_in;
    show_arrived(&line)?;
    let imported_in = began.elapsed();
    let began = Instant::now();
    provisioning::show(&line, &slapd).await?;
    show_timings(&[
        ("OpenLDAP filled and started", directory_took),
        ("control plane started, organization created", control_plane_took),
        ("agent enrolled, started and connected", agent_took),
        ("import, from the command to its end", imported_in),
        ("provisioning, all of it", began.elapsed()),
    ]);
    if arguments.once {
        println!("\nWithout --once it would stay up, to look around.");
        return line.stop().await;
    }
    show_around(&line, &stage);
    println!("\nEverything stays up until Ctrl-C.");
    std::future::pending().await
}

/// Starts an import and watches it, as an administrator would who knows how many people there are.
fn watch_import(line: &Line, users: u32) -> Result<()> {
    let entries = (users + Population::of(users).groups()).to_string();
    let mut import = command(line);
    import.args(["jobs", "start", "import", "--directory", DIRECTORY, "--watch", "--expect", &entries]);
    let status = import.status();
    let status = status.context("cannot start postern")?;
    ensure!(status.success(), "the import ended with {status}; see above");
    Ok(())
}

fn show_arrived(line: &Line) -> Result<()> {
    println!("\nSome of those who arrived:");
    let status = command(line).args(["users", "list", "--limit", "5"]).status()?;
    ensure!(status.success(), "`postern users list` ended with {status}");
    Ok(())
}

fn show_timings(timings: &[(&str, Duration)]) {
    println!("\nHow long it took:");
    for (what, took) in timings {
        println!("  {what:<46} {:>7.2} s", took.as_secs_f64());
    }
}

fn show_around(line: &Line, stage: &Stage) {
    let (postern, agent) = (relative(&line.binaries.postern), relative(&line.binaries.agent));
    println!("\nLook around:");
    println!("  export POSTERN_URL={} POSTERN_TOKEN={}", line.control_plane.url(), line.api.token());
    for words in commands_to_try() {
        println!("  {postern} {}", words.join(" "));
    }
    println!("  {agent} status --state-dir {}", line.agent.state_dir().display());
    println!("  curl {}/api/v1/openapi.json", line.control_plane.url());
    println!("  logs and configuration: {}", stage.path().display());
}

/// What `postern` can show of the demonstrated company.
fn commands_to_try() -> [Vec<String>; 5] {
    let Person { uid, given_name, .. } = Person::nth(0);
    // Where shells and terminals know these letters only, it can be typed all the same.
    let name: String = given_name.chars().take_while(char::is_ascii_alphabetic).take(3).collect();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    [
        words(&format!("users list {}", name.to_lowercase())),
        words("groups list"),
        words("jobs list"),
        words(&format!("jobs start test-connection --directory {DIRECTORY} --watch")),
        words(&format!("jobs start lookup-user --directory {DIRECTORY} {uid} --watch")),
    ]
}

fn relative(program: &Path) -> String {
    program.strip_prefix(steps::workspace()).unwrap_or(program).display().to_string()
}

#[cfg(test)]
mod tests {
    use postern_tests::binaries::Binaries;
    use postern_tests::running;
    use postern_tests::slapd::Options;

    use super::*;

    /// All of it but the build.
    #[test]
    fn once_imports_and_leaves_nothing_running_or_lying_about() -> Result<()> {
        let binaries = Binaries::beside_this_program()?;
        let arguments = Arguments { users: 100, once: true };
        steps::runtime()?.block_on(demonstrate(&arguments, line::options(&binaries, None)))?;
        ensure!(running::names().is_empty(), "running: {:?}", running::names());
        let mine = format!("postern-stage-{}-", std::process::id());
        for file in std::fs::read_dir(std::env::temp_dir())? {
            let name = file?.file_name();
            ensure!(!name.to_string_lossy().starts_with(&mine), "left lying about: {}", name.display());
        }
        Ok(())
    }

    #[tokio::test]
    async fn every_command_that_it_proposes_works() -> Result<()> {
        let binaries = Binaries::beside_this_program()?;
        let stage = Stage::new()?;
        let slapd = Slapd::start(&stage, Options::people(100)).await?;
        let mut line = Line::start(&stage, &slapd, line::options(&binaries, None)).await?;
        watch_import(&line, 100)?;
        for words in commands_to_try() {
            let output = command(&line).args(&words).output()?;
            ensure!(output.status.success(), "postern {words:?}: {}", String::from_utf8_lossy(&output.stderr));
            let found = String::from_utf8_lossy(&output.stdout).lines().count() > 1;
            ensure!(found, "postern {words:?} shows nothing");
        }
        line.stop().await
    }
}
