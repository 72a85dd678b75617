//! Reports the result of a job for people.

use postern_engine::jobs::report::{Block, Ended, Report};
use postern_engine::records::JobState;
use serde_json::Value;

use super::super::super::api::jobs::JobView;
use super::super::error::Error;
use super::super::screen::{Screen, plain, time, time_or, word};
use super::hold::held;

/// Prints a job and its result.
pub(super) fn show(job: &JobView, screen: &mut Screen) -> Result<(), Error> {
    let mut fields = vec![
        ("id", job.id.to_string()),
        ("kind", word(&job.kind)),
        ("directory", job.directory.name.clone()),
        ("state", word(&job.state)),
        ("started by", job.created_by.clone()),
        ("created", time(job.created_at)),
        ("started", time_or(job.started_at, "not yet")),
        ("finished", time_or(job.finished_at, "not yet")),
        ("deadline", time(job.deadline)),
        ("attempt", job.attempt.to_string()),
        ("entries read", job.progress.entries_read.to_string()),
    ];
    fields.extend(job.message.clone().map(|message| ("note", message)));
    fields.extend(job.decided_by.clone().map(|name| ("decided by", name)));
    fields.extend(job.decision_reason.clone().map(|reason| ("reason", reason)));
    screen.fields(job, &fields)?;
    if screen.is_json() {
        return Ok(());
    }
    screen.line("")?;
    if matches!(job.state, JobState::Failed | JobState::Held) {
        screen.line(format!("The job {}.", end(job).trim_end_matches('.')))?;
    }
    if let Some(hold) = job.hold.as_ref().filter(|_| job.state == JobState::Held) {
        held(hold, screen)?;
    }
    if let Some((hold, was_held)) = job.hold.as_ref().zip(was_held(job)) {
        screen.line(format!("The job {was_held}"))?;
        held(hold, screen)?;
    }
    result(job, screen)
}

/// How a job that was held ended without being approved: what for, by whom, and why.
pub(super) fn was_held(job: &JobView) -> Option<String> {
    let hold = job.hold.as_ref().filter(|_| job.state == JobState::Canceled)?;
    let reason = hold["reason"].as_str().unwrap_or("a safeguard stopped it").trim_end_matches('.');
    // One that was approved may have been canceled later.
    Some(match (job.decided_by.as_ref().filter(|_| !job.cancel_requested), &job.decision_reason) {
        (Some(by), Some(why)) => {
            format!("was rejected by {} ({}). It was held: {}.", plain(by), plain(why), plain(reason))
        }
        (Some(by), None) => format!("was rejected by {}. It was held: {}.", plain(by), plain(reason)),
        (None, _) => format!("was canceled while it was held: {}.", plain(reason)),
    })
}

/// Prints the result of a job.
pub(super) fn result(job: &JobView, screen: &mut Screen) -> Result<(), Error> {
    let result = job.result.as_ref().unwrap_or(&Value::Null);
    let Some(kind) = job.kind.kind() else {
        // A kind of a newer control plane.
        return screen.line(plain(&result.to_string()));
    };
    let error = serde_json::to_value(&job.error)?;
    let mut report = Report::default();
    kind.report(Ended { directory: &job.directory.name, result, error: &error }, &mut report);
    for block in report.blocks {
        match block {
            Block::Line(text) => screen.line(text)?,
            Block::Table { head, rows } => screen.table(&head, rows)?,
        }
    }
    Ok(())
}

