//! The columns of a CSV file of users.

use postern_engine::identity::profile;

/// Columns of an export beside the values: an import finds the user by the id, compares `active`, and leaves the third out.
pub(super) const KNOWN: [&str; 3] = ["id", "active", "missing_since"];
/// Columns of a user's own fields.
pub(super) const FIELDS: [&str; 5] = ["user_name", "given_name", "family_name", "display_name", "email"];
/// Programs write CSV files with these separators.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// What separates the cells: what makes a column of `user_name` in the first line.
pub(super) fn separator(text: &str) -> u8 {
    let has_name = |separator: &u8| {
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.delimiter(*separator).from_reader(text.as_bytes());
        reader.headers().is_ok_and(|head| head.iter().any(|title| name(title) == "user_name"))
    };
    SEPARATORS.into_iter().find(has_name).unwrap_or(b',')
}

/// What each column is.
pub(super) fn names(head: &csv::StringRecord) -> Result<Vec<String>, String> {
    let names: Vec<String> = head.iter().map(name).collect();
    for (place, name) in names.iter().enumerate() {
        if name.is_empty() || names[..place].contains(name) {
            return Err(format!("column {} has no name, or the name of an earlier one", place + 1));
        }
        let is_fixed = FIELDS.contains(&name.as_str()) || KNOWN.contains(&name.as_str());
        if let Some(wrong) = profile::named(name).err().filter(|_| !is_fixed) {
            return Err(format!("column {}, {name}, cannot be an attribute: {}", place + 1, wrong.detail));
        }
    }
    if !names.iter().any(|name| name == "user_name") {
        return Err("it has no column user_name; its first line must name the columns".to_owned());
    }
    Ok(names)
}

/// A column's name. Letter case, spaces and hyphens do not matter in the names of a user's own fields.
fn name(title: &str) -> String {
    let title = title.trim();
    let name = title.to_lowercase().replace([' ', '-'], "_");
    let name = if name == "e_mail" { "email".to_owned() } else { name };
    if FIELDS.contains(&name.as_str()) || KNOWN.contains(&name.as_str()) { name } else { title.to_owned() }
}
