//! Identity knows neither the wire nor imports: applications and forms map by the same rules.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::{scan, workspace};

pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[test]
fn identity_names_neither_the_wire_nor_any_other_module_of_the_engine() -> Result<()> {
    let source = workspace().join("control-plane/engine/src");
    let mut files = files(&source.join("identity"))?;
    files.push(source.join("identity.rs"));
    ensure!(files.len() > 5, "identity has more files than {files:?}");
    for file in files {
        ensure!(!fs::read_to_string(&file)?.contains("postern_proto"), "{} names the wire", file.display());
    }
    let graph = scan::of(&source)?;
    let of_identity = |module: &str| module == "crate::identity" || module.starts_with("crate::identity::");
    ensure!(graph.arrows().any(|(from, ..)| of_identity(from)), "no module of identity names another one");
    let outward: Vec<_> = graph.arrows().filter(|(from, to, _)| of_identity(from) && !of_identity(to)).collect();
    ensure!(outward.is_empty(), "identity names other modules: {outward:?}");
    Ok(())
}
