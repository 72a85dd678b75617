//! How groups are shown.

use super::super::super::api::groups::{GroupView, PendingMember};
use super::super::error::Error;
use super::super::list::{Found, ListArgs};
use super::super::screen::{Screen, text_or, time, time_or};

/// Prints groups.
pub(in super::super) fn table(groups: &Found<GroupView>, args: &ListArgs, screen: &mut Screen) -> Result<(), Error> {
    screen.list(groups, args, &["name", "directory", "description", "missing since", "id"], |group| {
        vec![
            group.display_name.clone(),
            group.directories.join(", "),
            text_or(group.description.as_deref(), "-"),
            time_or(group.missing_since, "-"),
            group.id.to_string(),
        ]
    })
}

/// The members that a directory has not added or removed yet, or has refused to, a line for each.
pub(super) fn pending(pending: &[PendingMember]) -> Vec<(&'static str, String)> {
    let shown = |it: &PendingMember| {
        let change = if it.wanted { "add" } else { "remove" };
        let what = format!("{change} {}, by {} at {}", it.member, it.asked_by, time(it.asked_at));
        match &it.refused {
            Some(reason) => ("refused", format!("{what}: {reason}")),
            None => ("pending", what),
        }
    };
    pending.iter().map(shown).collect()
}

pub(super) fn fields(group: &GroupView) -> Vec<(&'static str, String)> {
    vec![
        ("name", group.display_name.clone()),
        ("id", group.id.to_string()),
        ("directory", if group.directories.is_empty() { "none".to_owned() } else { group.directories.join(", ") }),
        ("description", text_or(group.description.as_deref(), "-")),
        ("created", time(group.created_at)),
        ("changed", time(group.updated_at)),
        ("missing since", time_or(group.missing_since, "-")),
    ]
}
