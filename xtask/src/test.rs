//! `cargo xtask test`: the README's test command.

use std::path::Path;

use anyhow::ensure;
use postern_tests::install;

use crate::steps::runtime;
use crate::{packaging, steps, tools, wine};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only tests whose names contain this; `packaging`: the packages, in a container with systemd; `windows`: the agent for Windows,
    /// under Wine.
    filter: Option<String>,
    /// Only what needs neither root nor a server: unit and property tests, the agent with a scripted directory, the store on
    /// SQLite, the shape of the code.
    #[arg(long)]
    fast: bool,
    /// For `packaging` and `windows`: cargo's profile for the programs, as in `cargo xtask package`.
    #[arg(long, default_value = "dev")]
    profile: String,
}

/// No server is started, by another program or in the test's own: the API and the gateway answer over real sockets.
const FAST: &str = "not test(postgres) and not binary(scenarios) and not package(xtask) \
                    and not (package(postern-control-plane) and test(/^(api|gateway)::/))";

/// A folder in memory.
const MEMORY: &str = "/dev/shm";

/// Installs what is missing, and builds and runs unit, property, conformance and scenario tests.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.filter.as_deref() == Some("packaging") {
        return packaging::test(&arguments.profile);
    }
    if arguments.filter.as_deref() == Some("windows") {
        return wine::test(&arguments.profile);
    }
    if arguments.fast {
        return fast(arguments);
    }
    ensure!(
        rustix::process::geteuid().is_root(),
        "the tests run as root: Samba answers at LDAP's own ports, and a small disk is mounted. In a container, or on a \
         machine of their own: sudo -E env \"PATH=$PATH\" cargo xtask test"
    );
    println!("» installing what is missing of slapd, 389 Directory Server, Samba, PostgreSQL and squid");
    runtime()?.block_on(install::ensure(&install::Server::ALL))?;
    // It builds the programs too: each package with a program has tests that run it.
    let mut nextest = tools::command("cargo-nextest")?;
    // Many scenarios wait for a time-out to pass: one more than there are cores keeps the cores at work.
    let at_once = std::thread::available_parallelism().map_or(2, |cores| cores.get() + 1);
    nextest.args(["run", "--workspace", "--test-threads", &at_once.to_string()]);
    if std::env::var_os("CI").is_some() {
        nextest.args(["--profile", "ci"]);
    }
    nextest.args(&arguments.filter);
    steps::run("testing", &mut nextest)?;

    if arguments.filter.is_none() {
        let mut examples = steps::cargo();
        steps::run(
            "testing the examples in documentation",
            examples.args(["test", "--workspace", "--doc", "--quiet"]),
        )?;
    }
    Ok(())
}

/// The inner loop: the same programs as for all tests, so that nothing is built twice; only some tests of them.
fn fast(arguments: &Arguments) -> anyhow::Result<()> {
    let mut nextest = tools::command("cargo-nextest")?;
    nextest.args(["run", "--workspace", "-E", FAST]);
    // What is written here need not survive a power cut: no disk is waited for.
    if Path::new(MEMORY).is_dir() {
        nextest.env("TMPDIR", MEMORY);
    }
    nextest.args(&arguments.filter);
    steps::run("testing", &mut nextest)
}
