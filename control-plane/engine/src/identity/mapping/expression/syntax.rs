//! The errors of the parser in plain words.

use super::fault::Fault;

/// The most characters of the source that an error shows.
const MAX_SHOWN: usize = 20;

/// An error of the parser, at the character of the source.
pub(super) fn error(source: &str, (line, column): (isize, isize), what: &str) -> Fault {
    if what.contains("Recursion limit") {
        return Fault::new(0, "its brackets and calls are nested too deep");
    }
    let before = usize::try_from(line - 1).unwrap_or_default();
    let before: usize = source.split_inclusive('\n').take(before).map(|line| line.chars().count()).sum();
    let column = usize::try_from(column).unwrap_or_default().max(1);
    let what = match source.chars().position(|letter| letter == '←') {
        Some(arrow) => {
            let position = u32::try_from(arrow + 1).unwrap_or_default();
            return Fault::new(
                position,
                "an expression stands alone: leave out the target and the arrow in front of it",
            );
        }
        None => plain(what.strip_prefix("Syntax error: ").unwrap_or(what)),
    };
    Fault::new(u32::try_from(before + column).unwrap_or_default(), format!("the syntax is wrong: {what}"))
}

/// What the parser means.
fn plain(what: &str) -> String {
    let unexpected = |found: &str| match found {
        "'<EOF>'" | "<EOF>" => "it ends too early".to_owned(),
        found => format!("{} is not expected here", shown(found)),
    };
    if let Some((found, _)) = after(what, "mismatched input ").and_then(|rest| rest.split_once(" expecting ")) {
        return unexpected(found);
    }
    if let Some((found, _)) = after(what, "extraneous input ").and_then(|rest| rest.split_once(" expecting ")) {
        return unexpected(found);
    }
    if let Some((missing, _)) = after(what, "missing ").and_then(|rest| rest.split_once(" at ")) {
        return format!("{} is missing", shown(missing));
    }
    if let Some(found) = after(what, "token recognition error at: ") {
        let is_open = found.starts_with(['\'', '"']) && found.trim_matches('\'').starts_with('"');
        return if is_open || found.starts_with("''") {
            "a text has no quotation mark at its end".to_owned()
        } else {
            format!("{} is not part of expressions", shown(found))
        };
    }
    if let Some(found) = after(what, "no viable alternative at input ") {
        return if found.contains("<EOF>") { "it ends too early".to_owned() } else { unexpected(found) };
    }
    "it cannot be read from here on".to_owned()
}

fn after<'w>(what: &'w str, start: &str) -> Option<&'w str> {
    what.strip_prefix(start)
}

fn shown(found: &str) -> String {
    let cut: String = found.chars().take(MAX_SHOWN).collect();
    if cut.len() < found.len() { format!("{cut}…") } else { cut }
}
