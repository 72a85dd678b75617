//! Reports the result of a look-up for people.

use serde_json::Value;

use crate::jobs::report::{Report, attributes, line, value};
use crate::kinds::found::holder;

/// Shows a user, its mapping, and its groups.
pub(super) fn show(result: &Value, report: &mut Report) {
    let user = &result["user"];
    let mut rows =
        vec![vec!["dn".to_owned(), value(&user["dn"])], vec!["external id".to_owned(), value(&user["external_id"])]];
    rows.extend(attributes(&user["attributes"]));
    report.table(&["attribute", "value"], rows);
    if let Some(mapped) = result["mapped"].as_object() {
        report.line("");
        let known = mapped.iter().filter(|(name, value)| *name != "attributes" && !value.is_null());
        // Without the name, the entry gets no user, or its user keeps the old name.
        let conflict = result["conflict"]["user_name"].as_str();
        if let Some(name) = conflict {
            let holder = holder(&result["conflict"]);
            report.line(format!(
                "conflict: the name {} is held by {}. The entry goes without it: see `postern conflicts list`",
                line(name),
                line(&holder)
            ));
        }
        let head = if conflict.is_some() { "would become" } else { "becomes" };
        report.table(&[head, "value"], known.map(|(name, shown)| vec![name.clone(), value(shown)]));
    }
    let groups: Vec<&Value> = result["groups"].as_array().into_iter().flatten().collect();
    report.line("");
    let unseen = unseen(&result["unseen"], report);
    if !groups.is_empty() {
        report.table(&["group"], groups.iter().map(|group| vec![value(&group["dn"])]));
    } else if !unseen {
        // Otherwise it was said together with what is known.
        report.line("in no group");
    }
}

/// Says what imports have seen and the directory does not show now. Returns whether groups are among it.
fn unseen(unseen: &Value, report: &mut Report) -> bool {
    const WHY: &str = "Either that is gone, or the agent's bind account may not read it any more.";
    let names = |what: &str| -> Vec<String> { unseen[what].as_array().into_iter().flatten().map(value).collect() };
    let (attributes, groups) = (names("attributes"), names("groups"));
    if !attributes.is_empty() {
        report.line(format!("known from imports and not shown now: {}. {WHY}", line(&attributes.join(", "))));
    }
    if !groups.is_empty() {
        report
            .line(format!("the directory shows no group now; known from imports: {}. {WHY}", line(&groups.join(", "))));
    }
    !groups.is_empty()
}
