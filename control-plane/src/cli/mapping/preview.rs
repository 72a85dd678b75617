//! `postern mapping preview`: what rules make of one account, before they are saved.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::super::api::mapping_preview::MappingPreview;
use super::super::super::api::outbound_mapping::OutboundPreviewView;
use super::super::error::Error;
use super::super::screen::{Screen, plain};

const NOTHING: &str = "-";

/// Shows a preview. Without `all`, only the inputs that rules read.
pub(super) fn show(preview: &MappingPreview, all: bool, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        return screen.json(preview);
    }
    screen.line(format!("{} in {}, {}", plain(&preview.dn), preview.directory, origin(preview)))?;
    if let Some(provider) = &preview.provided_by {
        screen.line(format!("This user comes first from {provider}: its values win over those of these rules."))?;
    }
    inputs(preview, all, screen)?;
    let rules = preview.rules.iter().map(|rule| {
        let result = rule.error.as_ref().map(|error| format!("error: {error}")).or_else(|| rule.result.clone());
        vec![rule.target.clone(), rule.expression.clone(), result.unwrap_or_else(|| NOTHING.to_owned())]
    });
    screen.line("")?;
    screen.table(&["rule", "expression", "result"], rules)?;
    screen.line("")?;
    screen.table(&["field", "before", "after", ""], fields(preview))?;
    screen.line("Nothing was saved.")
}

/// Shows what a directory would get.
pub(super) fn show_outbound(preview: &OutboundPreviewView, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        return screen.json(preview);
    }
    screen.line(format!("What {} would get of {}:", preview.directory, plain(&preview.name)))?;
    let rows = preview.attributes.iter().map(|wanted| {
        let values = if wanted.values.is_empty() { NOTHING.to_owned() } else { wanted.values.join(" | ") };
        let result = wanted.error.as_ref().map_or(values, |error| format!("error: {error}"));
        vec![wanted.attribute.clone(), wanted.expression.clone(), result]
    });
    screen.table(&["attribute", "expression", "values"], rows)?;
    screen.line("Nothing was saved or sent.")
}

fn origin(preview: &MappingPreview) -> String {
    let account = preview.job_id.map_or_else(|| "the stored account".to_owned(), |job| format!("read now (job {job})"));
    match preview.version {
        None => format!("{account}, with these rules"),
        Some(0) => format!("{account}, with the default mapping"),
        Some(version) => format!("{account}, with version {version} of the rules"),
    }
}

fn inputs(preview: &MappingPreview, all: bool, screen: &mut Screen) -> Result<(), Error> {
    let read =
        |name: &str| preview.rules.iter().flat_map(|rule| &rule.reads).any(|read| read.eq_ignore_ascii_case(name));
    let shown: Vec<_> = preview.inputs.iter().filter(|input| all || read(&input.name)).collect();
    let hidden = preview.inputs.len() - shown.len();
    let rows = shown.into_iter().map(|input| {
        let more = if input.more > 0 { format!(" and {} more", input.more) } else { String::new() };
        let meaning: Vec<String> = input.values.iter().map(|value| text(Some(value))).collect();
        let [raw, meaning] = [input.raw.join(" | "), meaning.join(" | ")].map(|text| match text.as_str() {
            "" => NOTHING.to_owned(),
            _ => text,
        });
        vec![input.name.clone(), input.kind.clone(), format!("{raw}{more}"), meaning]
    });
    screen.table(&["input", "type", "as written", "meaning"], rows)?;
    if hidden > 0 { screen.line(format!("{hidden} more inputs; --all shows them.")) } else { Ok(()) }
}

/// Each field before and after, and whether it changes.
fn fields(preview: &MappingPreview) -> Vec<Vec<String>> {
    let none = BTreeMap::new();
    let before = preview.before.as_ref().unwrap_or(&none);
    let mut names: Vec<&String> = before.keys().chain(preview.after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let row = |name: &String| {
        let (before, after) = (before.get(name), preview.after.get(name));
        let changed = if before == after { "" } else { "changes" };
        vec![name.clone(), text(before), text(after), changed.to_owned()]
    };
    names.into_iter().map(row).collect()
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => NOTHING.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
