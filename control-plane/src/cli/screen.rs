//! The output of a command: tables for people, JSON for scripts.

use std::io::{ErrorKind, Write};

use jiff::Timestamp;
use postern_runtime::plain;
use serde::Serialize;

use super::error::Error;
use super::list::{Found, ListArgs};
use super::table;

/// Most characters in a cell of a table.
const MAX_CELL_CHARS: usize = 120;

/// A colour of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Red,
    Green,
}

/// The destination of output.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    json: bool,
    /// Width of the terminal in characters. `None`: it is not a terminal.
    width: Option<u16>,
}

impl Screen {
    pub(super) fn new(out: Box<dyn Write + Send>, json: bool) -> Self {
        Self { out, json, width: None }
    }

    /// A screen of this width.
    pub(super) fn of_width(self, width: Option<u16>) -> Self {
        Self { width, ..self }
    }

    /// Whether JSON is wanted.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line for people.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Error> {
        self.raw(&format!("{}\n", plain::lines(text.as_ref())))
    }

    /// Prints a line for people, on a terminal in this colour.
    pub(super) fn colored(&mut self, colour: Colour, text: &str) -> Result<(), Error> {
        if self.width.is_none() || std::env::var_os("NO_COLOR").is_some() {
            return self.line(text);
        }
        let code = match colour {
            Colour::Red => 31,
            Colour::Green => 32,
        };
        self.raw(&format!("\u{1b}[{code}m{}\u{1b}[0m\n", plain(text)))
    }

    /// Prints text as it is.
    pub(super) fn raw(&mut self, text: &str) -> Result<(), Error> {
        self.written(text.as_bytes())
    }

    fn written(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        written.map_err(|source| match source.kind() {
            ErrorKind::BrokenPipe => Error::OutputClosed,
            _ => Error::Io { what: "writing the output", source },
        })
    }

    /// Prints part of a file as it is; to a terminal, without what could drive it.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self.width {
            Some(_) => self.raw(&plain::lines(&String::from_utf8_lossy(bytes))),
            None => self.written(bytes),
        }
    }

    /// Prints JSON, for scripts.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value)?;
        self.raw(&format!("{}\n", plain::json(&text)))
    }

    /// Prints a list: JSON as `{"items": […], …}`, or a table. A note about items left out goes to standard error.
    pub(super) fn list<T: Serialize>(
        &mut self,
        found: &Found<T>,
        args: &ListArgs,
        head: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Error> {
        let columns = args.columns(head)?;
        if self.json {
            self.json(found)?;
        } else if found.items.is_empty() {
            self.line("(none)")?;
        } else {
            let head: Vec<&str> = columns.iter().map(|column| head[*column]).collect();
            let row = |item: &T| {
                let cells = row(item);
                columns.iter().filter_map(|column| cells.get(*column).cloned()).collect()
            };
            self.table(&head, found.items.iter().map(row))?;
        }
        if let Some(rest) = found.rest() {
            note(rest);
        }
        Ok(())
    }

    /// Prints a table.
    pub(super) fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Error> {
        let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.iter().map(|cell| short(cell)).collect()).collect();
        self.line(table::lines(head, &rows, self.width).join("\n"))
    }

    /// Prints one resource: JSON, or a line for each field.
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

    /// Prints that something was done to one resource.
    pub(super) fn done(&mut self, id: &impl ToString, what: &str, sentence: &str) -> Result<(), Error> {
        if self.is_json() {
            return self.json(&serde_json::json!({ "id": id.to_string(), what: true }));
        }
        self.line(sentence)
    }
}

/// A yes or no for people.
pub(super) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Text from a directory or another machine, on one line, without characters that could control the terminal.
pub(super) fn plain(text: &str) -> String {
    plain::line(text).into_owned()
}

/// Like [`plain`], for text of several lines.
pub(super) fn plain_lines(text: &str) -> String {
    plain::lines(text).into_owned()
}

/// Prints a note on standard error.
pub(super) fn note(text: impl AsRef<str>) {
    eprintln!("postern: {}", plain::lines(text.as_ref()));
}

/// Like [`plain`], but cut before it makes all rows too wide. `--json` shows it whole.
fn short(cell: &str) -> String {
    match cell.char_indices().nth(MAX_CELL_CHARS) {
        Some((end, _)) => format!("{}…", plain(&cell[..end])),
        None => plain(cell),
    }
}

/// A time, to the second.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// An optional time.
pub(super) fn time_or(at: Option<Timestamp>, never: &str) -> String {
    at.map_or_else(|| never.to_owned(), time)
}

/// An optional text.
pub(super) fn text_or(text: Option<&str>, none: &str) -> String {
    text.unwrap_or(none).to_owned()
}

/// The name of an enum's value in JSON.
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

    /// What a screen printed.
    fn printed(json: bool, print: impl FnOnce(&mut Screen)) -> String {
        #[derive(Clone, Default)]
        struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let out = Shared::default();
        print(&mut Screen::new(Box::new(out.clone()), json));
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn one_long_name_does_not_widen_a_table() {
        assert_eq!(short(&"ü".repeat(5 << 20)).chars().count(), MAX_CELL_CHARS + 1);
        assert_eq!(short("anna"), "anna");
    }

    #[test]
    fn a_directory_cannot_drive_the_terminal_whatever_is_printed() {
        const EVIL: &str = "a\u{1b}[2Jb\u{202e}c\u{9b}d";
        type Printing = (&'static str, bool, fn(&mut Screen));
        let whatever: [Printing; 7] = [
            ("colours", false, |screen| screen.colored(Colour::Red, EVIL).unwrap()),
            ("line", false, |screen| screen.line(EVIL).unwrap()),
            ("part of a file", false, |screen| {
                screen.width = Some(80);
                screen.bytes(EVIL.as_bytes()).unwrap();
            }),
            ("table", false, |screen| screen.table(&["x"], [vec![EVIL.to_owned()]]).unwrap()),
            ("fields", false, |screen| screen.fields(&EVIL, &[("x", EVIL.to_owned())]).unwrap()),
            ("JSON", true, |screen| screen.fields(&EVIL, &[]).unwrap()),
            ("list", true, |screen| screen.json(&Found { items: vec![EVIL], total: None, more: false }).unwrap()),
        ];
        for (what, json, print) in whatever {
            let text = printed(json, print);
            assert!(text.contains('a') && text.contains('d'), "{what}: {text:?}");
            assert!(!text.chars().any(|letter| plain::is_unseen(letter) && letter != '\n'), "{what}: {text:?}");
        }
        assert_eq!(plain("Jürgen 山田"), "Jürgen 山田");
    }
}
