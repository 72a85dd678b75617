//! Comma-separated values (RFC 4180) that a spreadsheet shows and does not run.

use std::borrow::Cow;

/// A line of these cells, with its line end. A cell that a spreadsheet would run as a formula gets an apostrophe in front of
/// it, which spreadsheets do not show.
pub fn line(cells: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| neutral(cell.as_ref()).into_owned()).collect();
    // Some spreadsheets take these for separators, too: what comes after one would be a cell of its own.
    let quoted = cells.iter().any(|cell| cell.contains([';', '\t']));
    let style = if quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
    let mut builder = csv::WriterBuilder::new();
    let mut writer = builder.terminator(csv::Terminator::CRLF).quote_style(style).from_writer(Vec::new());
    // Nothing fails on the way into memory.
    let _ = writer.write_record(cells);
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// A cell as it was before [`line()`] wrote it.
pub fn original(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest,
        _ => cell,
    }
}

fn neutral(cell: &str) -> Cow<'_, str> {
    // One that has an apostrophe already gets another, so that it comes back as it was.
    let formula = is_formula(cell) || cell.strip_prefix('\'').is_some_and(is_formula);
    if formula { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// Whether a spreadsheet would run the cell. Space and control characters in front of a formula change nothing.
fn is_formula(cell: &str) -> bool {
    let text = cell.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\'');
    text.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_only_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "＝1", "'=1"] {
            let written = line([formula]);
            assert!(written.trim_start_matches('"').starts_with('\''), "{written:?}");
        }
        assert_eq!(line(["a", "1", ""]), "a,1,\r\n");
    }

    #[test]
    fn cells_come_back_as_they_were() {
        for cell in ["=1+1", "'=1", "''=1", "it's", "'quoted'", "a,b", "say \"x\"", "", "-", "2026-11-28"] {
            let written = line([cell]);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(written.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            assert_eq!(original(&record[0]), cell, "{written:?}");
        }
    }

    #[test]
    fn a_quote_or_a_line_end_stays_within_its_cell() {
        assert_eq!(line(["a\"b", "c\nd", "e,f"]), "\"a\"\"b\",\"c\nd\",\"e,f\"\r\n");
        assert_eq!(line(["x;=1+1;y", "z"]), "\"x;=1+1;y\",\"z\"\r\n", "a semicolon separates cells for some");
        assert_eq!(line(["x\t=1"]), "\"x\t=1\"\r\n");
    }
}
