//! What else becomes of the accounts of users who should have none any more, in words.

use postern_engine::provisioning::settings::LeavingThen;

/// Each thing that happens, as `moved to ou=Former`.
pub(super) fn in_words(then: &LeavingThen) -> Vec<String> {
    let LeavingThen { move_to, remove_groups, delete_after_days } = then;
    let mut words = Vec::new();
    words.extend(move_to.as_ref().map(|container| format!("moved to {container}")));
    words.extend(remove_groups.then(|| "removed from groups".to_owned()));
    words.extend(delete_after_days.map(|days| match days {
        1 => "deleted a day later".to_owned(),
        days => format!("deleted {days} days later"),
    }));
    words
}
