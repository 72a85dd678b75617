//! The package for Windows Installer, by wixl. What wixl drops without a word is mended afterwards in the tables.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::steps;

/// What makes a package replace those of the same and of lower versions. Taken from the definition.
pub(super) const UPGRADE_CODE: &str = "{8C0E6C5B-3D0F-4E1B-9D55-5B0C7E3F7A61}";
/// The properties that a caller may set without being an administrator; wixl knows no `Secure`.
pub(super) const SECURE: &str = "DELETE_STATE;ENROLL_TOKEN_FILE;WIX_DOWNGRADE_DETECTED;WIX_UPGRADE_DETECTED";
/// Right after `InstallInitialize`: the old version goes first, and a failure brings it back. wixl puts it after the rest.
pub(super) const REMOVE_OLD_AT: u32 = 1501;

/// Makes the package, with `work` as the folder that wixl reads from.
pub(super) fn make(program: &Path, version: &str, work: &Path, package: &Path) -> Result<()> {
    let installer = steps::workspace().join("installer/windows");
    let copies = [
        (installer.join("postern-agent.wxs"), "postern-agent.wxs"),
        (program.to_owned(), "postern-agent.exe"),
        (steps::workspace().join("LICENSE"), "LICENSE.txt"),
        (steps::workspace().join("CHANGELOG.md"), "CHANGELOG.txt"),
    ];
    for (from, name) in copies {
        fs::copy(&from, work.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    let mut wixl = Command::new("wixl");
    wixl.args(["--arch", "x64", "--define", &format!("Version={version}"), "--output"]).arg(package);
    steps::run("packaging for Windows", wixl.arg("postern-agent.wxs").current_dir(work))?;
    mend(version, work, package)
}

fn mend(version: &str, work: &Path, package: &Path) -> Result<()> {
    let queries = [
        format!("UPDATE `Property` SET `Value` = '{SECURE}' WHERE `Property` = 'SecureCustomProperties'"),
        format!(
            "UPDATE `InstallExecuteSequence` SET `Sequence` = {REMOVE_OLD_AT} WHERE `Action` = 'RemoveExistingProducts'"
        ),
        // The same version, built anew, is an upgrade too: else both would be installed. 1: features as before; 512: inclusive.
        "DELETE FROM `Upgrade` WHERE `ActionProperty` = 'WIX_UPGRADE_DETECTED'".to_owned(),
        format!(
            "INSERT INTO `Upgrade` (`UpgradeCode`, `VersionMax`, `Attributes`, `ActionProperty`) VALUES \
             ('{UPGRADE_CODE}', '{version}', 513, 'WIX_UPGRADE_DETECTED')"
        ),
        // The folder of the program in the machine's PATH, while it is installed.
        "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('RemoveEnvironmentStrings', 3300)"
            .to_owned(),
        "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('WriteEnvironmentStrings', 5200)"
            .to_owned(),
    ];
    for query in queries {
        steps::quietly(Command::new("msibuild").arg(package).args(["-q", &query]))?;
    }
    let table = work.join("Environment.idt");
    let rows = "Environment\tName\tValue\tComponent_\r\ns72\tl255\tL255\ts72\r\nEnvironment\tEnvironment\r\n\
                Path\t=-*PATH\t[~];[INSTALLDIR]\tProgram\r\n";
    fs::write(&table, rows)?;
    steps::quietly(Command::new("msibuild").arg(package).arg("-i").arg(&table))
}
