//! Builds the programs so that they run on old systems, and looks whether they would.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{steps, tools};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The oldest glibc that the programs run with: that of RHEL 7; Debian 8 has 2.19.
const GLIBC: (u32, u32) = (2, 17);
/// The profile for trying the packages: built as the tests build.
const QUICK: &str = "dev";

/// The built programs.
pub(super) struct Build {
    folder: PathBuf,
}

impl Build {
    /// Builds both programs.
    pub(super) fn make(profile: &str) -> Result<Self> {
        if profile == QUICK {
            let mut build = steps::cargo();
            steps::run("building", build.args(["build", "--workspace", "--bins"]))?;
            return Ok(Self { folder: steps::built(QUICK) });
        }
        let target = format!("{TARGET}.{}.{}", GLIBC.0, GLIBC.1);
        let mut build = tools::zigbuild()?;
        build.args(["zigbuild", "--locked", "--profile", profile, "--target", &target]);
        // Not the whole workspace: its tests ask for features that nobody else should get.
        build.args(["-p", "postern-control-plane", "-p", "postern-agent"]);
        build.env("POSTERN_BUILD", build_name(profile, &target)?);
        steps::run("building for packages", &mut build)?;
        Ok(Self { folder: steps::target().join(TARGET).join(profile) })
    }

    /// Whether this is for trying the packages only.
    pub(super) fn is_quick(&self) -> bool {
        self.folder == steps::built(QUICK)
    }

    /// A program, once it is known that it runs on old systems. Quick builds need not.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf> {
        let program = self.folder.join(name);
        if !self.is_quick() {
            let needed = needed_glibc(&program)?;
            ensure!(
                needed <= GLIBC,
                "{} needs glibc {}.{}; it must run with {}.{}",
                program.display(),
                needed.0,
                needed.1,
                GLIBC.0,
                GLIBC.1
            );
        }
        Ok(program)
    }
}

/// What `--version` says of a program that is built for others.
pub(super) fn build_name(profile: &str, target: &str) -> Result<String> {
    Ok(format!("{} ({}, {profile} for {target})", env!("CARGO_PKG_VERSION"), commit()?))
}

/// The commit that is built, and whether something has changed since.
fn commit() -> Result<String> {
    let said = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("git").args(arguments).current_dir(steps::workspace()).output()?;
        ensure!(output.status.success(), "git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let changed = if said(&["status", "--porcelain", "-uno"])?.is_empty() { "" } else { " with changes" };
    Ok(format!(
        "commit {}{changed} of {}",
        said(&["rev-parse", "--short=12", "HEAD"])?,
        said(&["log", "-1", "--format=%cs"])?
    ))
}

/// The newest version of glibc whose symbols a program needs.
fn needed_glibc(program: &Path) -> Result<(u32, u32)> {
    let output = Command::new("readelf").args(["--version-info", "--wide"]).arg(program).output();
    let output = output.context("cannot start readelf (Debian package binutils)")?;
    ensure!(output.status.success(), "readelf: {}", String::from_utf8_lossy(&output.stderr));
    newest_glibc(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("{} needs no glibc at all", program.display()))
}

fn newest_glibc(versions: &str) -> Option<(u32, u32)> {
    let names = versions.split("GLIBC_").skip(1);
    let versions = names.filter_map(|name| {
        let number = name.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next()?;
        let (major, minor) = number.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_as_a_number() {
        let text =
            "  0x0010: Name: GLIBC_2.9  Flags: none\n 0x0020: Name: GLIBC_2.17 Flags\n GLIBC_2.2.5 GLIBC_PRIVATE";
        assert_eq!(newest_glibc(text), Some((2, 17)));
        assert_eq!(newest_glibc("nothing"), None);
    }
}
