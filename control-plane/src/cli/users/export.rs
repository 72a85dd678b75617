//! `postern users export`: all users in a CSV file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use postern_engine::identity::profile;
use postern_engine::spreadsheet;
use serde_json::Value;

use super::super::super::api::page::Listing;
use super::super::super::api::users::UserView;
use super::super::client::Client;
use super::super::error::Error;
use super::super::output_file::OutputFile;
use super::super::screen::{Screen, note};
use super::columns::{FIELDS, KNOWN};
use super::definitions::definitions;

/// Most names of attributes in a note.
const MAX_NAMED: usize = 20;

/// A file to export to.
#[derive(Clone, Debug, Args)]
pub(in super::super) struct Export {
    /// File to write; it must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Further attributes to write beside those that you have defined
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = attribute)]
    attributes: Vec<String>,
    /// Also write attributes that are defined as sensitive
    #[arg(long)]
    with_sensitive: bool,
}

fn attribute(name: &str) -> Result<String, String> {
    profile::named(name).map(|()| name.to_owned()).map_err(|wrong| wrong.detail)
}

/// The columns of further attributes, and what is noticed on the way.
#[derive(Debug, Default)]
struct Attributes {
    columns: Vec<String>,
    sensitive: Vec<String>,
    /// Columns in which no user has a value yet.
    empty: BTreeSet<String>,
    /// Attributes of users that are not among the columns.
    left_out: BTreeSet<String>,
}

impl Attributes {
    async fn of(args: &Export, client: &Client) -> Result<Self, Error> {
        let mut attributes = Self::default();
        for defined in definitions(client).await? {
            let is_written = args.with_sensitive || !defined.sensitive;
            let names = if is_written { &mut attributes.columns } else { &mut attributes.sensitive };
            names.push(defined.name);
        }
        if let Some(name) = args.attributes.iter().find(|name| attributes.sensitive.contains(name)) {
            return Err(Error::Usage(format!("{name} is sensitive; give --with-sensitive to write it")));
        }
        for name in &args.attributes {
            if !attributes.columns.contains(name) {
                attributes.columns.push(name.clone());
                attributes.empty.insert(name.clone());
            }
        }
        Ok(attributes)
    }

    fn cells(&mut self, user: &UserView) -> Result<Vec<String>, Error> {
        let values: BTreeMap<String, Value> = serde_json::from_str(user.attributes.get())?;
        for name in values.keys() {
            self.empty.remove(name);
            if self.left_out.len() < MAX_NAMED && !self.columns.contains(name) && !self.sensitive.contains(name) {
                self.left_out.insert(name.clone());
            }
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut cells = vec![
            user.user_name.clone(),
            text(&user.given_name),
            text(&user.family_name),
            text(&user.display_name),
            text(&user.email),
            user.id.to_string(),
            user.active.to_string(),
            user.missing_since.map(|at| at.to_string()).unwrap_or_default(),
        ];
        cells.extend(self.columns.iter().map(|name| match values.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
            Some(value) => value.to_string(),
        }));
        Ok(cells)
    }

    /// What the file does not hold, as sentences.
    fn remarks(&self) -> Vec<String> {
        let list = |names: &mut dyn Iterator<Item = &String>, separator: &str| {
            names.map(String::as_str).collect::<Vec<_>>().join(separator)
        };
        let mut remarks = Vec::new();
        if !self.left_out.is_empty() {
            let (named, typed) = (list(&mut self.left_out.iter(), ", "), list(&mut self.left_out.iter(), ","));
            remarks
                .push(format!("left out, because you have not defined them: {named}. --attributes {typed} adds them"));
        }
        if !self.sensitive.is_empty() {
            let named = list(&mut self.sensitive.iter(), ", ");
            remarks.push(format!("left out, because they are sensitive: {named}. --with-sensitive adds them"));
        }
        if !self.empty.is_empty() {
            remarks.push(format!("no user has these attributes: {}", list(&mut self.empty.iter(), ", ")));
        }
        remarks
    }
}

/// Writes all users to a file, a page at a time.
pub(super) async fn export(args: &Export, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let mut attributes = Attributes::of(args, client).await?;
    let mut file = args.output.as_deref().map(OutputFile::create).transpose()?;
    let mut put = |line: String| match &mut file {
        Some(file) => file.write(line.as_bytes()),
        None => screen.bytes(line.as_bytes()),
    };
    let head = FIELDS.iter().chain(&KNOWN).map(|name| (*name).to_owned()).chain(attributes.columns.iter().cloned());
    put(spreadsheet::line(head))?;
    let mut query = vec![("limit", "1000".to_owned())];
    loop {
        let page: Listing<UserView> = client.get("users", &query).await?;
        for user in &page.items {
            put(spreadsheet::line(attributes.cells(user)?))?;
        }
        match page.next_cursor {
            Some(cursor) => query = vec![("limit", "1000".to_owned()), ("cursor", cursor)],
            None => break,
        }
    }
    file.map_or(Ok(()), OutputFile::finish)?;
    attributes.remarks().into_iter().for_each(note);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_does_not_hold_is_named() {
        let user: UserView = serde_json::from_value(serde_json::json!({
            "id": "0193541c-0000-7000-8000-000000000001", "user_name": "ada", "given_name": null, "family_name": null,
            "display_name": null, "email": null, "active": true, "missing_since": null,
            "created_at": "2026-11-22T22:00:00Z", "updated_at": "2026-11-22T22:00:00Z",
            "attributes": {"title": "Dr.", "badge": 7, "langs": ["de", "en"]},
        }))
        .unwrap();
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut attributes = Attributes {
            columns: of(&["langs", "nickname"]),
            sensitive: of(&["badge"]),
            empty: of(&["nickname"]).into_iter().collect(),
            left_out: BTreeSet::new(),
        };
        assert_eq!(attributes.cells(&user).unwrap()[8..], of(&["de|en", ""]));
        let remarks = attributes.remarks();
        for says in ["not defined them: title", "sensitive: badge", "no user has these attributes: nickname"] {
            assert!(remarks.iter().any(|remark| remark.contains(says)), "{says}: {remarks:?}");
        }
    }
}
