//! Where the built programs are. The harness never builds: `cargo xtask test` does, before it starts the tests.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The two programs of the product.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The control plane and its command line.
    pub postern: PathBuf,
    /// The agent.
    pub agent: PathBuf,
}

impl Binaries {
    /// Those that cargo built with the same profile as the running test.
    pub fn beside_this_program() -> Result<Self> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let folder = program.parent().context("this program is in no folder")?;
        // Tests are in `deps` below the folder of the programs.
        let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
        Self::in_folder(folder)
    }

    /// Those of a folder, `target/release` for example.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let binaries = Self { postern: folder.join("postern"), agent: folder.join("postern-agent") };
        for program in [&binaries.postern, &binaries.agent] {
            ensure!(
                program.exists(),
                "{} is not built; run the tests by `cargo xtask test`, or build it with `cargo build --workspace --bins`",
                program.display()
            );
        }
        Ok(binaries)
    }
}
