//! The line between agent and control plane is cut and held at random points of an import, two hundred seeds: every
//! import ends, and the end state is the directory.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::in_process_agent::{Circumstances, InProcessAgent, directory, enroll};
use postern_tests::people::Person;
use postern_tests::seeded::Seeded;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{Stage, control_plane, scenario};
use serde_json::Value;

/// Two chunks, and one of groups: an import can be resumed between them.
const USERS: u32 = 700;
/// A line that is held for longer than three intervals without a word is given up on both sides.
const HEARTBEAT_SECS: &str = "1";
const HELD: Duration = Duration::from_millis(4_500);
/// Long enough for a lease of a job to expire and be taken up again, whatever else these two cores do.
const PATIENCE: Duration = Duration::from_mins(1);

/// Two sites at once: an import waits most of the time until both ends notice that the line is cut.
fn seeds(range: Range<u64>) -> Result<()> {
    let middle = u64::midpoint(range.start, range.end);
    scenario(async |stage| {
        tokio::try_join!(seeds_of_a_site(stage, range.start..middle), seeds_of_a_site(stage, middle..range.end))?;
        Ok(())
    })
}

async fn seeds_of_a_site(stage: &Stage, range: Range<u64>) -> Result<()> {
    let (directory_options, options) = (slapd::Options::people(USERS), control_plane::Options::for_tests()?);
    let options = options.set("heartbeat_interval_secs", HEARTBEAT_SECS);
    let site = Site::without_agent(stage, directory_options, options).await?;
    let circumstances = Circumstances::impatient();
    let identity = enroll(&site.api.enrollment_token().await?, &circumstances).await?;
    let served = vec![directory(&site.settings.directories[0])?];
    let _agent = InProcessAgent::start(identity, served, &circumstances);
    site.api.directory(DIRECTORY).await?;
    let before = site.line.bytes();
    site.api.import(DIRECTORY).await?;
    let usual = site.line.bytes() - before;
    let (seeds, mut struck) = (range.end - range.start, 0);
    let mut last = Some(USERS - 1);
    for seed in range {
        struck += one_seed(&site, seed, usual, &mut last).await.with_context(|| format!("seed {seed}"))?;
    }
    ensure!(struck as u64 >= seeds / 2, "only {struck} faults struck in {seeds} imports");
    Ok(())
}

/// Gives how many faults struck.
async fn one_seed(site: &Site, seed: u64, usual: u64, last: &mut Option<u32>) -> Result<usize> {
    let mut random = Seeded::new(seed);
    change_somebody(site, &mut random).await?;
    if random.below(2) == 0 {
        *last = leave_or_come(site, *last, USERS + u32::try_from(seed)?).await?;
    }
    // One fault may come after the end: then this import is the undisturbed one.
    let faults = random.faults(usual + usual / 5, HELD);
    site.line.plan(faults.clone());
    let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
    let job = site.api.finished(&job.id, PATIENCE).await.with_context(|| format!("faults {faults:?}"))?;
    let struck = faults.len().saturating_sub(site.line.faults_to_come());
    site.line.plan([]);
    let job = job.expect("succeeded")?;
    ensure!(job.count("missing") <= 1, "{job:?}");
    site.compare().await.with_context(|| format!("faults {faults:?}"))?;
    Ok(struck)
}

/// Somebody gets another title.
async fn change_somebody(site: &Site, random: &mut Seeded) -> Result<()> {
    let changed = Person::nth(u32::try_from(random.below(u64::from(USERS - 10)))?);
    site.slapd.replace(&changed.dn(SUFFIX), "title", &[&format!("Title {}", random.number())]).await
}

/// The last one leaves, or where nobody is in that place, a new person comes. Gives who is there now.
async fn leave_or_come(site: &Site, last: Option<u32>, newcomer: u32) -> Result<Option<u32>> {
    if let Some(leaver) = last {
        site.slapd.delete(&Person::nth(leaver).dn(SUFFIX)).await?;
        return Ok(None);
    }
    let mut ldif = Vec::new();
    Person::nth(newcomer).write_ldif(SUFFIX, &mut ldif)?;
    site.slapd.apply(ldif).await?;
    Ok(Some(newcomer))
}

#[test]
fn cut_and_held_at_random_points_seeds_0_to_49() -> Result<()> {
    seeds(0..50)
}

#[test]
fn cut_and_held_at_random_points_seeds_50_to_99() -> Result<()> {
    seeds(50..100)
}

#[test]
fn cut_and_held_at_random_points_seeds_100_to_149() -> Result<()> {
    seeds(100..150)
}

#[test]
fn cut_and_held_at_random_points_seeds_150_to_199() -> Result<()> {
    seeds(150..200)
}
