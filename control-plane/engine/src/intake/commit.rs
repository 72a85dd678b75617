//! The end of a proven import: freed names, memberships, and missing accounts. Each step may be repeated, because the
//! control plane may be killed between any two.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_store::{AccountId, Directory, Job, JobId, Lease, MemberStats, Staged, Store, Switch};
use serde_json::Value;

use super::conflicts::{self, Settled};
use super::containers::Containers;
use super::deferred::{Outcome, Proven};
use super::describe::{self, Concluded};
use super::gone::Gone;
use super::hold::{self, Doubt, Hold};
use super::listed::Listed;
use super::missing::{self, Missing};
use super::nobody;
use super::notes::Notes;
use super::reading::Reading;
use super::repeats::Repeats;
use super::report::ImportReport;
use super::result::ImportResult;
use super::source::Origin;
use super::{groups, heirs, people, reconcile, shared, standing};
use crate::jobs::failure::Failure;
use crate::jobs::running::Running;

/// How long to wait for the agent's report. Without it the import is still valid, and its result says less.
const REPORT_PATIENCE: Duration = Duration::from_secs(10);
/// Accounts marked in one transaction.
const BATCH: usize = 5_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// How far the end of an import came.
pub(super) enum End {
    /// It needs a decision first.
    Held(Box<Hold>),
    /// Everything is written, and this is what the import brought. Joined users until this time are reported with it.
    Done(Box<ImportResult>, Timestamp),
    /// The job has ended, or left this replica.
    Over,
}

/// Finishes a proven import, or holds it for a decision.
pub async fn run(running: &Arc<Running>, job: JobId, attempt: u32) -> Result<()> {
    let Some(claimed) = running.table.change(job, attempt, |entry| entry.job.clone()) else { return Ok(()) };
    let data = Data { store: &running.store, is_copy: false };
    match Box::pin(conclude(running, data, &claimed)).await? {
        End::Held(hold) => hold_job(running, &claimed, &hold).await,
        End::Over => Ok(()),
        End::Done(result, until) => {
            reconcile::begin(&running.store, &claimed, running.clock.now()).await?;
            running.succeed(job, attempt, serde_json::to_value(*result).unwrap_or_default()).await?;
            running.store.joins_are_reported(claimed.organization, claimed.directory, until).await.map(|_| ())
        }
    }
}

async fn hold_job(running: &Arc<Running>, job: &Job, hold: &Hold) -> Result<()> {
    tracing::warn!(job = %job.id, missing = hold.missing, known = hold.known, "intake.held");
    running.write_progress_of(job.id, job.attempt).await?;
    if running.hold(job, &hold.to_json()).await? {
        return Ok(());
    }
    if is_unwanted(running, job).await? {
        return running.cancel_now(job.id, job.attempt).await;
    }
    running.table.remove(job.id, job.attempt);
    Ok(())
}

/// Whether the job was canceled in the meantime.
async fn is_unwanted(running: &Running, job: &Job) -> Result<bool> {
    let job = running.store.job_by_id(job.id).await?;
    Ok(job.is_some_and(|job| job.cancel_requested))
}

/// Where the entries of an import are, and where its end writes.
#[derive(Clone, Copy)]
pub(super) struct Data<'d> {
    /// The database, or a copy.
    pub(super) store: &'d Store,
    /// It is a copy, which is thrown away.
    pub(super) is_copy: bool,
}

