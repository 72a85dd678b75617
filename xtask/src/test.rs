//! `cargo xtask test`: the README's test command.

use anyhow::ensure;
use postern_tests::install;

use crate::steps::runtime;
use crate::{steps, tools};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only tests whose names contain this.
    filter: Option<String>,
}

/// Installs what is missing, builds both programs, and runs unit, property, conformance and scenario tests.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the tests run as root: Samba answers at LDAP's own ports, and a small disk is mounted. In a container, or on a \
         machine of their own: sudo -E env \"PATH=$PATH\" cargo xtask test"
    );
    println!("» installing what is missing of slapd, 389 Directory Server, Samba, PostgreSQL and squid");
    runtime()?.block_on(install::ensure(&install::Server::ALL))?;
    let mut build = steps::cargo();
    steps::run("building", build.args(["build", "--workspace", "--bins"]))?;

    let mut nextest = tools::command("cargo-nextest")?;
    nextest.args(["run", "--workspace"]);
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
