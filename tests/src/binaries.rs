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
        for program in [&binaries.postern, &binaries.agent] {
            ensure!(program.exists(), "{} is not built; {BUILD}", program.display());
            let built = program.metadata()?.modified()?;
            for source in sources(program)? {
                if let Some(source) = changed_since(&source, built)? {
                    bail!("{} is older than {}; {BUILD}", program.display(), source.display());
                }
            }
        }
        Ok(binaries)
    }
}

const BUILD: &str = "choose the tests by a filter (`cargo nextest run --workspace -E 'test(NAME)'`), so that cargo builds the programs too";

/// What a program was built from, as cargo wrote it beside the program: files, and folders that a build script reads.
fn sources(program: &Path) -> Result<Vec<PathBuf>> {
    let list = program.with_extension("d");
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let (_, sources) = text.split_once(": ").with_context(|| format!("{} names no sources", list.display()))?;
    // A space within a path is written as `\ `.
    let sources = sources.trim().replace("\\ ", "\0");
    Ok(sources.split(' ').map(|path| PathBuf::from(path.replace('\0', " "))).collect())
}

/// The path, or what is below it, if it is newer than this. Tests of programs that are older than their sources would lie.
fn changed_since(path: &Path, built: SystemTime) -> Result<Option<PathBuf>> {
    let Ok(metadata) = path.metadata() else {
        return Ok(Some(path.to_owned()));
    };
    if !metadata.is_dir() {
        return Ok((metadata.modified()? > built).then(|| path.to_owned()));
    }
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        if let Some(found) = changed_since(&entry?.path(), built)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_program_is_stale_when_one_of_its_sources_is_newer_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("proto/deep")).unwrap();
        for file in ["a b.rs", "proto/deep/b.proto", "of_tests.rs", "postern", "postern-agent"] {
            fs::write(at(file), "").unwrap();
        }
        let rule = format!("{}: {} {}\n", at("x").display(), at("a\\ b.rs").display(), at("proto").display());
        for list in ["postern.d", "postern-agent.d"] {
            fs::write(at(list), &rule).unwrap();
        }
        let set = |file: &str, minutes: u64| {
            let file = fs::File::options().write(true).open(at(file)).unwrap();
            file.set_modified(SystemTime::now() + Duration::from_mins(minutes)).unwrap();
        };
        let stale = || Binaries::in_folder(folder.path()).err().map(|error| error.to_string());
        set("postern", 1);
        set("postern-agent", 1);
        set("of_tests.rs", 5);
        assert_eq!(stale(), None, "what only tests read is no part of a program");
        set("proto/deep/b.proto", 5);
        assert!(stale().unwrap().contains("is older than"), "{:?}", stale());
        set("proto/deep/b.proto", 0);
        set("a b.rs", 5);
        assert!(stale().unwrap().contains("a b.rs; choose the tests by"), "{:?}", stale());
        fs::remove_file(at("a b.rs")).unwrap();
        assert!(stale().unwrap().contains("a b.rs; choose the tests by"), "{:?}", stale());
    }
}