/// Finishes an import as far as it may: everything but the end of its job.
pub(super) async fn conclude(running: &Arc<Running>, data: Data<'_>, job: &Job) -> Result<End> {
    let attempt = job.attempt;
    let report = running.table.change(job.id, attempt, |entry| entry.report.subscribe());
    let Some(report) = report else { return Ok(End::Over) };
    let Some(notes) = Notes::of(running, job.id, attempt) else { return Ok(End::Over) };
    let fresh = notes.missing_planned.is_none();
    let Some(directory) = usable_directory(running, job, fresh).await? else { return Ok(End::Over) };
    let commit = Commit { running, data, job, directory };
    let staged = data.store.staged(job.organization, job.id, attempt).await?;
    if fresh && is_unwanted(running, job).await? {
        return commit.canceled().await;
    }
    let Some(repeats) = commit.repeats(&staged).await? else { return commit.stopped().await };
    let listed = Listed::new(&[], &[]).with_binary(&notes.binary);
    let reading = Reading::of(data.store, job.organization, job.directory, listed).await?;
    let proven = commit.proven(&staged, &repeats, &reading);
    let Some(kept) = proven.settle_deferred(job.approvals.changes).await? else { return commit.stopped().await };
    let (mut missing, counted) = commit.read_all(&staged).await?;
    if fresh && is_unwanted(running, job).await? {
        return commit.canceled().await;
    }
    let spared = missing.spare(notes.unusable);
    let mut gone = Gone::of(&job.input);
    let confirmed = missing.keep_confirmed(data.store, job, &mut gone).await?;
    let origin = notes.origin;
    let unproven = origin.as_ref().is_some_and(|origin| origin.unproven);
    let other_server = if unproven { missing.spare(u64::MAX) } else { 0 };
    let doubt = commit.doubt(&missing, &staged, &kept, origin.as_ref(), &gone).await?;
    if !doubt.is_none() {
        let report = commit.report(report).await;
        commit.note(&staged, &report);
        return Ok(End::Held(Box::new(hold::describe(&proven, &missing, &kept, &doubt).await?)));
    }
    if !job.approvals.changes
        && fresh
        && let Some(failure) = nobody::failure(&staged, notes.unusable)
    {
        running.fail(job.id, attempt, failure.to_json()).await?;
        return Ok(End::Over);
    }
    let planned = commit.plan(missing.accounts.len() as u64).await?;
    let Some(settled) = commit.conclude(&missing, &proven).await? else { return commit.stopped().await };
    // A missing account stays a member, but a settled conflict can give a member its user.
    let members = if settled.settled == 0 { counted } else { commit.count_members().await? };
    let report = commit.report(report).await;
    commit.note(&staged, &report);
    let renamings = &notes.renamings;
    let concluded = Concluded { missing: planned, spared, other_server, confirmed, renamings };
    // An administrator may link an account during this step: the next import reports that.
    let until = running.clock.now();
    let mut result = describe::result(data.store, job, &commit.directory, &staged, concluded, members, &report).await?;
    let problem = standing::problem(&report, notes.unusable, &repeats, &result);
    data.store.note_import(&commit.lease(), problem.as_deref(), until).await?;
    note_gone(&mut result, &gone, !fresh);
    note_changes(&mut result, kept, settled);
    note_repeats(job.id, missing.twice, &repeats, &mut result);
    commit.note_source(origin, &mut result).await?;
    Ok(End::Done(Box::new(result), until))
}

/// The directory of the import. `None`: it was deleted, or disabled before anything was marked, and the job has failed.
async fn usable_directory(running: &Arc<Running>, job: &Job, fresh: bool) -> Result<Option<Directory>> {
    let failure = match running.store.get_directory(job.organization, job.directory).await? {
        None => Failure::new("deleted", "The directory was deleted.", "Announce it again by restarting its agent."),
        // A disabled directory changes nothing, least of all marks accounts missing. Only an interrupted commit that
        // had begun to mark accounts is completed.
        Some(directory) if directory.disabled && fresh => Failure::disabled(),
        Some(directory) => return Ok(Some(directory)),
    };
    running.fail(job.id, job.attempt, failure.to_json()).await.map(|()| None)
}

struct Commit<'a> {
    running: &'a Arc<Running>,
    data: Data<'a>,
    job: &'a Job,
    directory: Directory,
}

