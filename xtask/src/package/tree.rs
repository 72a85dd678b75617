//! The files of a package, as they lie on the machine that it is installed on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::build::Build;
use super::program::Program;
use crate::steps;

/// What a package is made of.
pub(super) struct Package<'a> {
    pub(super) program: &'a Program,
    pub(super) built: &'a Build,
    /// What `documents` has written.
    pub(super) documents: &'a Path,
    pub(super) version: &'a str,
}

impl Package<'_> {
    /// A file of `installer/linux`, with the names of this program in it.
    pub(super) fn template(&self, path: &str) -> Result<String> {
        let path = sources().join(path);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let Program { name, config, purge, next, .. } = self.program;
        Ok(text.replace("@NAME@", name).replace("@CONFIG@", config).replace("@PURGE@", purge).replace("@NEXT@", next))
    }

    /// A file of the program's own folder in `installer/linux`.
    pub(super) fn source(&self, file: &str) -> PathBuf {
        sources().join(self.program.folder).join(file)
    }

    /// Lays everything out below `root`, except what is each packager's own.
    pub(super) fn lay_out(&self, root: &Path) -> Result<()> {
        let name = self.program.name;
        let put = |from: &Path, to: &str| put(from, &root.join(to), 0o644);
        put_program(&self.built.program(name)?, &root.join("usr/bin").join(name))?;
        put(&self.source(self.program.config), &format!("etc/postern/{}", self.program.config))?;
        put(&self.source(&format!("{name}.service")), &format!("usr/lib/systemd/system/{name}.service"))?;
        put(&self.source("sysusers.conf"), &format!("usr/lib/sysusers.d/{name}.conf"))?;
        put(&self.source("tmpfiles.conf"), &format!("usr/lib/tmpfiles.d/{name}.conf"))?;
        let completions = self.documents.join("completions");
        put(&completions.join(format!("{name}.bash")), &format!("usr/share/bash-completion/completions/{name}"))?;
        put(&completions.join(format!("_{name}")), &format!("usr/share/zsh/vendor-completions/_{name}"))?;
        put(&completions.join(format!("{name}.fish")), &format!("usr/share/fish/vendor_completions.d/{name}.fish"))?;
        for page in fs::read_dir(self.documents.join("man"))? {
            let page = page?;
            put(&page.path(), &format!("usr/share/man/man1/{}", page.file_name().display()))?;
        }
        Ok(())
    }
}

fn sources() -> PathBuf {
    steps::workspace().join("installer/linux")
}

/// Copies a file to a path whose folders are made, with this mode whatever the umask is.
pub(super) fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_folders(to)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

/// Writes a file likewise.
pub(super) fn write(text: &str, to: &Path, mode: u32) -> Result<()> {
    make_folders(to)?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

/// The program without what only a debugger reads.
pub(super) fn put_program(from: &Path, to: &Path) -> Result<()> {
    put(from, to, 0o755)?;
    let mut strip = std::process::Command::new("strip");
    steps::run("strip", strip.args(["--strip-all", "--remove-section=.comment"]).arg(to))
}

fn make_folders(file: &Path) -> Result<()> {
    let folder = file.parent().context("a file is in a folder")?;
    let mut missing = folder;
    while !missing.exists() {
        missing = missing.parent().context("some folder is there")?;
    }
    let first = missing.to_owned();
    fs::create_dir_all(folder)?;
    let made = folder.ancestors().take_while(|above| *above != first);
    for above in made {
        fs::set_permissions(above, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
