//! Which setting an environment variable stands for.

use super::error::Error;
use super::path::{self, Step};

/// Arrays of tables are short; a larger number is a slip of the pen.
const MAX_INDEX: usize = 999;

/// One variable that overrides one setting.
#[derive(Debug)]
pub(super) struct Override {
    pub(super) name: String,
    pub(super) path: Vec<Step>,
    text: String,
}

impl Override {
    /// The path as the crate `config` writes it: `directory[0].bind_dn`.
    pub(super) fn expression(&self) -> String {
        path::expression(&self.path)
    }

    pub(super) fn value(&self) -> Result<config::Value, Error> {
        if !self.text.starts_with(['[', '{']) {
            return Ok(config::Value::from(self.text.as_str()));
        }
        // The value itself stays out of the error: it may be a secret.
        let document = format!("value = {}", self.text);
        let parsed = config::Config::builder()
            .add_source(config::File::from_str(&document, config::FileFormat::Toml))
            .build()
            .and_then(|parsed| parsed.get::<config::Value>("value"));
        parsed.map_err(|_| Error::Variable {
            variable: self.name.clone(),
            reason: "looks like a TOML array or table but is not one".to_owned(),
        })
    }
}

/// All variables that start with `PREFIX__`, in the order of their names.
pub(super) fn overrides(
    prefix: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Override>, Error> {
    let prefix = format!("{prefix}__");
    let mut found = Vec::new();
    for (name, text) in variables {
        if let Some(rest) = name.strip_prefix(&prefix) {
            let path = steps(rest).ok_or_else(|| Error::Variable {
                variable: name.clone(),
                reason: "does not name a setting; write two underscores between key and subkey".to_owned(),
            })?;
            found.push(Override { name, path, text });
        }
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

fn steps(rest: &str) -> Option<Vec<Step>> {
    let steps = rest.split("__").map(step).collect::<Option<Vec<_>>>()?;
    matches!(steps.first(), Some(Step::Key(_))).then_some(steps)
}

fn step(part: &str) -> Option<Step> {
    if let Ok(index) = part.parse::<usize>() {
        return (index <= MAX_INDEX).then_some(Step::Index(index));
    }
    let known = !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    known.then(|| Step::Key(part.to_ascii_lowercase()))
}
