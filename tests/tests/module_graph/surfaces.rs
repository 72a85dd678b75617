//! The surfaces know the services, and not the store: who may do what is checked in one place, whichever way one comes.

use std::fs;

use anyhow::{Result, ensure};

use super::identity::files;
use super::workspace;

/// Without what stands below `#[cfg(test)]`, which is at the end of a file.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

#[test]
fn no_surface_names_the_store() -> Result<()> {
    let source = workspace().join("control-plane/src");
    let mut looked_at = 0;
    for surface in ["api", "cli"] {
        for file in files(&source.join(surface))? {
            let is_test = file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs");
            if is_test || file.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            looked_at += 1;
            let text = fs::read_to_string(&file)?;
            ensure!(!without_tests(&text).contains("postern_store"), "{} names the store", file.display());
        }
    }
    ensure!(looked_at > 40, "only {looked_at} files were looked at");
    Ok(())
}
