//! `cargo xtask package`: what is given to others, in `target/dist`. Everything that it needs beyond cargo is kept in the
//! cache of tools, or is a Debian package.

mod build;
mod deb;
mod documents;
mod out;
mod program;
mod rpm;
mod tarball;
mod tree;
pub(crate) mod windows;

use std::path::{Path, PathBuf};

use anyhow::Result;

use self::build::Build;
use self::program::PROGRAMS;
use crate::steps;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For which system.
    #[arg(value_enum, default_value_t = System::Linux)]
    system: System,
    /// Cargo's profile for the programs. `dist` is what is given away; `dev` is quick, to try the packages on this machine.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Version of the packages. Default: that of the workspace.
    #[arg(long)]
    version: Option<String>,
    /// Where to put them. Default: `dist` in cargo's target folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum System {
    /// Debian package, RPM package and tarball for x86-64.
    Linux,
    /// The agent as a program and as a package for Windows Installer, x86-64. Needs Debian or Ubuntu, and root the first time.
    Windows,
    /// Both.
    All,
}

/// Builds the packages of both programs, and a file with their checksums.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let out = arguments.out.clone().unwrap_or_else(|| steps::target().join("dist"));
    if arguments.system != System::Windows {
        linux(&arguments.profile, arguments.version.clone(), &out)?;
    }
    if arguments.system != System::Linux {
        windows::make(&arguments.profile, arguments.version.as_deref(), &out)?;
    }
    println!("{}", out.display());
    Ok(())
}

/// The packages for Linux, built with this profile, in the folder `out`, which is emptied first.
pub(crate) fn linux(profile: &str, version: Option<String>, out: &Path) -> Result<()> {
    let built = Build::make(profile)?;
    let version = version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let work = steps::target().join("packaging");
    out::fresh(out)?;
    out::fresh(&work)?;
    for program in &PROGRAMS {
        let documents = work.join(program.name).join("documents");
        documents::write(&built, program, &documents)?;
        let package = tree::Package { program, built: &built, documents: &documents, version: &version };
        deb::make(&package, &work.join(program.name).join("deb"), out)?;
        rpm::make(&package, &work.join(program.name).join("rpm"), out)?;
        tarball::make(&package, &work.join(program.name).join("tarball"), out)?;
    }
    out::checksums(out)
}
