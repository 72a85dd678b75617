//! Runs a tutorial of docs/ as its reader would: makes its files, runs its commands in order, and compares what they print
//! with what the tutorial shows.
//!
//! A block with `sh` is run. A block with `text` after it is what it prints: each of its lines must come, in this order, with any
//! blanks between its words, and `…` standing for any text. A block with a language and a name, like `csv staff.csv`, is a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::Launch;

/// A tutorial, read.
#[derive(Debug)]
pub struct Tutorial {
    /// The files that it shows, by name.
    pub files: BTreeMap<String, String>,
    steps: Vec<Step>,
}

#[derive(Debug, Default)]
struct Step {
    commands: String,
    shown: Vec<String>,
}

impl Tutorial {
    /// Reads a tutorial of `docs/`.
    pub fn read(name: &str) -> Result<Self> {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let text = fs::read_to_string(docs.join(name)).with_context(|| format!("cannot read docs/{name}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let (mut files, mut steps) = (BTreeMap::new(), Vec::<Step>::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(kind) = line.strip_prefix("```") else { continue };
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match kind.split_once(' ') {
                Some((_, name)) => {
                    files.insert(name.to_owned(), block.join("\n") + "\n");
                }
                None if kind == "sh" => steps.push(Step { commands: block.join("\n"), shown: Vec::new() }),
                None if kind == "text" => {
                    let step = steps.last_mut().context("what is shown follows no commands")?;
                    step.shown = block.iter().map(|line| (*line).to_owned()).collect();
                }
                None => bail!("a block is neither commands, nor their output, nor a file: {kind:?}"),
            }
        }
        ensure!(!steps.is_empty(), "no commands");
        Ok(Self { files, steps })
    }

    /// How many command lines it has.
    pub fn commands(&self) -> usize {
        self.steps.iter().flat_map(|step| step.commands.lines()).filter(|line| !line.starts_with(' ')).count()
    }

    /// Runs all of it in `folder`, in shells that `prepare` gives their environment.
    pub async fn run(&self, folder: &Path, prepare: impl Fn(Launch) -> Launch) -> Result<()> {
        for (name, content) in &self.files {
            fs::write(folder.join(name), content)?;
        }
        for step in &self.steps {
            let script = format!("cd '{}'\n{}", folder.display(), step.commands);
            let shell = prepare(Launch::new("tutorial", "/bin/bash")).args(["-euo", "pipefail", "-c", &script]);
            let output = shell.output().await?;
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            ensure!(output.status.success(), "{} with:\n{}\n{said}", output.status, step.commands);
            let mut rest = said.lines();
            for shown in &step.shown {
                let comes = rest.any(|line| matches(shown, line));
                ensure!(
                    comes,
                    "{}\ndoes not print, where the tutorial shows it:\n{shown}\nbut:\n{said}",
                    step.commands
                );
            }
        }
        Ok(())
    }
}

/// Whether a line is what is shown.
fn matches(shown: &str, line: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, line) = (words(shown), words(line));
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_matches_whatever_its_blanks_and_where_anything_may_stand() {
        assert!(matches("ada  …  active", "ada   0199-77   active "));
        assert!(matches("… created", "2 created"));
        assert!(!matches("ada … active", "ada 0199 inactive now"));
        assert!(!matches("ada", "ada lovelace"));
        assert!(!matches("a … b", "b a"));
    }

    #[test]
    fn blocks_are_files_commands_and_what_they_print() -> Result<()> {
        let text = "# T\n```csv a.csv\nx,y\n```\nThen\n```sh\ntrue\necho 1 \\\n  2\n```\n```text\n1 2\n```\n";
        let tutorial = Tutorial::parse(text)?;
        assert_eq!(tutorial.files["a.csv"], "x,y\n");
        assert_eq!((tutorial.commands(), tutorial.steps[0].shown.as_slice()), (2, &["1 2".to_owned()][..]));
        assert!(Tutorial::parse("```\nx\n```\n").is_err());
        Ok(())
    }
}