impl Commit<'_> {
    fn lease(&self) -> Lease {
        Lease { job: self.job.id, attempt: self.job.attempt, owner: self.running.owner }
    }

    /// After a step that may not write: the job was taken over, or its directory was deleted, which ends it.
    async fn stopped(&self) -> Result<End> {
        usable_directory(self.running, self.job, false).await.map(|_| End::Over)
    }

    async fn canceled(&self) -> Result<End> {
        self.running.cancel_now(self.job.id, self.job.attempt).await.map(|()| End::Over)
    }

    /// The external ids that came more than once. `None`: too many are shared, and the job has failed.
    async fn repeats(&self, staged: &Staged) -> Result<Option<Repeats>> {
        let (store, now) = (self.data.store, self.running.clock.now());
        let repeats = Repeats::find(store, &self.directory, self.lease(), staged, now).await?;
        let Some(failure) = repeats.failure() else {
            let remembered = shared::remember(store, &self.directory, self.lease(), &repeats, now).await?;
            return Ok(remembered.map(|()| repeats));
        };
        self.running.fail(self.job.id, self.job.attempt, failure.to_json()).await.map(|()| None)
    }

    fn proven<'p>(&'p self, staged: &'p Staged, repeats: &'p Repeats, reading: &'p Reading) -> Proven<'p> {
        let (store, now) = (self.data.store, self.running.clock.now());
        Proven { store, directory: &self.directory, lease: self.lease(), staged, repeats, reading, now }
    }

    /// What needs a decision, unless the import was approved.
    async fn doubt(
        &self,
        missing: &Missing,
        staged: &Staged,
        kept: &Outcome,
        origin: Option<&Origin>,
        gone: &Gone,
    ) -> Result<Doubt> {
        if self.job.approvals.changes {
            return Ok(Doubt::default());
        }
        let emptied = Containers::of(self.data.store, &self.directory, missing, false).await?.emptied();
        let configured = origin.and_then(|origin| hold::of_other_configuration(&origin.differing, missing));
        let usual = missing.doubt(&self.directory, staged);
        // An import that marks no account missing needs no decision about that.
        let named = gone.doubt().filter(|_| !missing.accounts.is_empty());
        let missing = configured.into_iter().chain(named).chain(usual).chain(hold::of_emptied(&emptied)).collect();
        Ok(Doubt { missing, excesses: kept.excesses.clone() })
    }

    /// Records the final progress, which a quick import may not have sent.
    fn note(&self, staged: &Staged, report: &ImportReport) {
        self.running.table.change(self.job.id, self.job.attempt, |entry| {
            let progress = &mut entry.progress;
            progress.entries_stored = staged.users + staged.groups;
            progress.entries_read = progress.entries_read.max(progress.entries_stored);
            progress.pages_read = progress.pages_read.max(report.pages);
            progress.dirty = true;
        });
    }

    /// Records the source of the import: the next one is compared with it.
    async fn note_source(&self, origin: Option<Origin>, result: &mut ImportResult) -> Result<()> {
        let Some(mut origin) = origin else { return Ok(()) };
        origin.source.at = Some(self.running.clock.now());
        if !origin.differing.is_empty() {
            result.other_configuration.clone_from(&origin.differing);
        }
        let configuration = origin.source.configuration();
        let source = serde_json::to_value(&origin.source).unwrap_or_default();
        self.data.store.set_directory_source(&self.lease(), &source, &configuration).await.map(|_| ())
    }

    /// Records how many accounts will be marked, before the first is: counting after a kill would miss some.
    async fn plan(&self, missing: u64) -> Result<u64> {
        if self.data.is_copy {
            return Ok(missing);
        }
        let noted = Notes::change(self.running, self.job.id, self.job.attempt, |notes| {
            notes.missing_planned = Some(notes.missing_planned.unwrap_or_default().max(missing));
        });
        self.running.write_progress_of(self.job.id, self.job.attempt).await?;
        Ok(noted.and_then(|notes| notes.missing_planned).unwrap_or(missing))
    }

    async fn count_members(&self) -> Result<MemberStats> {
        self.data.store.count_members(self.job.organization, self.job.directory).await
    }

    /// Marks missing accounts, then settles groups, names and profiles. `None` if the job was taken over.
    async fn conclude(&self, missing: &Missing, proven: &Proven<'_>) -> Result<Option<Settled>> {
        let now: Timestamp = self.running.clock.now();
        let store = self.data.store;
        let (organization, directory) = (self.job.organization, self.job.directory);
        for batch in missing.accounts.chunks(BATCH) {
            let mut tx = store.begin_intake(organization, directory, now).await?;
            if !tx.check_owner(&self.lease()).await? {
                return Ok(None);
            }
            // Such an account said on when it came last, and says off from now on.
            let disabled = batch.iter().filter(|account| missing.disabled.contains(account));
            let disabled: Vec<(AccountId, Switch)> = disabled.map(|account| (*account, Switch::Off)).collect();
            tx.lower_switches(&disabled).await?;
            tx.mark_missing(self.job.id, batch).await?;
            tx.commit().await?;
        }
        let Some(groups) = groups::settle(store, &self.directory, self.lease(), now).await? else { return Ok(None) };
        let Some(mut settled) = conflicts::settle(store, &self.directory, self.lease(), now).await? else {
            return Ok(None);
        };
        settled.settled += groups.taken_over;
        settled.taken_over += groups.taken_over;
        settled.samples.extend(groups.samples);
        settled.samples.truncate(people::SHOWN);
        let Some(()) = heirs::settle(store, &self.directory, self.lease(), now).await? else { return Ok(None) };
        let (staged, repeats) = (proven.staged, proven.repeats);
        let forgotten = shared::forget(store, &self.directory, self.lease(), staged, repeats, now).await?;
        Ok(forgotten.map(|()| settled))
    }

    async fn report(&self, mut report: tokio::sync::watch::Receiver<Option<Value>>) -> ImportReport {
        let sent = tokio::select! {
            sent = report.wait_for(Option::is_some) => sent.ok().and_then(|sent| sent.clone()),
            () = self.running.clock.sleep(REPORT_PATIENCE) => None,
        };
        sent.and_then(|sent| serde_json::from_value(sent).ok()).unwrap_or_default()
    }

    /// Finds missing accounts and counts known members. Both read everything and change nothing, so they run in
    /// parallel, but for one import at a time.
    async fn read_all(&self, staged: &Staged) -> Result<(Missing, MemberStats)> {
        let _turn = self.running.reading_turn.lock().await;
        let store = self.data.store;
        tokio::try_join!(
            missing::find(store, &self.directory, self.job.id, self.job.attempt, staged),
            self.count_members(),
        )
    }
}

