//! A small disk of its own for a program, to be filled: a tmpfs, mounted as root or through sudo.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::stage::Stage;

/// A mounted file system of fixed size; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts a disk of this many KiB, which belongs to the user of this process.
    pub fn mount(stage: &Stage, kilobytes: u32) -> Result<Self> {
        let folder = stage.folder("disk")?;
        let owner = format!("size={kilobytes}k,mode=700,uid={}", rustix::process::getuid().as_raw());
        let status = elevated("mount").args(["-t", "tmpfs", "-o", &owner, "tmpfs"]).arg(&folder).status()?;
        ensure!(status.success(), "cannot mount a tmpfs, which takes root or sudo without a password");
        Ok(Self { folder })
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fills it to the last byte but `leave` KiB.
    pub fn fill(&self, leave: u64) -> Result<()> {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.ballast()).context("cannot create the ballast")?;
        let block = vec![0xa5; 1024];
        while file.write_all(&block).is_ok() {}
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(leave * 1024)).context("cannot shorten the ballast")
    }

    /// Frees what [`SmallDisk::fill`] has taken.
    pub fn free(&self) -> Result<()> {
        std::fs::remove_file(self.ballast()).context("cannot remove the ballast")
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the process that uses it may be killed only a moment later.
        elevated("umount").arg("-l").arg(&self.folder).status().ok();
    }
}

fn elevated(program: &str) -> Command {
    if rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    sudo
}
