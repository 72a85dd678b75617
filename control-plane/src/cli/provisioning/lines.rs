//! What was done in a directory and what could not be done, as people read it.

use serde_json::Value;

use super::super::super::api::provisioning::FailingView;
use super::super::super::api::provisioning_report::OperationView;
use super::super::error::Error;
use super::super::screen::{Screen, text_or, time, word};

/// A user or group whose account could not be changed.
pub(super) fn failing(failing: &FailingView) -> Vec<String> {
    vec![
        failing.kind.clone(),
        text_or(failing.name.as_deref(), "(deleted)"),
        failing.failures.to_string(),
        if failing.next_try_at.as_second() > 0 { time(failing.next_try_at) } else { "now".to_owned() },
        text_or(failing.problem.as_deref(), "-"),
        failing.id.to_string(),
    ]
}

/// One operation of the report, line by line.
pub(super) fn one(found: &OperationView, screen: &mut Screen) -> Result<(), Error> {
    screen.fields(
        found,
        &[
            ("time", time(found.at)),
            (&found.kind, found.name.clone()),
            ("action", found.action.clone()),
            ("state", word(&found.state)),
            ("cause", found.cause.clone()),
            ("by", text_or(found.actor.as_deref(), "-")),
            ("approved by", text_or(found.approved_by.as_deref(), "-")),
            ("changes", found.changes.to_string()),
            ("answer", found.answer.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
            ("sent", found.sent.to_string()),
        ],
    )
}

/// An operation as a line of the report.
pub(super) fn operation(operation: &OperationView) -> Vec<String> {
    let answer = operation.answer.as_ref().map_or_else(|| "-".to_owned(), in_words);
    vec![
        time(operation.at),
        operation.kind.clone(),
        operation.name.clone(),
        operation.target.clone(),
        operation.action.clone(),
        word(&operation.state),
        answer,
        text_or(operation.actor.as_deref(), "-"),
        operation.cause.clone(),
        operation.elapsed_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
        operation.id.to_string(),
    ]
}

/// An answer of a directory in a line: what was done, and what of it was not.
fn in_words(answer: &Value) -> String {
    let one = [&answer["error"]["message"], &answer["held"], &answer["effect"]].into_iter().find_map(Value::as_str);
    let names = |key: &str, name: &str| match &answer[key] {
        Value::Object(of) => of.keys().cloned().collect(),
        Value::Array(of) => of.iter().filter_map(|it| it[name].as_str().or(it.as_str()).map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let chosen = answer["named"].as_object().into_iter().flatten();
    let chosen = chosen.map(|(name, values)| format!("{name}={}", values[0].as_str().unwrap_or_default())).collect();
    let parts = [
        ("named", chosen),
        ("kept as the directory has it", names("kept", "")),
        ("written over", names("overwritten", "")),
        ("refused", names("refused", "name")),
        ("members refused", names("refused_members", "member")),
        ("members not found", names("unknown_members", "")),
    ];
    let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
    let parts = parts.map(|(what, names): (_, Vec<String>)| match names.as_slice() {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("; {what}: {first}, {second}, {third} and {} more", rest.len())
        }
        names => format!("; {what}: {}", names.join(", ")),
    });
    one.unwrap_or("-").to_owned() + &parts.collect::<String>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_written_stands_beside_what_was_done() {
        assert_eq!(in_words(&json!({ "effect": "changed" })), "changed");
        assert_eq!(in_words(&json!({ "error": { "message": "The right is missing." } })), "The right is missing.");
        let kept = json!({ "effect": "already_so", "kept": { "mail": ["a@corp.example"], "title": ["x"] } });
        assert_eq!(in_words(&kept), "already_so; kept as the directory has it: mail, title");
        let refused =
            json!({ "effect": "changed", "refused": [{ "name": "l", "message": "m" }], "overwritten": { "sn": null } });
        assert_eq!(in_words(&refused), "changed; written over: sn; refused: l");
        let named = json!({ "effect": "created", "named": { "mail": ["jdoe2@x.example"], "uid": ["jdoe2"] } });
        assert_eq!(in_words(&named), "created; named: mail=jdoe2@x.example, uid=jdoe2");
        let members = json!({ "effect": "changed", "unknown_members": ["a", "b", "c", "d", "e"] });
        assert_eq!(in_words(&members), "changed; members not found: a, b, c and 2 more");
    }
}
