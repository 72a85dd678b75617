//! Tables for people. On a narrow terminal long cells are cut; if that is not enough, each row becomes a paragraph with
//! a line for each column. Ids are never cut, so that they can be copied.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use uuid::Uuid;

/// Characters between two columns.
const GAP: u16 = 2;
/// The least width to which a column is cut.
const NARROWEST: u16 = 8;

/// The lines of a table, at most this wide if a width is given. Cells have one line each.
pub(super) fn lines(head: &[&str], rows: &[Vec<String>], width: Option<u16>) -> Vec<String> {
    let whole: Vec<bool> = (0..head.len()).map(|column| is_whole(rows, column)).collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    if let Some(width) = width {
        let natural = table.column_max_content_widths();
        let Some(widths) = fitting(&natural, &whole, width) else { return paragraphs(head, rows) };
        if widths != natural {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width).set_truncation_indicator("…");
            for (column, width) in table.column_iter_mut().zip(&widths) {
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + GAP)));
            }
            for row in 0..rows.len() {
                if let Some(row) = table.row_mut(row) {
                    row.max_height(1);
                }
            }
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Whether all cells of a column are ids.
fn is_whole(rows: &[Vec<String>], column: usize) -> bool {
    let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| *cell != "-").peekable();
    cells.peek().is_some() && cells.all(|cell| Uuid::try_parse(cell).is_ok())
}

/// The width of each column so that all fit into this width: the widest are cut first. `None`: they do not fit.
fn fitting(natural: &[u16], whole: &[bool], width: u16) -> Option<Vec<u16>> {
    let gaps = u32::from(GAP) * u32::try_from(natural.len()).unwrap_or(u32::MAX);
    let mut widths = natural.to_vec();
    loop {
        let all: u32 = widths.iter().map(|width| u32::from(*width)).sum();
        if all + gaps <= u32::from(width) + u32::from(GAP) {
            return Some(widths);
        }
        let cut = widths.iter_mut().zip(whole).filter(|(width, whole)| !**whole && **width > NARROWEST);
        let (widest, _) = cut.max_by_key(|(width, _)| **width)?;
        *widest -= 1;
    }
}

/// A line for each column of each row, and an empty line between rows.
fn paragraphs(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = head.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let paragraph = |row: &Vec<String>| -> Vec<String> {
        head.iter().zip(row).map(|(name, cell)| format!("{name:width$}  {cell}")).collect()
    };
    let mut lines: Vec<String> = rows.iter().flat_map(|row| [paragraph(row), vec![String::new()]].concat()).collect();
    lines.pop();
    lines
}

/// The width of the terminal on standard output. `None`: it is not a terminal.
#[cfg(unix)]
pub(super) fn terminal_width() -> Option<u16> {
    use std::io::IsTerminal as _;
    let out = std::io::stdout();
    let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten()?;
    Some(size.ws_col).filter(|columns| *columns > 0)
}

#[cfg(not(unix))]
pub(super) fn terminal_width() -> Option<u16> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0193541c-0000-7000-8000-000000000001";

    fn rows() -> Vec<Vec<String>> {
        let row = |name: &str, dn: &str| vec![name.to_owned(), dn.to_owned(), ID.to_owned()];
        vec![
            row("anna", "uid=anna,ou=people,dc=corp,dc=example"),
            row("山田太郎", "uid=yamada,ou=people,dc=corp,dc=example"),
        ]
    }

    fn widest(lines: &[String]) -> usize {
        lines.iter().map(|line| line.chars().count()).max().unwrap()
    }

    #[test]
    fn a_table_is_as_wide_as_it_needs_and_no_wider_than_the_terminal() {
        let head = ["name", "dn", "id"];
        let wide = lines(&head, &rows(), None);
        assert_eq!(wide.len(), 3);
        assert!(wide[2].contains("uid=yamada,ou=people,dc=corp,dc=example"), "{wide:#?}");
        assert_eq!(lines(&head, &rows(), Some(200)), wide);
        for width in [80, 60] {
            let cut = lines(&head, &rows(), Some(width));
            assert_eq!(cut.len(), 3, "{cut:#?}");
            assert!(widest(&cut) <= usize::from(width), "{cut:#?}");
            assert!(cut[1].contains(ID) && cut[1].contains("uid=") && cut[1].contains('…'), "{cut:#?}");
        }
    }

    #[test]
    fn on_the_narrowest_terminals_each_row_is_a_paragraph() {
        let lines = lines(&["name", "dn", "id"], &rows(), Some(40));
        assert_eq!(
            lines[..4],
            ["name  anna", "dn    uid=anna,ou=people,dc=corp,dc=example", &format!("id    {ID}"), ""]
        );
        assert_eq!(lines.len(), 7);
    }
}
