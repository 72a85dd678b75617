//! Where the built programs are. The harness never builds: cargo does, where a run includes the tests of their packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};

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
        let program = std::env::current_exe().context("cannot find this program's path")?;
        let folder = program.parent().context("this program is in no folder")?;
        // Tests are in `deps` below the folder of the programs.
        let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
        Self::in_folder(folder)
    }

    /// Those of a folder, `target/release` for example.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let binaries = Self { postern: folder.join("postern"), agent: folder.join("postern-agent") };
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the harness is in no workspace")?;
        for (program, rooms) in [(&binaries.postern, POSTERN), (&binaries.agent, AGENT)] {
            ensure!(program.exists(), "{} is not built; {BUILD}", program.display());
            let built = program.metadata()?.modified()?;
            for room in rooms {
                let changed = changed_since(&workspace.join(room), built)?;
                if let Some(source) = changed {
                    bail!("{} is older than {}; {BUILD}", program.display(), source.display());
                }
            }
        }
        Ok(binaries)
    }
}

const BUILD: &str = "choose the tests by a filter (`cargo nextest run --workspace -E 'test(NAME)'`), so that cargo builds the programs too";

/// What each program is built from.
const POSTERN: &[&str] = &[
    "proto",
    "runtime",
    "directory/dn",
    "control-plane/src",
    "control-plane/engine/src",
    "control-plane/store/src",
    "control-plane/store/migrations",
];
const AGENT: &[&str] = &["proto", "runtime", "directory", "agent/src"];

/// A source file of a folder that is newer than this. Tests of programs that are older than their sources would lie.
fn changed_since(folder: &Path, built: SystemTime) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        // What only tests read is no part of a program, and cargo leaves the program as it is.
        if name == "tests" || name == "tests.rs" || path.ends_with("store/src/plans.rs") {
            continue;
        }
        if path.is_dir() {
            if let Some(found) = changed_since(&path, built)? {
                return Ok(Some(found));
            }
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "proto" || kind == "sql")
            && path.metadata()?.modified()? > built
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_program_is_stale_when_one_of_its_sources_is_newer() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("deep");
        fs::create_dir_all(deep.join("tests")).unwrap();
        for file in ["a.rs", "deep/b.sql", "deep/tests/c.rs", "notes.md"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let now = SystemTime::now();
        assert_eq!(changed_since(folder.path(), now + Duration::from_mins(1)).unwrap(), None);
        let of = |file: &str| fs::File::options().write(true).open(folder.path().join(file)).unwrap();
        for later in ["deep/tests/c.rs", "notes.md"] {
            of(later).set_modified(now + Duration::from_mins(5)).unwrap();
        }
        assert_eq!(changed_since(folder.path(), now + Duration::from_mins(1)).unwrap(), None, "they are no part of it");
        of("deep/b.sql").set_modified(now + Duration::from_mins(5)).unwrap();
        assert_eq!(changed_since(folder.path(), now + Duration::from_mins(1)).unwrap(), Some(deep.join("b.sql")));
    }
}
