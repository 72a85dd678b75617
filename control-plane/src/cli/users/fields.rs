//! How a user is shown, line by line.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::super::api::users::{PendingView, SuspensionView, UserView};
use super::super::screen::{text_or, time, yes_no};

/// The values of a user.
pub(super) fn profile(user: &UserView) -> Vec<(&'static str, String)> {
    vec![
        ("user name", user.user_name.clone()),
        ("id", user.id.to_string()),
        ("display name", text_or(user.display_name.as_deref(), "-")),
        ("given name", text_or(user.given_name.as_deref(), "-")),
        ("family name", text_or(user.family_name.as_deref(), "-")),
        ("e-mail", text_or(user.email.as_deref(), "-")),
        ("active", yes_no(user.active).to_owned()),
    ]
}

/// The further attributes of a user, a line for each.
pub(super) fn attributes(user: &UserView) -> Vec<(String, String)> {
    let values: BTreeMap<String, Value> = serde_json::from_str(user.attributes.get()).unwrap_or_default();
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    values.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// The changes that a directory has not made yet, or has refused, a line for each.
pub(super) fn pending(pending: &[PendingView]) -> Vec<(&'static str, String)> {
    let shown = |it: &PendingView| {
        let wanted = match &it.wanted {
            Value::Null => "none".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let what = format!("{} = {wanted}, by {} at {}", it.field, it.asked_by, time(it.asked_at));
        match &it.refused {
            Some(reason) => ("refused", format!("{what}: {reason}")),
            None => ("pending", what),
        }
    };
    pending.iter().map(shown).collect()
}

/// Who has disabled a user, why, and until when.
pub(super) fn disabled(suspension: Option<&SuspensionView>) -> Option<(&'static str, String)> {
    let it = suspension?;
    let until = it.until.map_or_else(String::new, |until| format!(", until {}", time(until)));
    let reason = it.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    Some(("disabled", format!("by {} at {}{until}{reason}", it.by, time(it.since))))
}
