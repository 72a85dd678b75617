//! The RPM package, by `rpmbuild` from files that are laid out already.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::tree::{self, Package};
use crate::steps;

/// Makes `NAME-VERSION-1.x86_64.rpm` in `out`.
pub(super) fn make(package: &Package<'_>, folder: &Path, out: &Path) -> Result<()> {
    let (name, root) = (package.program.name, folder.join("files"));
    package.lay_out(&root)?;
    // Where Fedora's zsh looks.
    let zsh = root.join("usr/share/zsh");
    fs::rename(zsh.join("vendor-completions"), zsh.join("site-functions"))?;
    let doc = root.join("usr/share/doc").join(name);
    tree::put(&package.documents.join("changelog.gz"), &doc.join("changelog.gz"), 0o644)?;
    tree::put(&package.documents.join("LICENSE"), &root.join("usr/share/licenses").join(name).join("LICENSE"), 0o644)?;
    let spec = folder.join(format!("{name}.spec"));
    let text = package.template("rpm/package.spec")?.replace("@VERSION@", package.version);
    let text = text.replace("@SUMMARY@", package.program.summary);
    tree::write(&text.replace("@DESCRIPTION@", &package.program.description.join("\n")), &spec, 0o644)?;
    let mut pack = Command::new("rpmbuild");
    pack.args(["-bb", "--quiet", "--target", "x86_64-linux", "--define"]).arg(format!("_topdir {}", folder.display()));
    pack.arg("--define").arg(format!("laid_out {}", root.display()));
    pack.arg("--define").arg(format!("_rpmdir {}", out.display()));
    pack.args([
        "--define",
        "_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
        "--define",
        "_buildhost localhost",
    ]);
    if package.built.is_quick() {
        pack.args(["--define", "_binary_payload w1.gzdio"]);
    }
    steps::run("RPM package (Debian package rpm)", pack.arg(spec))
}
