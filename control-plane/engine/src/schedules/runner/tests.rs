//! Runs on a clock that the tests turn.

use postern_runtime::clock::{Clock as _, ManualClock};
use postern_runtime::lifecycle::Shutdown;
use postern_store::{
    AgentId, AnnouncedDirectory, DatabaseUrl, Directory, DirectoryChange, Flavour, Job, JobFilter, NewAgent,
    NewEnrollmentToken, NewSchedule, OrganizationId, PageRequest, ScheduleId, ScheduleSettings,
};
use serde_json::{Value, json};

use super::*;
use crate::kinds;

const START: &str = "2027-01-01T00:00:00Z";

struct Site {
    store: Store,
    clock: ManualClock,
    organization: OrganizationId,
    directory: Directory,
    url: DatabaseUrl,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::sqlite(&folder.path().join("postern.db"));
        let store = Store::open(&url).await.unwrap();
        let clock = ManualClock::new(START.parse().unwrap());
        let now = clock.now();
        let organization = store.create_organization("acme", now).await.unwrap().id;
        let (hash, expires_at) = ([1; 32], now + SignedDuration::from_hours(1));
        let token = NewEnrollmentToken { hash, directories: Vec::new(), expires_at, created_by: "x".to_owned() };
        store.create_enrollment_token(organization, token, now).await.unwrap();
        let (id, serial) = (AgentId::new(), "01".to_owned());
        let agent = NewAgent { id, name: "site-1".to_owned(), version: None, serial, not_after: expires_at };
        store.enroll_agent(hash, agent, now).await.unwrap();
        let corp = [AnnouncedDirectory { name: "corp".to_owned(), flavour: Flavour::OpenLdap }];
        let directory = store.announce_directories(organization, id, &corp, now).await.unwrap().remove(0);
        Self { store, clock, organization, directory, url, _folder: folder }
    }

    fn runner(&self) -> Runner {
        Runner::new(self.store.clone(), self.clock.shared(), kinds::ALL)
    }

    fn settings(&self, name: &str, missed_runs: MissedRuns) -> ScheduleSettings {
        ScheduleSettings {
            name: name.to_owned(),
            directory: self.directory.id,
            kind: "import".to_owned(),
            input: json!({}),
            timing: json!({"repeat": "hourly", "minute": 30}),
            time_zone: "UTC".to_owned(),
            jitter_seconds: 0,
            missed_runs,
            paused: false,
        }
    }

    async fn schedule(&self, settings: ScheduleSettings) -> Schedule {
        let id = ScheduleId::new();
        let time = "2027-01-01T00:30:00Z".parse().unwrap();
        let next = Plan::new(id, &settings).ok().and_then(|plan| plan.after(self.clock.now()));
        let next = next.unwrap_or(NextRun { time, run_at: time });
        let new = NewSchedule { id, settings, next, created_by: "ada".to_owned() };
        self.store.create_schedule(self.organization, new, 1_000, self.clock.now()).await.unwrap()
    }

    async fn hourly(&self, missed_runs: MissedRuns) -> Schedule {
        self.schedule(self.settings("hourly", missed_runs)).await
    }

    async fn look(&self, schedule: &Schedule) -> Schedule {
        self.store.get_schedule(self.organization, schedule.id).await.unwrap().unwrap()
    }

    async fn outcome(&self, schedule: &Schedule) -> Option<RunOutcome> {
        self.look(schedule).await.last_run.map(|run| run.outcome)
    }

    async fn jobs(&self) -> Vec<Job> {
        let all = PageRequest::first(1_000);
        self.store.list_jobs(self.organization, &JobFilter::default(), &all).await.unwrap().items
    }

    async fn end(&self, job: &Job) {
        self.store.request_cancel(self.organization, job.id, self.clock.now()).await.unwrap();
    }

    fn turn_to(&self, time: &str) {
        self.clock.set(format!("2027-01-{time}Z").parse().unwrap());
    }
}

