//! `cargo xtask test packaging`: the packages on a machine with a real systemd, which a container boots. The machine is made
//! once, in the cache of tools; a run writes into memory only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{package, steps, tools};

/// What this needs here: a program and its Debian package.
const NEEDED: [(&str, &str); 5] = [
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/systemd-nspawn", "systemd-container"),
    ("/usr/bin/lintian", "lintian"),
    ("/usr/bin/rpmbuild", "rpm"),
    ("/usr/bin/readelf", "binutils"),
];
/// What is on the machine besides Debian's smallest set. Another list needs another name of the folder.
const INSTALLED: &str = "systemd,systemd-sysv,dbus,slapd,ldap-utils,procps,ca-certificates";
const MACHINE: &str = "debian-12-systemd-1";

/// Builds the packages twice, as a version and the next one, lets lintian look at them, and runs
/// `installer/linux/test/life.sh`.
pub(crate) fn test(profile: &str) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "a container is booted: run this as root");
    steps::ensure_packages("installing what the container needs", &NEEDED)?;
    let folder = steps::target().join("packaging-test");
    let (packages, results) = (folder.join("packages"), folder.join("results"));
    for (name, version) in [("first", None), ("next", Some("99.0.0".to_owned()))] {
        package::linux(profile, version, &packages.join(name))?;
    }
    let mut lintian = Command::new("sh");
    lintian.args(["-c", "lintian --fail-on error,warning --allow-root --tag-display-limit 0 *.deb"]);
    steps::run("lintian", lintian.current_dir(packages.join("first")))?;
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    fs::create_dir_all(&results)?;
    boot(&machine()?, &packages, &results)
}

/// The folder of the machine.
fn machine() -> Result<PathBuf> {
    let folder = tools::cache()?.join(MACHINE);
    if folder.exists() {
        return Ok(folder);
    }
    let unfinished = tools::cache()?.join(format!("{MACHINE}.unfinished"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    let mut make = Command::new("mmdebstrap");
    make.args(["--variant=minbase", "--include", INSTALLED, "bookworm"]).arg(&unfinished);
    steps::run("making a Debian with systemd (once; it is kept)", &mut make)?;
    // The test starts a server of its own.
    let mut mask = Command::new("chroot");
    steps::run("masking slapd", mask.arg(&unfinished).args(["systemctl", "--quiet", "mask", "slapd.service"]))?;
    fs::rename(&unfinished, &folder)?;
    Ok(folder)
}

fn boot(machine: &Path, packages: &Path, results: &Path) -> Result<()> {
    let test = steps::workspace().join("installer/linux/test");
    let bind = |from: &Path, to: &str| format!("{}:{to}", from.display());
    let mut container = Command::new("systemd-nspawn");
    container.args(["--quiet", "--boot", "--volatile=overlay", "--register=no", "--keep-unit", "--private-network"]);
    container.arg("--directory").arg(machine).arg("--bind").arg(bind(results, "/results"));
    for (from, to) in
        [(packages, "/packages"), (&test, "/test"), (&test.join("life.service"), "/etc/systemd/system/life.service")]
    {
        container.arg("--bind-ro").arg(bind(from, to));
    }
    let output = container.arg("systemd.wants=life.service").output().context("cannot start systemd-nspawn")?;
    let log = fs::read_to_string(results.join("log")).unwrap_or_default();
    let booted = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}\n{log}",
        if log.is_empty() { booted } else { "the packages failed:".to_owned() }
    );
    ensure!(log.trim_end().ends_with("all of it held"), "the test has not come to its end:\n{log}");
    for line in log.lines().filter(|line| line.starts_with('»')) {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exposure of both units is at most 1.5 of 10, as systemd counts it. `life.sh` asks the same of a running one.
    #[test]
    fn the_units_are_exposed_little() -> Result<()> {
        for unit in ["agent/postern-agent.service", "control-plane/postern.service"] {
            let mut analyze = Command::new("systemd-analyze");
            analyze.args(["security", "--offline=true", "--threshold=15", "--no-pager"]);
            let output = analyze.arg(steps::workspace().join("installer/linux").join(unit)).output();
            let output = output.context("systemd-analyze (Debian package systemd)")?;
            ensure!(output.status.success(), "{unit}: {}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(())
    }
}
