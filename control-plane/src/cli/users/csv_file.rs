//! Reads a CSV file of users. The whole file is checked before the first line is sent.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use postern_engine::identity::{attributes, profile};
use postern_engine::records::AttributeDefinition;
use postern_engine::spreadsheet;
use postern_runtime::plain::quoted;

use super::super::super::api::bulk_users::BulkUser;
use super::super::error::Error;
use super::super::files;
use super::columns;
use super::line_numbers::LineNumbers;

/// Most lines of a file, and its most bytes.
const MAX_LINES: usize = 100_000;
const MAX_FILE_BYTES: u64 = 128 << 20;
/// Most bytes of one line, as JSON.
const MAX_LINE_BYTES: usize = 256 << 10;

/// One user of a file.
#[derive(Debug)]
pub(super) struct Line {
    /// The line where it starts, from 1, as an editor counts.
    pub(super) number: u64,
    /// The user.
    pub(super) user: BulkUser,
    /// Its length as JSON.
    pub(super) bytes: usize,
    /// Why the line is not sent. `None`: it is.
    pub(super) refused: Option<String>,
}

/// Reads the users of a file.
pub(super) fn read(path: &Path, defined: &[AttributeDefinition]) -> Result<Vec<Line>, Error> {
    let unreadable = |error| files::unreadable(path, error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = if bytes.len() as u64 > MAX_FILE_BYTES {
        Err(format!("it is longer than {} MiB; split it", MAX_FILE_BYTES >> 20))
    } else {
        text(&bytes)
    };
    let lines = text.and_then(|text| lines(text, defined));
    lines.map_err(|wrong| Error::Usage(format!("cannot read {}: {wrong}", path.display())))
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.trim_start_matches('\u{feff}')),
        Err(error) => {
            let line = LineNumbers::of(bytes).at(error.valid_up_to());
            Err(format!("line {line} is not UTF-8 text; save the file as CSV in UTF-8"))
        }
    }
}

fn lines(text: &str, defined: &[AttributeDefinition]) -> Result<Vec<Line>, String> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.delimiter(columns::separator(text)).flexible(true).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| error.to_string())?.clone();
    let names = columns::names(&head)?;
    let mut numbers = LineNumbers::of(text.as_bytes());
    let (mut lines, mut seen) = (Vec::new(), HashMap::new());
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        if record.iter().all(str::is_empty) {
            continue;
        }
        let start = record.position().map_or(0, csv::Position::byte);
        let number = numbers.at(usize::try_from(start).unwrap_or(usize::MAX));
        if record.len() != names.len() {
            let (has, of) = (record.len(), names.len());
            return Err(format!("line {number} must have {of} cells like the first line, and has {has}"));
        }
        if lines.len() == MAX_LINES {
            return Err(format!("it has more than {MAX_LINES} lines; split it"));
        }
        let mut line = line(number, user(&names, &record, defined).map_err(|wrong| format!("line {number}: {wrong}"))?);
        // A hash of the name as it is compared keeps 100,000 of them small.
        let name = blake3::hash(profile::name_key(&line.user.user_name).as_bytes());
        let first = *seen.entry(*name.as_bytes()).or_insert(number);
        if first != number && line.refused.is_none() {
            line.refused = Some(format!("line {first} has the same user name"));
        }
        lines.push(line);
    }
    Ok(lines)
}

fn line(number: u64, user: BulkUser) -> Line {
    let bytes = serde_json::to_vec(&user).map_or(usize::MAX, |json| json.len());
    let refused = (bytes > MAX_LINE_BYTES).then(|| format!("the line is longer than {} KiB", MAX_LINE_BYTES >> 10));
    Line { number, user, bytes, refused }
}

/// A line as a user. An empty cell says nothing.
fn user(columns: &[String], record: &csv::StringRecord, defined: &[AttributeDefinition]) -> Result<BulkUser, String> {
    let mut user = BulkUser::default();
    for (name, cell) in columns.iter().zip(record.iter().map(spreadsheet::original)) {
        if cell.is_empty() {
            continue;
        }
        match name.as_str() {
            "user_name" => cell.clone_into(&mut user.user_name),
            "given_name" => user.given_name = Some(cell.to_owned()),
            "family_name" => user.family_name = Some(cell.to_owned()),
            "display_name" => user.display_name = Some(cell.to_owned()),
            "email" => user.email = Some(cell.to_owned()),
            "id" => user.id = Some(cell.parse().map_err(|_| format!("{} is not an id", quoted(cell)))?),
            "active" => user.active = Some(yes_or_no(cell)?),
            "missing_since" => {}
            name => {
                let definition = defined.iter().find(|defined| defined.name == name);
                user.attributes.insert(name.to_owned(), attributes::from_text(definition, cell));
            }
        }
    }
    Ok(user)
}