#[tokio::test]
async fn a_run_starts_at_its_time_and_never_twice() {
    let site = Site::new().await;
    let (schedule, runner) = (site.hourly(MissedRuns::Skip).await, site.runner());
    site.turn_to("01T00:29:59");
    runner.pass().await.unwrap();
    assert!(site.jobs().await.is_empty());
    site.turn_to("01T00:30:00");
    for _ in 0..3 {
        runner.pass().await.unwrap();
        // Begun anew, as after a restart.
        site.runner().pass().await.unwrap();
    }
    let job = site.jobs().await.remove(0);
    assert_eq!(job.deadline, "2027-01-02T00:30:00Z".parse().unwrap(), "as long as an import may take");
    assert_eq!((job.kind.as_str(), job.created_by.as_str()), ("import", "schedule hourly"));
    assert_eq!(site.look(&schedule).await.next.time, "2027-01-01T01:30:00Z".parse().unwrap());
    site.end(&job).await;
    site.turn_to("01T01:30:00");
    runner.pass().await.unwrap();
    assert_eq!(site.jobs().await.len(), 2);
}

#[tokio::test]
async fn missed_runs_are_skipped_or_made_up_for_once() {
    for (missed, late, jobs, outcome) in [
        (MissedRuns::Skip, "01T00:35:00", 1, RunOutcome::Started),
        (MissedRuns::Skip, "01T00:35:01", 0, RunOutcome::Missed),
        (MissedRuns::Skip, "09T04:35:01", 0, RunOutcome::Missed),
        (MissedRuns::RunOnce, "01T00:35:01", 1, RunOutcome::Started),
        (MissedRuns::RunOnce, "09T04:35:01", 1, RunOutcome::Started),
    ] {
        let site = Site::new().await;
        let schedule = site.hourly(missed).await;
        site.turn_to(late);
        for _ in 0..3 {
            site.runner().pass().await.unwrap();
        }
        assert_eq!(site.jobs().await.len(), jobs, "{missed} {late}");
        assert_eq!(site.outcome(&schedule).await, Some(outcome), "{missed} {late}");
        let next = site.look(&schedule).await.next;
        assert!(next.run_at > site.clock.now() && next.time == next.run_at, "{missed} {late}: {next:?}");
        assert!(next.time < site.clock.now() + SignedDuration::from_hours(1), "{missed} {late}: {next:?}");
    }
}

#[tokio::test]
async fn of_several_replicas_one_starts_a_run() {
    let site = Site::new().await;
    for number in 0..20 {
        site.schedule(ScheduleSettings {
            kind: "test_connection".to_owned(),
            ..site.settings(&format!("number {number}"), MissedRuns::Skip)
        })
        .await;
    }
    let others = [Store::open(&site.url).await.unwrap(), Store::open(&site.url).await.unwrap()];
    let [two, three] = others.each_ref().map(|store| Runner::new(store.clone(), site.clock.shared(), kinds::ALL));
    site.turn_to("01T00:30:00");
    let one = site.runner();
    let (one, two, three) = tokio::join!(one.pass(), two.pass(), three.pass());
    one.and(two).and(three).unwrap();
    let mut by: Vec<String> = site.jobs().await.into_iter().map(|job| job.created_by).collect();
    assert_eq!(by.len(), 20);
    by.sort();
    by.dedup();
    assert_eq!(by.len(), 20, "each schedule has started one: {by:?}");
    for store in others {
        store.close().await;
    }
}

#[tokio::test]
async fn a_run_waits_for_the_job_before_or_is_skipped() {
    let site = Site::new().await;
    let (skips, runner) = (site.hourly(MissedRuns::Skip).await, site.runner());
    site.turn_to("01T00:30:00");
    runner.pass().await.unwrap();
    let first = site.jobs().await.remove(0);
    site.turn_to("01T01:30:00");
    runner.pass().await.unwrap();
    assert_eq!(site.outcome(&skips).await, Some(RunOutcome::UnderWay));
    let waits = ScheduleSettings { name: "waits".to_owned(), ..site.settings("waits", MissedRuns::RunOnce) };
    let waits = site.schedule(waits).await;
    site.turn_to("01T02:30:00");
    runner.pass().await.unwrap();
    for _ in 0..3 {
        assert_eq!(site.outcome(&waits).await, Some(RunOutcome::Waiting));
        assert!(site.store.due_schedules(site.clock.now(), 10).await.unwrap().is_empty(), "it does not spin");
        site.clock.advance(Duration::from_mins(1));
        runner.pass().await.unwrap();
    }
    assert_eq!(site.jobs().await.len(), 1);
    // Hours later it runs, once.
    site.turn_to("01T05:10:00");
    site.end(&first).await;
    for _ in 0..3 {
        runner.pass().await.unwrap();
        site.clock.advance(Duration::from_mins(1));
    }
    let jobs = site.jobs().await;
    assert_eq!((jobs.len(), jobs[0].created_by.as_str()), (2, "schedule waits"));
    assert_eq!(site.look(&waits).await.next.time, "2027-01-01T05:30:00Z".parse().unwrap());
}

