//! `cargo xtask docs`: the references in docs/ that the programs themselves print.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::steps;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail when a file is not what the code produces.
    #[arg(long)]
    check: bool,
}

/// A program and what to call it with.
type Source = (&'static str, &'static [&'static str]);

/// File, and the programs and what to call it with. A file with several rows gets their outputs one after the other.
const REFERENCES: [(&str, &[Source]); 4] = [
    ("docs/openapi.json", &[("postern", &["docs", "openapi"])]),
    ("docs/cli.md", &[("postern", &["docs", "cli"]), ("postern-agent", &["docs", "cli"])]),
    (
        "docs/troubleshooting.md",
        &[("postern", &["docs", "troubleshooting"]), ("postern-agent", &["docs", "troubleshooting"])],
    ),
    ("docs/configuration.md", &[("postern", &["docs", "config"]), ("postern-agent", &["docs", "config"])]),
];

/// Writes or checks all references.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // As for the tests: with other features all would be built once more.
    steps::run("building", steps::cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
    let mut stale = Vec::new();
    for (file, sources) in REFERENCES {
        let wanted = sources.iter().map(|(program, words)| printed(program, words)).collect::<Result<Vec<_>, _>>()?;
        let wanted = wanted.join("\n");
        let path = steps::workspace().join(file);
        if fs::read_to_string(&path).ok().as_deref() == Some(&wanted) {
            continue;
        }
        if arguments.check {
            stale.push(file);
        } else {
            fs::write(&path, wanted).with_context(|| format!("cannot write {file}"))?;
            println!("  {file} written");
        }
    }
    if !stale.is_empty() {
        bail!("not what the code produces: {}; run `cargo xtask docs` and commit the result", stale.join(", "));
    }
    Ok(())
}

fn printed(program: &str, words: &[&str]) -> anyhow::Result<String> {
    let path: &Path = &steps::built("dev").join(program);
    let output = Command::new(path).args(words).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} {} printed no text", words.join(" ")))
}