/// Spreadsheets write TRUE and FALSE.
fn yes_or_no(cell: &str) -> Result<bool, String> {
    match cell.to_lowercase().as_str() {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err(format!("active is {}, and must be true or false", quoted(cell))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Vec<Line> {
        lines(super::text(text.as_bytes()).unwrap(), &[]).unwrap()
    }

    #[test]
    fn a_line_is_a_user_and_an_empty_cell_says_nothing() {
        let lines =
            read("\u{feff}user_name,email,title,active\r\nada,,\"Dr., PhD\",TRUE\r\nbo,bo@example.org,,\r\n,,,\r\n");
        let [ada, bo] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(
            (ada.user.user_name.as_str(), ada.user.email.as_deref(), ada.user.active),
            ("ada", None, Some(true))
        );
        assert_eq!(ada.user.attributes, BTreeMap::from([("title".to_owned(), json!("Dr., PhD"))]));
        assert_eq!((bo.user.email.as_deref(), bo.user.attributes.len()), (Some("bo@example.org"), 0));
    }

    #[test]
    fn what_an_export_writes_is_read_as_it_was() {
        let line = spreadsheet::line(["=ada", "+1", "-2"]);
        let lines = read(&format!("user_name,title,floor\r\n{line}"));
        assert_eq!((lines[0].user.user_name.as_str(), &lines[0].user.attributes["title"]), ("=ada", &json!("+1")));
    }

    #[test]
    fn lines_have_the_numbers_that_an_editor_shows() {
        let text = "user_name,note\n\nada,1\n\n\nbo,\"two\nlines\"\ncy,3\n";
        for end in ["\n", "\r\n", "\r"] {
            let lines = read(&text.replace('\n', end));
            assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [3, 6, 8], "{end:?}");
        }
    }

    #[test]
    fn a_name_is_refused_the_second_time_however_far_apart() {
        let many: String = (0..2_000).flat_map(|number| [format!("u{number}"), "\n".to_owned()]).collect();
        let lines = read(&format!("user_name\nstraße\n{many}STRASSE\n"));
        assert!(lines[..2_001].iter().all(|line| line.refused.is_none()));
        assert_eq!(lines[2_001].refused.as_deref(), Some("line 2 has the same user name"));
    }

    #[test]
    fn other_separators_and_spellings_of_columns_are_read() {
        for head in ["USER_NAME;Email", "User Name\tE-mail", "user-name,EMAIL"] {
            let cells = if head.contains('\t') { "ada\tada@example.org" } else { "ada;ada@example.org" };
            let cells = if head.contains(',') { "ada,ada@example.org" } else { cells };
            let lines = read(&format!("{head}\n{cells}\n"));
            let user = &lines[0].user;
            assert_eq!((user.user_name.as_str(), user.email.as_deref()), ("ada", Some("ada@example.org")), "{head}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_with_its_line() {
        for (file, says) in [
            (&b"user_name,email\n\nada\n"[..], "line 3 must have 2 cells like the first line, and has 1"),
            (b"user_name\nada\nb\xfc\n", "line 3 is not UTF-8"),
            (b"name,email\nada,x\n", "no column user_name"),
            (b"user_name,user_name\n", "column 2"),
            (b"user_name,,email\n", "column 2"),
            (b"user_name,Job Title\n", "Job Title"),
            (b"user_name,id\nada,7\n", "line 2: \"7\" is not an id"),
            (b"user_name,active\nada,perhaps\n", "line 2: active is \"perhaps\""),
        ] {
            let wrong = text(file).and_then(|text| lines(text, &[])).unwrap_err();
            assert!(wrong.contains(says), "{wrong}");
        }
    }

    #[test]
    fn a_line_that_no_request_can_hold_is_refused() {
        let lines = read(&format!("user_name,note\nada,{}\n", "x".repeat(300 << 10)));
        assert!(lines[0].refused.as_ref().unwrap().contains("longer than 256 KiB"));
    }
}
