//! The tarball, for systems with systemd and without dpkg or RPM: it has a script that asks before it installs.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::tree::{self, Package};
use crate::steps;

/// Makes `NAME-VERSION-linux-x86_64.tar.gz` in `out`.
pub(super) fn make(package: &Package<'_>, folder: &Path, out: &Path) -> Result<()> {
    let name = package.program.name;
    let title = format!("{name}-{}-linux-x86_64", package.version);
    let root = folder.join(&title);
    tree::put_program(&package.built.program(name)?, &root.join("bin").join(name))?;
    tree::write(&package.template("tarball/install.sh")?, &root.join("install.sh"), 0o755)?;
    for file in [format!("{name}.service"), package.program.config.to_owned()] {
        tree::put(&package.source(&file), &root.join(&file), 0o644)?;
    }
    for file in ["LICENSE", "CHANGELOG.md"] {
        tree::put(&steps::workspace().join(file), &root.join(file), 0o644)?;
    }
    for kind in ["man", "completions"] {
        for file in std::fs::read_dir(package.documents.join(kind))? {
            let file = file?;
            tree::put(&file.path(), &root.join(kind).join(file.file_name()), 0o644)?;
        }
    }
    let epoch = super::deb::said(Command::new("git").args(["log", "-1", "--format=%ct"]))?;
    let mut pack = Command::new("tar");
    // The same bytes for the same files.
    pack.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--use-compress-program=gzip -9n",
        "--create",
    ]);
    pack.arg(format!("--mtime=@{epoch}")).arg("--file").arg(out.join(format!("{title}.tar.gz")));
    steps::run("tarball", pack.arg("--directory").arg(folder).arg(&title))
}
