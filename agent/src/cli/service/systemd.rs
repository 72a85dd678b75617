//! The service of systemd: the unit of the packages, for a program that lies elsewhere.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail, ensure};

const NAME: &str = "postern-agent";
/// The unit of the packages. Its program is [`PACKAGED`].
const UNIT: &str = include_str!("../../../../installer/linux/agent/postern-agent.service");
const PACKAGED: &str = "/usr/bin/postern-agent";
const UNIT_FILE: &str = "/etc/systemd/system/postern-agent.service";
/// Where packages put theirs.
const PACKAGED_UNITS: [&str; 2] =
    ["/usr/lib/systemd/system/postern-agent.service", "/lib/systemd/system/postern-agent.service"];
const STATE: &str = "/var/lib/postern-agent";
const CONFIGURATION: &str = "/etc/postern";

pub(super) fn install() -> anyhow::Result<ExitCode> {
    require_systemd()?;
    refuse_packaged()?;
    let unit = unit_of(&std::env::current_exe().context("cannot find out where this program is")?)?;
    if !quietly("getent", &["passwd", NAME])? {
        let home = ["--home-dir", STATE, "--no-create-home", "--shell", "/bin/false"];
        run("useradd", &[&["--system", "--user-group"], &home[..], &[NAME]].concat())?;
    }
    run("install", &["-d", "-m", "0755", CONFIGURATION])?;
    run("install", &["-d", "-m", "0700", "-o", NAME, "-g", NAME, STATE])?;
    fs::write(UNIT_FILE, unit).with_context(|| format!("cannot write {UNIT_FILE}; run this as root"))?;
    systemctl(&["daemon-reload"])?;
    // The service of an earlier version, if it runs.
    systemctl(&["try-restart", NAME])?;
    println!(
        "Installed as {UNIT_FILE}. Next: write {CONFIGURATION}/agent.toml, enroll with `sudo -u {NAME} postern-agent enroll`, \
         and start it with `postern-agent service start`."
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) fn uninstall() -> anyhow::Result<ExitCode> {
    require_systemd()?;
    refuse_packaged()?;
    ensure!(Path::new(UNIT_FILE).exists(), "the service is not installed: {UNIT_FILE} does not exist");
    systemctl(&["disable", "--quiet", "--now", NAME])?;
    fs::remove_file(UNIT_FILE).with_context(|| format!("cannot remove {UNIT_FILE}; run this as root"))?;
    systemctl(&["daemon-reload"])?;
    println!(
        "Removed. The configuration in {CONFIGURATION}, the state in {STATE} and the user {NAME} are still there."
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) fn start() -> anyhow::Result<ExitCode> {
    require_systemd()?;
    systemctl(&["enable", "--quiet", "--now", NAME])?;
    // systemd skips a service whose condition is not met, and calls that a success.
    ensure!(
        quietly("systemctl", &["is-active", "--quiet", NAME])?,
        "systemd did not start the service; if this agent is not enrolled yet, run `sudo -u {NAME} postern-agent enroll`, else \
         look at `postern-agent service status`"
    );
    println!("Started. `postern-agent status` shows whether it is connected.");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn stop() -> anyhow::Result<ExitCode> {
    require_systemd()?;
    systemctl(&["disable", "--quiet", "--now", NAME])?;
    println!("Stopped.");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn status() -> anyhow::Result<ExitCode> {
    require_systemd()?;
    let status = Command::new("systemctl").args(["--no-pager", "status", NAME]).status();
    let code = status.context("cannot start systemctl")?.code();
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)))
}

/// The unit for a program at this path.
fn unit_of(program: &Path) -> anyhow::Result<String> {
    let path = program.display().to_string();
    // The unit hides the homes of people from the service.
    let hidden = ["/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"];
    if hidden.iter().any(|folder| path.starts_with(folder)) {
        bail!(
            "a service cannot use {path}; run `install -m 0755 {path} /usr/local/bin/` and then `/usr/local/bin/postern-agent service install`"
        );
    }
    let plain = path.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-+".contains(letter));
    ensure!(
        plain,
        "the path {path} has characters that mean something to systemd; put the program into /usr/local/bin"
    );
    Ok(UNIT.replace(PACKAGED, &path))
}

fn require_systemd() -> anyhow::Result<()> {
    ensure!(
        Path::new("/run/systemd/system").is_dir(),
        "systemd does not run here. Have `postern-agent run` started by your service manager, as a user of its own. It stays in \
         the foreground, reads its configuration again on SIGHUP, and stops on SIGTERM"
    );
    Ok(())
}

fn refuse_packaged() -> anyhow::Result<()> {
    let packaged = PACKAGED_UNITS.iter().find(|unit| Path::new(unit).exists());
    ensure!(
        packaged.is_none(),
        "a package has installed the service already ({}); use the package manager",
        packaged.unwrap_or(&UNIT_FILE)
    );
    Ok(())
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    run("systemctl", arguments)
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).status().with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "`{program} {}` ended with {status}; run this as root", arguments.join(" "));
    Ok(())
}

/// Whether a command succeeds.
fn quietly(program: &str, arguments: &[&str]) -> anyhow::Result<bool> {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.status().with_context(|| format!("cannot start {program}"))?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_starts_this_program_unless_a_service_could_not() {
        let unit = unit_of(Path::new("/usr/local/bin/postern-agent")).unwrap();
        assert!(unit.contains("\nExecStart=/usr/local/bin/postern-agent run\n"), "{unit}");
        assert!(!unit.contains(PACKAGED), "{unit}");
        for (path, word) in
            [("/home/anna/postern-agent", "/usr/local/bin"), ("/opt/my tools/postern-agent", "characters")]
        {
            let refused = unit_of(Path::new(path)).unwrap_err().to_string();
            assert!(refused.contains(path) && refused.contains(word), "{refused}");
        }
    }
}
