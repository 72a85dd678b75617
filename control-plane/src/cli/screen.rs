//! What a command prints: tables for people, JSON for scripts.

use std::io::{ErrorKind, Write};

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use super::error::Error;

/// A list in JSON.
#[derive(Serialize)]
struct Items<'a, T> {
    items: &'a [T],
}

/// Where output goes.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    json: bool,
}

impl Screen {
    pub(super) fn new(out: Box<dyn Write + Send>, json: bool) -> Self {
        Self { out, json }
    }

    /// Whether JSON is wanted.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line for people.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Error> {
        self.raw(&format!("{}\n", text.as_ref()))
    }

    /// Prints text as it is.
    pub(super) fn raw(&mut self, text: &str) -> Result<(), Error> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|source| match source.kind() {
            ErrorKind::BrokenPipe => Error::OutputClosed,
            _ => Error::Io { what: "writing the output", source },
        })
    }

    /// Prints JSON, for scripts.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(text)
    }

    /// Prints a list: JSON as `{"items": […]}`, or a table.
    pub(super) fn list<T: Serialize>(
        &mut self,
        items: &[T],
        head: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Error> {
        if self.json {
            return self.json(&Items { items });
        }
        if items.is_empty() {
            return self.line("(none)");
        }
        self.table(head, items.iter().map(row))
    }

    /// Prints a table.
    pub(super) fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Error> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(head.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| plain(cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        self.line(text.join("\n"))
    }

    /// Prints one thing: JSON, or a line a field.
    pub(super) fn fields<T: Serialize>(&mut self, value: &T, fields: &[(&str, String)]) -> Result<(), Error> {
        if self.json {
            return self.json(value);
        }
        let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        for (name, text) in fields {
            self.line(format!("{name:width$}  {}", plain(text)))?;
        }
        Ok(())
    }
}

/// Text of a directory or another machine on a terminal: without the control characters that could drive it.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}

/// A time, to the second.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A time that may not be.
pub(super) fn time_or(at: Option<Timestamp>, never: &str) -> String {
    at.map_or_else(|| never.to_owned(), time)
}

/// A text that may not be.
pub(super) fn text_or(text: Option<&str>, none: &str) -> String {
    text.unwrap_or(none).to_owned()
}

/// A value of an enum by its name in JSON.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_cannot_drive_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\n"), "a\u{FFFD}[2Jb\u{FFFD}\u{FFFD}");
        assert_eq!(plain("Jürgen 山田"), "Jürgen 山田");
    }
}
