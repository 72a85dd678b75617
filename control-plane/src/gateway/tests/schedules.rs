//! A schedule of a real control plane, on a clock that the test turns, with an agent that carries its job out.

use std::time::Duration;

use jiff::Timestamp;
use postern_engine::schedules::plan::Plan;
use postern_runtime::clock::ManualClock;
use postern_store::{
    JobFilter, JobState, MissedRuns, NewSchedule, PageRequest, RunOutcome, Schedule, ScheduleId, ScheduleSettings,
};
use serde_json::json;

use super::agent::raw_outcome;
use super::company::{Line, company, delivered};
use super::{soon, v1};

async fn each_minute(line: &Line) -> Schedule {
    let (site, id) = (&line.site, ScheduleId::new());
    let corp = site.store().find_directory(site.organization, "corp").await.unwrap().unwrap().id;
    let settings = ScheduleSettings {
        name: "each minute".to_owned(),
        directory: corp,
        kind: "import".to_owned(),
        input: json!({}),
        timing: json!({"repeat": "cron", "cron": "* * * * *"}),
        time_zone: "Europe/Berlin".to_owned(),
        jitter_seconds: 10,
        missed_runs: MissedRuns::Skip,
        paused: false,
    };
    let next = Plan::new(id, &settings).unwrap().checked(site.now()).unwrap().after(site.now()).unwrap();
    let new = NewSchedule { id, settings, next, created_by: "ada".to_owned() };
    site.store().create_schedule(site.organization, new, 10, site.now()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_imports_a_directory_when_its_time_comes() {
    let clock = ManualClock::new(Timestamp::now());
    let mut line = Line::start_at(&clock).await;
    let schedule = each_minute(&line).await;
    let people = company(20);
    let turning = async {
        loop {
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let command = tokio::select! {
        command = soon(line.session.command()) => command,
        () = turning => unreachable!(),
    };
    let site = &line.site;
    assert!(site.now() >= schedule.next.run_at, "not before its time");
    line.agent.deliver(&command, &delivered(&people, 5), |_| {}).await.unwrap();
    let result = v1::outcome::Result::Import(v1::ImportResult { pages: 1, ..Default::default() });
    line.session.send(raw_outcome(&command, result)).await;
    let job = site.wait_for(command.command_id.parse().unwrap(), JobState::Succeeded).await;
    assert_eq!(job.created_by, "schedule each minute");
    let last = site.store().get_schedule(site.organization, schedule.id).await.unwrap().unwrap().last_run.unwrap();
    assert_eq!(
        (last.outcome, last.job, last.job_state),
        (RunOutcome::Started, Some(job.id), Some(JobState::Succeeded))
    );
    assert_eq!(line.users().await.len(), 20);
    let jobs = site.store().list_jobs(site.organization, &JobFilter::default(), &PageRequest::first(10)).await.unwrap();
    assert_eq!(jobs.items.len(), 1);
}
