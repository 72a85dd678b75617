//! The users and groups that a hold is about.

use postern_engine::jobs::report::value;
use serde_json::Value;

use super::super::error::Error;
use super::super::screen::{Screen, plain};

/// Prints the users and groups of a hold, and where they are.
pub(super) fn held(hold: &Value, screen: &mut Screen) -> Result<(), Error> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for reason in list(&hold["reasons"]) {
        let count = reason["count"].as_u64().unwrap_or_default();
        let what = reason["attribute"].as_str().or_else(|| reason["kind"].as_str()).unwrap_or_default();
        screen.line(format!("\n{}: {count} of {}", plain(what), reason["known"].as_u64().unwrap_or_default()))?;
        let people = list(&reason["people"]);
        if people.iter().any(|person| person["former_dn"].is_string()) {
            let row = |person: &Value| ["former_dn", "display_name", "dn"].map(|name| value(&person[name])).to_vec();
            screen.table(&["account so far", "name", "dn"], people.iter().map(row))?;
        } else {
            let rows = people.iter().map(|person| vec![value(&person["display_name"]), value(&person["dn"])]);
            screen.table(&["name", "dn"], rows)?;
        }
        if count > people.len() as u64 && !people.is_empty() {
            screen.line(format!("({} of {count} are shown)", people.len()))?;
        }
    }
    let containers = list(&hold["containers"]);
    if containers.is_empty() {
        return Ok(());
    }
    screen.line("")?;
    let rows = containers.iter().map(|row| vec![value(&row["missing"]), value(&row["known"]), value(&row["dn"])]);
    screen.table(&["missing", "of", "container"], rows)?;
    match hold["more_containers"].as_u64() {
        None | Some(0) => Ok(()),
        Some(more) => screen.line(format!("(and {more} more)")),
    }
}
