//! Reports the result of a preview for people: its figures, and what an import would be held for.

use serde::Deserialize as _;

use crate::intake::preview::result::{PreviewContainer, PreviewResult};
use crate::intake::preview::row::Action;
use crate::jobs::report::{Ended, Report, line};

/// Containers shown; the result has more.
const CONTAINERS: usize = 20;

/// Reports the result of a preview.
pub(super) fn show(ended: Ended<'_>, report: &mut Report) {
    let Ok(result) = PreviewResult::deserialize(ended.result) else { return };
    let import = &result.import;
    report.line(format!(
        "{} users and {} groups are in the directory. Nothing was changed.",
        import.users, import.groups
    ));
    for (kind, counts) in [("users", &result.users), ("groups", &result.groups)] {
        for action in Action::ALL {
            if let Some(count) = counts.get(action.as_str()) {
                report.line(format!("{count:>9}  {kind} {}", action.about()));
            }
        }
    }
    if result.rows == 0 {
        report.line("An import would change nothing.");
    }
    if let Some(hold) = &result.hold {
        report.line(format!("An import would be held: {}", line(&hold.reason)));
        report.line(format!("{} of the users and groups would wait for the approval.", result.waiting));
    }
    if !result.containers.is_empty() {
        report
            .table(&["container", "users and groups", "of these"], result.containers.iter().take(CONTAINERS).map(row));
    }
    let others: u64 = result.containers.iter().skip(CONTAINERS).map(|container| container.rows).sum();
    let others = others + result.in_other_containers;
    if others > 0 {
        report.line(format!("{others} more are in other containers."));
    }
    if result.rows_kept < result.rows {
        let (kept, rows) = (result.rows_kept, result.rows);
        report.line(format!("Only the first {kept} of {rows} users and groups are listed one by one."));
    }
}

fn row(container: &PreviewContainer) -> Vec<String> {
    let actions = container.actions.iter().map(|(action, count)| format!("{count} {}", action.replace('_', " ")));
    vec![line(&container.dn), container.rows.to_string(), actions.collect::<Vec<_>>().join(", ")]
}