#[tokio::test]
async fn what_cannot_be_run_says_why_and_does_not_spin() {
    let site = Site::new().await;
    let with = |name: &str| site.settings(name, MissedRuns::RunOnce);
    let cases: [(ScheduleSettings, &str); 4] = [
        (ScheduleSettings { kind: "sing".to_owned(), ..with("kind") }, "no job of the kind sing"),
        (ScheduleSettings { input: json!({"unique_value": "anna"}), ..with("input") }, "\"unique_value\" is wrong"),
        (ScheduleSettings { time_zone: "Mars/Base".to_owned(), ..with("zone") }, "\"time_zone\" is wrong"),
        (ScheduleSettings { timing: Value::Null, ..with("timing") }, "\"timing\" is wrong"),
    ];
    let mut made = Vec::new();
    for (settings, says) in cases {
        made.push((site.schedule(settings).await, says));
    }
    site.turn_to("01T00:30:00");
    site.runner().pass().await.unwrap();
    for (schedule, says) in &made {
        let last = site.look(schedule).await.last_run.unwrap();
        assert_eq!(last.outcome, RunOutcome::Refused);
        assert!(last.detail.as_deref().is_some_and(|detail| detail.contains(says)), "{last:?}");
    }
    assert!(site.store.due_schedules(site.clock.now(), 10).await.unwrap().is_empty());
    assert!(site.jobs().await.is_empty());
}

#[tokio::test]
async fn a_disabled_directory_is_left_alone_until_it_is_enabled() {
    let site = Site::new().await;
    let (schedule, runner) = (site.hourly(MissedRuns::RunOnce).await, site.runner());
    let disable = |disabled| DirectoryChange { disabled: Some(disabled), ..DirectoryChange::default() };
    site.store.update_directory(site.organization, site.directory.id, disable(true)).await.unwrap();
    site.turn_to("01T00:30:00");
    runner.pass().await.unwrap();
    assert_eq!(site.outcome(&schedule).await, Some(RunOutcome::DirectoryDisabled));
    site.store.update_directory(site.organization, site.directory.id, disable(false)).await.unwrap();
    runner.pass().await.unwrap();
    assert!(site.jobs().await.is_empty(), "the run before is over");
    site.turn_to("01T01:30:01");
    runner.pass().await.unwrap();
    assert_eq!(site.outcome(&schedule).await, Some(RunOutcome::Started));
}

#[tokio::test]
async fn however_many_are_due_one_pass_starts_all() {
    let site = Site::new().await;
    for number in 0..=AT_ONCE * 2 {
        let settings = site.settings(&format!("number {number}"), MissedRuns::Skip);
        site.schedule(ScheduleSettings { kind: "test_connection".to_owned(), ..settings }).await;
    }
    site.turn_to("01T00:30:00");
    site.runner().pass().await.unwrap();
    assert_eq!(site.jobs().await.len(), AT_ONCE as usize * 2 + 1);
}

#[tokio::test]
async fn the_task_starts_what_is_due_when_the_clock_goes_on() {
    let site = Site::new().await;
    site.hourly(MissedRuns::Skip).await;
    let (shutdown, mut wakes) = (Shutdown::new(), site.store.listen().await.unwrap());
    let supervisor = Supervisor::with_clock(shutdown.clone(), site.clock.shared());
    site.runner().start(&supervisor);
    let turned = async {
        loop {
            site.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
            if site.clock.now() > "2027-01-01T00:31:00Z".parse().unwrap() && !site.jobs().await.is_empty() {
                break;
            }
        }
        // Whoever carries jobs out hears of it.
        assert!(matches!(wakes.recv().await.unwrap(), postern_store::Wake::JobReady(_)));
    };
    tokio::time::timeout(Duration::from_mins(1), turned).await.unwrap();
}