/// Adds entries that came more than once, and those left out because others have their external ids.
fn note_repeats(job: JobId, again: u64, repeats: &Repeats, result: &mut ImportResult) {
    repeats.correct(again, result);
    if result.duplicates > 0 {
        tracing::warn!(job = %job, left_out = result.duplicates, "intake.duplicates: entries have the external ids of others");
    }
}

/// Adds the containers named as deleted that covered no account. A resumed commit does not know which accounts they
/// covered before.
fn note_gone(result: &mut ImportResult, gone: &Gone, goes_on: bool) {
    if !goes_on {
        result.gone_unused = gone.unused();
    }
}

/// Adds the numbers of applied sensitive changes to a result, and some of the users.
fn note_changes(result: &mut ImportResult, kept: Outcome, settled: Settled) {
    result.taken_over = settled.taken_over;
    result.taken_over_samples = settled.samples;
    let Outcome { counts, samples, .. } = kept;
    result.became_active_samples = samples.active;
    result.became_inactive_samples = samples.inactive;
    result.renamed_samples = samples.renamed;
    result.became_active = counts.activated;
    result.became_inactive = counts.deactivated;
    result.ends_soon = counts.ends_soon;
    result.renamed = counts.renamed;
    result.members_removed = counts.removed;
    result.attributes_gone = counts.vanished;
}
