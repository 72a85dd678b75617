//! What both programs ask of their memory allocator, so that the memory of an import goes back to the system. How much
//! that is, `cargo xtask bench import` shows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use postern_tests::scenario;
use postern_tests::site::{DIRECTORY, Site};

const TUNABLES: &str = "GLIBC_TUNABLES";

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
fn both_programs_load_themselves_with_the_allocators_setting_unless_there_is_another() -> Result<()> {
    scenario(async |stage| {
        // It runs and imports: the process that was started is still the one that works.
        let mut site = Site::start(stage, 20).await?;
        for (pid, name) in
            [(site.agent.process()?.pid(), "postern-agent"), (site.control_plane.process()?.pid(), "postern")]
        {
            let (environment, program) = loaded_with(pid)?;
            let setting = environment.get(TUNABLES).with_context(|| format!("{name}: the allocator was not set up"))?;
            ensure!(setting == "glibc.malloc.tcache_count=0", "{name}: {setting}");
            ensure!(program.ends_with(name), "{}", program.display());
        }

        // As it finds itself the second time where glibc takes the setting away, from a program with file capabilities.
        site.agent.set_env("POSTERN_BEGUN_ANEW", "1");
        site.agent.restart(stage).await?;
        site.api.import(DIRECTORY).await?;
        let (environment, _) = loaded_with(site.agent.process()?.pid())?;
        ensure!(!environment.contains_key(TUNABLES), "it began anew for ever: {environment:?}");

        site.agent.set_env(TUNABLES, "glibc.malloc.arena_max=1");
        site.agent.restart(stage).await?;
        site.api.import(DIRECTORY).await?;
        let (environment, _) = loaded_with(site.agent.process()?.pid())?;
        ensure!(environment.get(TUNABLES).map(String::as_str) == Some("glibc.malloc.arena_max=1"), "{environment:?}");
        Ok(())
    })
}
