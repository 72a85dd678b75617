//! How groups are shown.

use super::super::super::api::groups::GroupView;
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
