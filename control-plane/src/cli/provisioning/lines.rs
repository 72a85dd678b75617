//! What a directory gets, and what was done there, as people read it.

use postern_engine::provisioning::settings::{Assignment, Limit, Settings};

use super::super::super::api::provisioning::{FailingView, ProvisioningView};
use super::super::super::api::provisioning_report::OperationView;
use super::super::error::Error;
use super::super::screen::{Screen, text_or, time, word};

/// What a directory gets.
pub(super) fn show(view: &ProvisioningView, screen: &mut Screen) -> Result<(), Error> {
    let Settings { switches, assignment, groups, existing, leaving, both_changed, user_container, thresholds } =
        &view.settings;
    let limit = |limit: Limit| match limit.percent {
        0 => limit.number.to_string(),
        percent => format!("{} (or {percent} %, if that is more)", limit.number),
    };
    let limits = format!(
        "{} creates, {} updates, {} disables, {} deletes, {} members removed",
        limit(thresholds.creates),
        limit(thresholds.updates),
        limit(thresholds.disables),
        limit(thresholds.deletes),
        limit(thresholds.member_removals),
    );
    let allowed = [
        ("create-users", switches.create_users),
        ("edit-users", switches.edit_users),
        ("delete-users", switches.delete_users),
        ("enable-disable-users", switches.enable_disable_users),
        ("sync-passwords", switches.sync_passwords),
        ("create-groups", switches.create_groups),
        ("edit-groups", switches.edit_groups),
        ("delete-groups", switches.delete_groups),
        ("sync-members", switches.sync_members),
        ("write-through", switches.write_through),
    ];
    let allowed: Vec<&str> = allowed.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
    let assigned = match assignment {
        Assignment::Nobody => "nobody".to_owned(),
        Assignment::All => "all users".to_owned(),
        Assignment::Groups { groups } => {
            format!("members of {}", groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        Assignment::Condition { expression } => format!("users for whom {expression}"),
    };
    let state = match (view.revision, view.paused) {
        (0, _) => "off",
        (_, true) => "paused",
        (_, false) => "on",
    };
    screen.fields(
        view,
        &[
            ("directory", view.directory.clone()),
            ("state", state.to_owned()),
            ("allowed", allowed),
            ("accounts for", assigned),
            ("groups", groups.len().to_string()),
            ("existing entries", word(existing)),
            ("leaving users", word(leaving)),
            ("both ends changed", word(both_changed)),
            ("container", text_or(user_container.as_deref(), "the site decides")),
            ("most in an hour", limits),
            ("held", view.held.to_string()),
            ("changed by", text_or(view.updated_by.as_deref(), "-")),
        ],
    )
}

/// A user or group whose account could not be changed.
pub(super) fn failing(failing: &FailingView) -> Vec<String> {
    vec![
        failing.kind.clone(),
        text_or(failing.name.as_deref(), "(deleted)"),
        failing.failures.to_string(),
        time(failing.next_try_at),
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
            ("changes", found.changes.to_string()),
            ("answer", found.answer.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
            ("sent", found.sent.to_string()),
        ],
    )
}

/// An operation as a line of the report.
pub(super) fn operation(operation: &OperationView) -> Vec<String> {
    let answer = operation.answer.as_ref().map_or_else(
        || "-".to_owned(),
        |answer| {
            let error = answer["error"]["message"].as_str();
            error.or_else(|| answer["held"].as_str()).or_else(|| answer["effect"].as_str()).unwrap_or("-").to_owned()
        },
    );
    vec![
        time(operation.at),
        operation.kind.clone(),
        operation.name.clone(),
        operation.action.clone(),
        word(&operation.state),
        answer,
        text_or(operation.actor.as_deref(), "-"),
        operation.cause.clone(),
        operation.elapsed_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
        operation.id.to_string(),
    ]
}
