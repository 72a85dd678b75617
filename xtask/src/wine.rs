//! `cargo xtask test windows`: the agent for Windows and its package under Wine, against a control plane and an OpenLDAP on this
//! machine. What Wine cannot show is in `docs/windows-manual-checks.md`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::package::windows;
use crate::steps;

/// What this needs here besides a build for Windows: a file and its Debian package.
const NEEDED: [(&str, &str); 4] =
    [(WINE, "wine64"), ("/usr/bin/wineboot", "wine"), ("/usr/sbin/slapd", "slapd"), ("/usr/sbin/ip", "iproute2")];
const WINE: &str = "/usr/lib/wine/wine64";
/// A version above every other, to upgrade to. Windows Installer counts to 255.
const NEXT: &str = "99.0.0";

/// Builds the program and two packages, and runs the unit tests of what is Windows' own, and `installer/windows/test/life.sh`.
pub(crate) fn test(profile: &str) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "namespaces are made: run this as root");
    steps::ensure_packages("installing Wine and slapd", &NEEDED)?;
    let mut build = steps::cargo();
    steps::run("building the control plane", build.args(["build", "--workspace", "--bins"]))?;
    let agent = windows::program(profile)?;
    let folder = steps::target().join("windows-test");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let (first, next) = (folder.join("first.msi"), folder.join("next.msi"));
    windows::msi(&agent, env!("CARGO_PKG_VERSION"), &first)?;
    windows::msi(&agent, NEXT, &next)?;

    // Wine makes ACLs of modes, and cannot take from everybody what a folder has given to everybody.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let prefix = prefix(&folder)?;
    let mut units = windows::cargo_for(profile, "test")?;
    units.args(["--lib", "-p", "postern-platform"]).env("WINEPREFIX", &prefix).env("WINEDEBUG", "-all");
    units.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", WINE);
    steps::run("testing what is Windows' own", &mut units)?;

    let script = steps::workspace().join("installer/windows/test/life.sh");
    let mut life = Command::new("unshare");
    life.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]).arg(script);
    life.arg(steps::built("dev").join("postern")).arg(&agent).args([&first, &next, &folder]);
    steps::run("the life of the agent on Windows", life.env("WINEPREFIX", &prefix))
}

/// A Windows of its own, with the library that Wine 8 lacks.
fn prefix(folder: &Path) -> Result<PathBuf> {
    let prefix = folder.join("wine");
    let mut boot = Command::new(WINE);
    boot.args(["wineboot", "--init"]).env("WINEPREFIX", &prefix).env("WINEDEBUG", "-all");
    steps::quietly(&mut boot)?;
    let mut compile = Command::new("x86_64-w64-mingw32-gcc");
    compile.args(["-shared", "-O2", "-o"]).arg(prefix.join("drive_c/windows/system32/bcryptprimitives.dll"));
    compile.arg(steps::workspace().join("installer/windows/test/prng.c")).arg(OsStr::new("-ladvapi32"));
    steps::quietly(&mut compile)?;
    Ok(prefix)
}
