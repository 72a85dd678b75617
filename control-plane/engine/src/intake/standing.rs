//! Problems of the directory that an import finds. They are shown with the directory until they are repaired, not only
//! in the job's report.

use super::repeats::Repeats;
use super::report::ImportReport;
use super::result::{ImportResult, NotVisible};

/// Most characters of an example.
const MAX_EXAMPLE_CHARS: usize = 300;

/// The problem and the remedy. `None`: there is none. `result` is the job's result.
pub(super) fn problem(
    report: &ImportReport,
    unusable: u64,
    repeats: &Repeats,
    result: &ImportResult,
) -> Option<String> {
    let found =
        [unusable_entries(report, unusable), shared_ids(repeats), not_visible(result), unknown_switches(result)];
    let found: Vec<String> = found.into_iter().flatten().collect();
    (!found.is_empty()).then(|| found.join("; "))
}

/// Accounts that did not come and whose presence is unknown.
fn not_visible(result: &ImportResult) -> Option<String> {
    let count = Some(result.not_visible).filter(|count| *count > 0)?;
    let (accounts, stay) = if count == 1 { ("account", "It stays") } else { ("accounts", "They stay") };
    let example = result.not_visible_samples.first().map_or_else(String::new, |one| {
        format!(" (such as {})", one.dn.chars().take(MAX_EXAMPLE_CHARS).collect::<String>())
    });
    Some(format!(
        "the last import did not find {count} known {accounts}{example}, and could not see whether somebody has left. {stay} \
         as before. Let the agent's account read the containers of these entries. The job says for each why it cannot be \
         seen{}",
        renamed(result).unwrap_or_default()
    ))
}

/// A container that seems to be renamed, and what to do then.
fn renamed(result: &ImportResult) -> Option<String> {
    let names = |one: &NotVisible| one.container.clone().zip(one.renamed_to.clone());
    let (container, now) = result.not_visible_samples.iter().find_map(names)?;
    let [container, now] = [container, now].map(|dn| dn.chars().take(MAX_EXAMPLE_CHARS).collect::<String>());
    Some(format!(
        ". The container {container} seems to be renamed to {now}. If the entries that are not found there were deleted, import \
         with --gone {container}"
    ))
}

/// Users for whom it is unknown whether they are enabled.
fn unknown_switches(result: &ImportResult) -> Option<String> {
    let count = Some(result.unknown_switches).filter(|count| *count > 0)?;
    let users = if count == 1 { "user" } else { "users" };
    let attribute = result.unreadable_switch.as_deref().unwrap_or("the attribute that says so");
    let example = result.unknown_switch_samples.first().map_or_else(String::new, |sample| {
        format!(" (such as {})", sample.chars().take(MAX_EXAMPLE_CHARS).collect::<String>())
    });
    Some(format!(
        "the last import could not see of {count} {users}{example} whether they are enabled. Such users keep their last known state, \
         and new ones are inactive. Let the agent's account read {attribute}"
    ))
}

fn shared_ids(repeats: &Repeats) -> Option<String> {
    let example = repeats.samples().first()?;
    let dns: String = example.dns.join(" and ").chars().take(MAX_EXAMPLE_CHARS).collect();
    Some(format!(
        "the last import left out {} entries, because other entries have their external ids (such as {dns}). Give each entry \
         an id of its own, or set external_id_attribute to an attribute that is unique",
        repeats.left_out()
    ))
}

fn unusable_entries(report: &ImportReport, unusable: u64) -> Option<String> {
    let unusable = unusable.max(report.unusable);
    if unusable == 0 {
        return None;
    }
    let entries = if unusable == 1 { "1 entry" } else { &format!("{unusable} entries") };
    let example = report.unusable_samples.first().map_or_else(String::new, |sample| {
        format!(" (such as {})", sample.chars().take(MAX_EXAMPLE_CHARS).collect::<String>())
    });
    Some(format!(
        "the last import could not use {entries} of the directory{example}. While there is one, imports mark nobody missing: \
         people who leave stay active. Give these entries what they lack, let the agent's account read it, or take them out \
         of the agent's filter or base DNs"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_cannot_be_used_are_a_problem_with_an_example() {
        assert_eq!(problem(&ImportReport::default(), 0, &Repeats::default(), &ImportResult::default()), None);
        let report = ImportReport {
            unusable: 1,
            unusable_samples: vec!["cn=x: no external id".to_owned()],
            ..ImportReport::default()
        };
        let said = problem(&report, 1, &Repeats::default(), &ImportResult::default()).unwrap();
        assert!(said.contains("1 entry of the directory (such as cn=x: no external id)"), "{said}");
        // The report may be missing; the summary has the counts.
        assert!(
            problem(&ImportReport::default(), 2, &Repeats::default(), &ImportResult::default())
                .is_some_and(|said| said.contains("2 entries"))
        );
    }
}
