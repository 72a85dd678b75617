//! No circles between the modules of a crate: who reads one module must not need to read another one first that needs it.
//!
//! The rule. An arrow goes from a module to another one that it names: in a `use`, or in a path in its code. A name that
//! a module only passes on (`pub use`) leads to where it is defined, and passing it on is no arrow. `mod child;` is no
//! arrow either. So a parent may use its children, or children may use what their parent defines; not both. A method that
//! a child adds to its parent's type is not seen: the parent may call it. Code of tests does not count.

mod dependencies;
mod graph;
mod identity;
mod scan;
mod surfaces;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// The crates of the workspace.
const CRATES: &[&str] = &[
    "agent",
    "control-plane",
    "control-plane/engine",
    "control-plane/store",
    "directory",
    "directory/dn",
    "proto",
    "runtime",
    "runtime/platform",
    "tests",
    "xtask",
];

/// Arrows that close circles today: crate, from, to; `x::*` is x with all below it. Take out what you cut. Nothing may
/// be added.
const NOT_YET: &[(&str, &str, &str)] = &[];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Whether an entry of the list means this arrow.
fn means((_, from, to): &(&str, &str, &str), arrow: (&str, &str)) -> bool {
    let fits = |wanted: &str, module: &str| match wanted.strip_suffix('*') {
        Some(folder) => module.starts_with(folder) || module == folder.trim_end_matches(':'),
        None => module == wanted,
    };
    fits(from, arrow.0) && fits(to, arrow.1)
}

#[test]
fn there_is_no_circle_between_the_modules_of_any_crate() -> Result<()> {
    let mut circles = Vec::new();
    for name in CRATES {
        let graph = scan::of(&workspace().join(name).join("src"))?;
        let listed: Vec<_> = NOT_YET.iter().filter(|(of, ..)| of == name).collect();
        let kept = graph.without(|from, to| listed.iter().any(|entry| means(entry, (from, to)))).circles();
        if kept.is_empty() {
            for entry in &listed {
                let others = |from: &str, to: &str| {
                    !means(entry, (from, to)) && listed.iter().any(|other| means(other, (from, to)))
                };
                let closes = !graph.without(others).circles().is_empty();
                ensure!(closes, "{entry:?} closes no circle any more: take it out of NOT_YET");
            }
        }
        circles.extend(kept.into_iter().map(|circle| format!("{name}:\n{circle}")));
    }
    ensure!(circles.is_empty(), "circles between modules:\n\n{}", circles.join("\n"));
    Ok(())
}

#[test]
fn released_programs_are_built_without_what_is_for_tests() -> Result<()> {
    let readme = std::fs::read_to_string(workspace().join("README.md"))?;
    let packages = ["-p", "postern-control-plane", "-p", "postern-agent"];
    let build = format!("cargo build --profile dist {}", packages.join(" "));
    // The whole workspace at once would be built with the features that its tests ask for.
    ensure!(readme.contains(&build), "README.md does not build with: {build}");
    let tree = tree(&packages)?;
    ensure!(tree.contains("postern-agent"), "{tree}");
    let tested = tree.lines().find(|line| line.contains("testing") && line.contains("postern"));
    ensure!(tested.is_none(), "{tested:?}");
    Ok(())
}

#[test]
fn the_control_plane_is_built_without_ldap() -> Result<()> {
    let tree = tree(&["-p", "postern-control-plane"])?;
    ensure!(tree.contains("postern-engine") && tree.contains("postern-dn"), "{tree}");
    // A change there would otherwise build the engine anew.
    for other in ["ldap3", "postern-directory ", "postern-agent"] {
        ensure!(!tree.contains(other), "{other}: {tree}");
    }
    Ok(())
}

/// What released programs of these packages are built of.
fn tree(packages: &[&str]) -> Result<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--offline", "--locked", "-e", "normal", "-f", "{p} [{f}]"]).args(packages);
    let output = tree.current_dir(workspace()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
