//! The end of a watched job: a sentence if it succeeded, or the users that it is held for if a decision is needed.

use postern_engine::records::JobState;

use super::super::super::api::jobs::JobView;
use super::super::error::Error;
use super::super::screen::{Screen, plain};
use super::hold::held;
use super::report::result;

/// Prints the result of a watched job. A success ends with a sentence; anything else ends with the command's error.
pub(super) fn ended(job: &JobView, screen: &mut Screen) -> Result<(), Error> {
    if let Some(hold) = job.hold.as_ref().filter(|_| job.state == JobState::Held) {
        held(hold, screen)?;
    }
    result(job, screen)?;
    if job.state == JobState::Succeeded { screen.line(success(job)) } else { Ok(()) }
}

/// A sentence for a job that succeeded.
fn success(job: &JobView) -> String {
    let directory = plain(&job.directory.name);
    let kind = job.kind.kind();
    let what = kind.map_or("job", |kind| kind.words().noun);
    let found = job.result.as_ref().zip(kind).and_then(|(result, kind)| kind.found(result));
    let found = found.map_or_else(String::new, |found| format!(": {found}"));
    let took = job.started_at.zip(job.finished_at).map_or_else(String::new, |(started, finished)| {
        format!(" in {:.1} s", finished.duration_since(started).as_secs_f64().max(0.0))
    });
    format!("The {what} of {directory} succeeded{took}{found}.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::report::tests::Paper;
    use super::*;

    #[test]
    fn a_watched_job_ends_with_a_sentence_or_with_the_users_it_is_held_for() {
        let mut job = super::super::super::tests::sample_job();
        let said = |job: &JobView| {
            let paper = Paper::default();
            ended(job, &mut Screen::new(Box::new(paper.clone()), false)).unwrap();
            String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
        };
        job.state = JobState::Succeeded;
        job.result = Some(json!({ "users": 3, "groups": 1 }));
        job.started_at = Some(job.created_at);
        job.finished_at = Some(job.created_at + jiff::SignedDuration::from_millis(2_300));
        assert!(
            said(&job).ends_with("\nThe import of corp succeeded in 2.3 s: 3 users and 1 group.\n"),
            "{}",
            said(&job)
        );
        job.state = JobState::Held;
        job.result = None;
        job.hold = Some(json!({
            "reasons": [{"kind": "missing", "count": 1, "known": 9,
                         "people": [{"dn": "uid=anna,ou=people", "display_name": "Anna"}]}],
            "containers": [{"dn": "ou=people", "missing": 1, "known": 9}],
        }));
        let text = said(&job);
        assert!(text.contains("Anna") && text.contains("uid=anna,ou=people") && text.contains("CONTAINER"), "{text}");
    }
}
