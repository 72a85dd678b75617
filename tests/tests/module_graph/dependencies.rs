//! The workspace offers its crates no dependency that none of them uses. `cargo machete` looks at each crate.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{CRATES, workspace};

#[test]
fn every_dependency_of_the_workspace_is_used_by_a_crate() -> Result<()> {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml"))?;
    let table = manifest.split("[workspace.dependencies]\n").nth(1).context("the workspace has dependencies")?;
    let table = table.split("\n[").next().unwrap_or_default();
    let offered: Vec<&str> = table.lines().filter_map(|line| Some(line.split_once(" = ")?.0.trim())).collect();
    ensure!(offered.len() > 30, "there are more dependencies than {offered:?}");
    let mut used = String::new();
    for name in CRATES.iter().chain(&["xtask"]) {
        used.push_str(&fs::read_to_string(workspace().join(name).join("Cargo.toml"))?);
    }
    let is_used = |name: &&&str| {
        used.contains(&format!("\n{name}.workspace")) || used.contains(&format!("\n{name} = {{ workspace"))
    };
    let unused: Vec<&&str> = offered.iter().filter(|name| !is_used(name)).collect();
    ensure!(unused.is_empty(), "no crate uses {unused:?}");
    Ok(())
}
