//! What the services say to their memory allocator, so that the memory of an import goes back to the system: the unit
//! files say it, and the programs stay as they were started. `cargo xtask bench import` shows how much memory that is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use postern_tests::process::ALLOCATOR;
use postern_tests::scenario;
use postern_tests::site::{DIRECTORY, Site};

/// The environment and the program that a process was loaded with.
fn loaded_with(pid: u32) -> Result<(BTreeMap<String, String>, PathBuf)> {
    let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
    let pair = |entry: &[u8]| {
        let entry = String::from_utf8_lossy(entry).into_owned();
        entry.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let environment = environment.split(|byte| *byte == 0).filter_map(pair).collect();
    Ok((environment, std::fs::read_link(format!("/proc/{pid}/exe"))?))
}

#[test]
fn the_unit_files_set_the_allocator_up() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../installer/linux");
    let line = format!("Environment={}={}", ALLOCATOR.0, ALLOCATOR.1);
    for unit in ["agent/postern-agent.service", "control-plane/postern.service"] {
        let text = std::fs::read_to_string(folder.join(unit))?;
        ensure!(text.lines().any(|written| written == line), "no {line} in {unit}");
    }
    Ok(())
}

#[test]
fn a_program_runs_with_the_environment_that_it_was_started_with() -> Result<()> {
    scenario(async |stage| {
        let (name, value) = ALLOCATOR;
        let mut site = Site::start(stage, 20).await?;
        for (pid, program) in
            [(site.agent.process()?.pid(), "postern-agent"), (site.control_plane.process()?.pid(), "postern")]
        {
            let (environment, loaded) = loaded_with(pid)?;
            ensure!(environment.get(name).is_some_and(|set| set == value), "{program}: {environment:?}");
            ensure!(loaded.ends_with(program), "{}", loaded.display());
        }

        // Without the setting it runs too, and does not start itself again to get it.
        site.agent.clear_env();
        site.agent.restart(stage).await?;
        site.api.import(DIRECTORY).await?;
        let (environment, _) = loaded_with(site.agent.process()?.pid())?;
        ensure!(!environment.contains_key(name), "{environment:?}");
        Ok(())
    })
}
