//! The Debian package.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::documents;
use super::tree::{self, Package};
use crate::steps;

/// Who is asked about the package. There is no address yet.
pub(super) const MAINTAINER: &str = "The Postern authors <postern@localhost.localdomain>";

/// Makes `NAME_VERSION_amd64.deb` in `out`.
pub(super) fn make(package: &Package<'_>, root: &Path, out: &Path) -> Result<()> {
    let (name, version) = (package.program.name, format!("{}-1", package.version));
    package.lay_out(root)?;
    let doc = root.join("usr/share/doc").join(name);
    tree::write(&copyright()?, &doc.join("copyright"), 0o644)?;
    tree::put(&package.documents.join("changelog.gz"), &doc.join("changelog.gz"), 0o644)?;
    let changelog = format!(
        "{name} ({version}) unstable; urgency=medium\n\n  * Version {}. See changelog.gz.\n\n -- {MAINTAINER}  {}\n",
        package.version,
        said(Command::new("git").args(["log", "-1", "--format=%cD"]))?
    );
    tree::write(&changelog, &doc.join("changelog.Debian"), 0o644)?;
    documents::compress(&doc.join("changelog.Debian"))?;
    let overrides = root.join("usr/share/lintian/overrides").join(name);
    tree::write(&package.template("deb/lintian-overrides")?, &overrides, 0o644)?;

    let control = root.join("DEBIAN");
    for script in ["postinst", "prerm", "postrm"] {
        tree::write(&package.template(&format!("deb/{script}"))?, &control.join(script), 0o755)?;
    }
    tree::write(&format!("/etc/postern/{}\n", package.program.config), &control.join("conffiles"), 0o644)?;
    tree::write(&sums(root)?, &control.join("md5sums"), 0o644)?;
    tree::write(&fields(package, &version, installed_kib(root)?), &control.join("control"), 0o644)?;
    let file = out.join(format!("{name}_{version}_amd64.deb"));
    let mut pack = Command::new("dpkg-deb");
    pack.env("SOURCE_DATE_EPOCH", said(Command::new("git").args(["log", "-1", "--format=%ct"]))?);
    // Large programs for debugging are not worth half a minute of compressing.
    let compression = if package.built.is_quick() { ["-Zgzip", "-z1"] } else { ["-Zxz", "-z6"] };
    steps::run(
        "Debian package",
        pack.args(["--root-owner-group", compression[0], compression[1], "--build"]).arg(root).arg(file),
    )
}

fn fields(package: &Package<'_>, version: &str, size: u64) -> String {
    let program = package.program;
    let mut text = format!(
        "Package: {}\nVersion: {version}\nArchitecture: amd64\nMaintainer: {MAINTAINER}\nInstalled-Size: {size}\n\
         Depends: libc6 (>= 2.17), init-system-helpers (>= 1.54), systemd\nRecommends: ca-certificates\n\
         Section: net\nPriority: optional\nDescription: {}\n",
        program.name, program.summary
    );
    for line in program.description {
        let _ = writeln!(text, " {line}");
    }
    text
}

/// The licence in the form that Debian reads.
fn copyright() -> Result<String> {
    let licence = fs::read_to_string(steps::workspace().join("LICENSE"))?;
    ensure!(licence.contains("Apache License"), "LICENSE is not the Apache License");
    Ok("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: Postern\n\n\
        Files: *\nCopyright: 2026 The Postern authors\nLicense: Apache-2.0\n\n\
        License: Apache-2.0\n On Debian systems, the text of the Apache License, Version 2.0, is in\n \
        /usr/share/common-licenses/Apache-2.0.\n"
        .to_owned())
}

/// MD5 sums of all files, as dpkg keeps them.
fn sums(root: &Path) -> Result<String> {
    let list = "find . -type f ! -path './DEBIAN/*' -printf '%P\\0' | sort -z | xargs -0 md5sum";
    Ok(format!("{}\n", said(Command::new("sh").args(["-c", list]).current_dir(root))?))
}

fn installed_kib(root: &Path) -> Result<u64> {
    let size = said(Command::new("du").args(["--summarize", "--apparent-size", "--block-size=1024"]).arg(root))?;
    size.split_whitespace().next().context("du printed nothing")?.parse().context("du printed no number")
}

/// What a command prints.
pub(super) fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