/// The state or end of a job, as the end of a sentence.
pub(super) fn end(job: &JobView) -> String {
    match (job.state, &job.error) {
        (JobState::Failed, Some(error)) => match &error.cure {
            Some(cure) => format!("failed: {}\n  {}", plain(&error.message), plain(cure)),
            None => format!("failed: {}", plain(&error.message)),
        },
        (JobState::Held, _) => {
            let reason = job.hold.as_ref().and_then(|hold| hold["reason"].as_str()).unwrap_or("a safeguard stopped it");
            format!(
                "is held: {}\n  Apply the changes with `postern jobs approve {id}`, or discard them with `postern \
                 jobs reject {id}`",
                plain(reason),
                id = job.id
            )
        }
        (JobState::Canceled, _) => "was canceled".to_owned(),
        (JobState::Succeeded, _) => "succeeded".to_owned(),
        (state, _) => format!("is {}", word(&state)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Write as _;
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    #[test]
    fn a_rejected_job_shows_what_it_was_held_for_and_who_rejected_it_and_why() {
        let mut job = super::super::super::tests::sample_job();
        job.state = JobState::Canceled;
        job.decided_by = Some("olga".to_owned());
        job.decision_reason = Some("the filter was wrong".to_owned());
        job.hold = Some(json!({
            "reason": "9 of 10 users would be marked missing.",
            "reasons": [{"kind": "missing", "count": 9, "known": 10,
                         "people": [{"dn": "uid=anna,ou=people", "display_name": "Anna"}]}],
        }));
        let paper = Paper::default();
        show(&job, &mut Screen::new(Box::new(paper.clone()), false)).unwrap();
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        for words in ["rejected by olga (the filter was wrong)", "It was held: 9 of 10 users", "uid=anna,ou=people"] {
            assert!(text.contains(words), "no {words}: {text}");
        }
        job.decided_by = None;
        assert!(was_held(&job).unwrap().contains("canceled while it was held"));
    }

    #[derive(Clone, Default)]
    pub(in super::super) struct Paper(pub(in super::super) Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn text(kind: &str, state: JobState, change: impl FnOnce(&mut JobView)) -> String {
        let mut job = super::super::super::tests::sample_job();
        (job.kind, job.state) = (kind.into(), state);
        change(&mut job);
        let paper = Paper::default();
        result(&job, &mut Screen::new(Box::new(paper.clone()), false)).unwrap();
        let mut text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        write!(text, "({})", end(&job)).unwrap();
        text
    }

    #[test]
    fn the_report_of_an_import_has_its_figures() {
        let text = text("import", JobState::Succeeded, |job| {
            job.result = Some(json!({
                "users": 2000, "groups": 12, "created": 2011, "updated": 0, "unchanged": 0, "conflicts": 1,
                "conflict_samples": [{"user_name": "anna", "dn": "uid=anna,ou=b", "held_by_dn": "uid=anna,ou=a"}],
                "members_unresolved": 1, "members_unresolved_samples": [{"group": "staff", "member": "uid=eve,ou=else"}],
                "unusable": 1, "unusable_samples": ["cn=x: no external id"],
            }));
        });
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_report_of_a_failed_connection_test_has_all_checks_and_the_remedy() {
        let text = text("test_connection", JobState::Failed, |job| {
            let checks = json!([
                {"name": "connect", "state": "passed", "detail": "TLS 1.3", "elapsed_ms": 12},
                {"name": "bind", "state": "failed", "detail": "invalid credentials", "cure": "Check the password.", "elapsed_ms": 3},
                {"name": "paging", "state": "skipped", "detail": "not tried", "elapsed_ms": 0},
            ]);
            job.error = Some(
                serde_json::from_value(json!({
                    "code": "check_failed", "message": "The check bind failed: invalid credentials",
                    "cure": "Check the password.", "checks": checks,
                }))
                .unwrap(),
            );
        });
        insta::assert_snapshot!(text);
    }

    #[test]
    fn an_entry_in_conflict_does_not_become_what_it_claims() {
        let text = text("lookup_user", JobState::Succeeded, |job| {
            job.result = Some(json!({
                "user": {"external_id": "e-1", "dn": "uid=anna,ou=b", "attributes": {}},
                "mapped": {"user_name": "anna"}, "groups": [],
                "conflict": {"user_name": "anna", "held_by_dn": "uid=anna,ou=a"},
            }));
        });
        assert!(text.contains("anna is held by uid=anna,ou=a") && text.contains("WOULD BECOME"), "{text}");
        assert!(!text.contains("\nBECOMES"), "{text}");
    }

    #[test]
    fn the_report_of_a_user_has_its_attributes_and_groups() {
        let text = text("lookup_user", JobState::Succeeded, |job| {
            job.result = Some(json!({
                "user": {"external_id": "e-1", "dn": "uid=anna,ou=people", "unique_value": "anna",
                         "attributes": {"cn": ["Anna", "Änna"], "photo": [{"base64": "/9g="}]}},
                "mapped": {"user_name": "anna", "email": null, "active": true, "attributes": {}},
                "groups": [{"external_id": "g-1", "dn": "cn=staff,ou=groups", "attributes": {}}],
            }));
        });
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_shown_job_ends_its_sentence_once() {
        let mut job = super::super::super::tests::sample_job();
        let ends = [(JobState::Held, "jobs reject"), (JobState::Failed, "Try again.")];
        job.error = serde_json::from_value(json!({"code": "x", "message": "It broke.", "cure": "Try again."})).ok();
        for (state, said) in ends {
            job.state = state;
            let paper = Paper::default();
            show(&job, &mut Screen::new(Box::new(paper.clone()), false)).unwrap();
            let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
            assert!(text.contains(said) && !text.contains("..") && text.contains(".\n"), "{text}");
        }
    }

    #[test]
    fn the_report_of_a_held_job_says_how_to_decide() {
        let text = text("import", JobState::Held, |job| {
            job.hold =
                Some(json!({"reason": "40 of 100 accounts would be marked missing", "missing": 40, "known": 100}));
        });
        insta::assert_snapshot!(text);
    }
}
