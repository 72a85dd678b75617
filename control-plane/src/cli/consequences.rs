//! What a change would do to accounts in directories, shown before it is made.

use postern_engine::provisioning::settings::Leaving;

use super::super::api::consequences::{ConsequenceView, ConsequencesView, PlannedChange};
use super::client::Client;
use super::error::Error;
use super::leaving;

/// A line for each directory in which a change does something.
pub(super) async fn lines(client: &Client, change: &PlannedChange) -> Result<Vec<String>, Error> {
    match client.post::<ConsequencesView>("provisioning/consequences", change).await {
        Ok(found) => Ok(in_words(&found)),
        // The change itself says which role may make it.
        Err(Error::Refused(document)) if document.status == 403 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The same of an answer.
pub(super) fn in_words(found: &ConsequencesView) -> Vec<String> {
    found.directories.iter().flat_map(of_one).collect()
}

fn of_one(found: &ConsequenceView) -> Vec<String> {
    let ConsequenceView { directory, accounts, more, becomes, then, at_once, has_group, paused } = found;
    let mut lines = Vec::new();
    if *accounts > 0 {
        let (is, what) = match (*accounts, more) {
            (1, false) => ("is", "the account".to_owned()),
            (count, false) => ("are", format!("up to {count} accounts")),
            (count, true) => ("are", format!("more than {count} accounts")),
        };
        let becomes = match becomes {
            Leaving::Delete => format!("{what} {is} deleted"),
            Leaving::Disable => format!("{what} {is} disabled"),
            Leaving::Keep if *accounts == 1 => format!("{what} stays as it is"),
            Leaving::Keep => format!("{what} stay as they are"),
        };
        let held = match at_once {
            _ if at_once >= accounts || becomes.contains("stay") => String::new(),
            0 => "; that waits for approval, because there were many within an hour".to_owned(),
            some => format!("; {some} at once, and the others wait for approval"),
        };
        let becomes = std::iter::once(becomes).chain(leaving::in_words(then)).collect::<Vec<_>>().join(", ");
        lines.push(format!("{directory}: {becomes}{held}"));
    }
    if *has_group {
        lines.push(format!("{directory}: the group is there too"));
    }
    if *paused && let Some(line) = lines.last_mut() {
        line.push_str(" (once provisioning is resumed)");
    }
    lines
}

#[cfg(test)]
mod tests {
    use postern_engine::provisioning::settings::LeavingThen;

    use super::*;

    fn one(accounts: u64, more: bool, becomes: Leaving, at_once: u64) -> ConsequenceView {
        let directory = "corp".to_owned();
        ConsequenceView {
            directory,
            accounts,
            more,
            becomes,
            then: LeavingThen::default(),
            at_once,
            has_group: false,
            paused: false,
        }
    }

    #[test]
    fn a_line_says_how_many_accounts_and_what_becomes_of_them() {
        for (found, line) in [
            (one(1, false, Leaving::Delete, 1), "corp: the account is deleted"),
            (
                one(1, false, Leaving::Delete, 0),
                "corp: the account is deleted; that waits for approval, because there were many within an hour",
            ),
            (
                one(12, false, Leaving::Disable, 5),
                "corp: up to 12 accounts are disabled; 5 at once, and the others wait for approval",
            ),
            (one(12, true, Leaving::Keep, 0), "corp: more than 12 accounts stay as they are"),
        ] {
            assert_eq!(of_one(&found), [line]);
        }
        let then =
            LeavingThen { move_to: Some("ou=Former".to_owned()), remove_groups: true, delete_after_days: Some(30) };
        assert_eq!(
            of_one(&ConsequenceView { then, ..one(3, false, Leaving::Disable, 1) }),
            [
                "corp: up to 3 accounts are disabled, moved to ou=Former, removed from groups, deleted 30 days later; 1 at \
              once, and the others wait for approval"
            ]
        );
        let group = ConsequenceView { has_group: true, paused: true, ..one(0, false, Leaving::Keep, 0) };
        assert_eq!(of_one(&group), ["corp: the group is there too (once provisioning is resumed)"]);
        assert!(of_one(&one(0, false, Leaving::Disable, 0)).is_empty());
    }
}
