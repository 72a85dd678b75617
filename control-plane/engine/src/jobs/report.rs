//! Reports for people about the result of a job: lines and tables that a surface prints or draws.

use postern_runtime::plain;
use serde_json::Value;

/// A part of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A line of text.
    Line(String),
    /// A table.
    Table {
        /// Names of the columns.
        head: Vec<&'static str>,
        /// A text for each column.
        rows: Vec<Vec<String>>,
    },
}

/// A report about a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The parts, from top to bottom.
    pub blocks: Vec<Block>,
}

impl Report {
    /// Adds a line.
    pub fn line(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Line(text.into()));
    }

    /// Adds a table.
    pub fn table(&mut self, head: &[&'static str], rows: impl IntoIterator<Item = Vec<String>>) {
        self.blocks.push(Block::Table { head: head.to_vec(), rows: rows.into_iter().collect() });
    }
}

/// A job that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Name of the directory.
    pub directory: &'a str,
    /// Its result. `null`: it has not succeeded.
    pub result: &'a Value,
    /// Its error. `null`: it has not failed.
    pub error: &'a Value,
}

/// Text from a directory or an agent, on one line, without characters that could control a terminal.
pub fn line(text: &str) -> String {
    plain::line(text).into_owned()
}

/// A row for each value of each attribute; the name is in the first.
pub fn attributes(attributes: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (name, values) in attributes.as_object().into_iter().flatten() {
        for (number, shown) in values.as_array().into_iter().flatten().enumerate() {
            rows.push(vec![if number == 0 { name.clone() } else { String::new() }, value(shown)]);
        }
    }
    rows
}

/// One value.
pub fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Object(binary) if binary.contains_key("base64") => {
            format!("(binary) {}", binary["base64"].as_str().unwrap_or_default())
        }
        other => other.to_string(),
    }
}
