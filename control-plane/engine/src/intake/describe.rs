//! Builds the result of an import from what was recorded and stored.

use jiff::Timestamp;
use postern_dn::Dn;
use postern_store::{AccountId, Directory, Job, JoinedAccount, MemberStats, Sight, Staged, Store, Unsettled};

use super::conflicts;
use super::missing::Confirmed;
use super::moved_containers;
use super::notes::Renaming;
use super::people::Person;
use super::report::ImportReport;
use super::result::{ImportResult, JoinedSample, NotVisible, RuleFailureSample, UnresolvedMember, WithoutLogin};

/// Most samples of each kind.
const SAMPLES: u32 = 20;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// What the end of the import found about accounts that did not come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Concluded<'c> {
    pub(super) missing: u64,
    pub(super) spared: u64,
    pub(super) other_server: u64,
    pub(super) confirmed: Confirmed,
    /// Containers that are not found and seem to be renamed.
    pub(super) renamings: &'c [Renaming],
}

/// The result of an import, without what only its end knows.
pub(super) async fn result(
    store: &Store,
    job: &Job,
    directory: &Directory,
    staged: &Staged,
    concluded: Concluded<'_>,
    members: MemberStats,
    report: &ImportReport,
) -> Result<ImportResult> {
    let Concluded { missing, spared, other_server, confirmed, renamings } = concluded;
    let (conflicts, conflict_samples) = conflicts::describe(store, directory, SAMPLES as usize).await?;
    let since = job.started_at.unwrap_or(job.created_at);
    let (deactivated, deactivated_samples) = match missing {
        0 => (0, Vec::new()),
        _ => deactivated(store, job, since).await?,
    };
    let (joined, joined_samples) = joined(store, job).await?;
    let (without_login, without_login_samples) = without_login(store, job).await?;
    let (rule_failures, rule_failure_samples) = rule_failures(store, job).await?;
    Ok(ImportResult {
        missing,
        missing_spared: spared,
        missing_other_server: other_server,
        missing_not_looked_for: confirmed.not_looked_for,
        missing_left_scope: confirmed.left_scope,
        missing_disabled: confirmed.left_disabled,
        missing_disabled_samples: left_disabled(store, job, confirmed).await?,
        not_visible: confirmed.not_visible,
        not_visible_samples: not_visible(store, job, confirmed, renamings).await?,
        deactivated,
        deactivated_samples,
        unreadable_switch: report.unreadable_switch.clone(),
        unknown_switch_samples: report.unknown_switch_samples.iter().take(SAMPLES as usize).cloned().collect(),
        conflicts,
        conflict_samples,
        joined,
        joined_samples,
        without_login,
        without_login_samples,
        members_resolved: members.resolved,
        members_without_user: members.without_user,
        members_unresolved: members.unresolved,
        members_ambiguous: members.shared,
        members_unresolved_samples: unresolved(store, job, members).await?,
        pages: report.pages,
        referrals: report.referrals,
        unusable: report.unusable,
        unusable_samples: report.unusable_samples.clone(),
        values_left_out: report.values_left_out,
        left_out_samples: report.left_out_samples.clone(),
        remarks: report.remarks,
        remark_samples: report.remark_samples.clone(),
        rule_failures,
        rule_failure_samples,
        ..figures(staged)
    })
}

/// What the entries alone brought.
fn figures(staged: &Staged) -> ImportResult {
    let entries = staged.users + staged.groups;
    let written = staged.created + staged.changed + staged.returned;
    ImportResult {
        users: staged.users,
        groups: staged.groups,
        created: staged.created,
        updated: staged.changed,
        returned: staged.returned,
        unchanged: entries.saturating_sub(written),
        unknown_switches: staged.unknown_switches,
        ..ImportResult::default()
    }
}

/// How many users left and became inactive, with samples.
async fn deactivated(store: &Store, job: &Job, since: Timestamp) -> Result<(u64, Vec<Person>)> {
    let count = store.count_deactivated(job.organization, job.directory, since).await?;
    let some = match count {
        0 => Vec::new(),
        _ => store.deactivated(job.organization, job.directory, since, SAMPLES).await?,
    };
    Ok((count, some.into_iter().map(Person::from).collect()))
}

/// How often mapping rules failed, with samples.
async fn rule_failures(store: &Store, job: &Job) -> Result<(u64, Vec<RuleFailureSample>)> {
    let (count, some) = store.rule_failures(job.organization, job.id, job.attempt, SAMPLES).await?;
    let samples = some
        .into_iter()
        .flat_map(|one| -> Vec<RuleFailureSample> { serde_json::from_value(one.samples).unwrap_or_default() });
    Ok((count, samples.take(SAMPLES as usize).collect()))
}

/// Samples of users who left and whom the directory does not let in, by their last DN.
async fn left_disabled(store: &Store, job: &Job, confirmed: Confirmed) -> Result<Vec<String>> {
    if confirmed.left_disabled == 0 {
        return Ok(Vec::new());
    }
    let sights = store.sights(job.organization, job.id, job.attempt).await?;
    let some = sights.into_iter().filter(|(_, sight)| *sight == Sight::LeftScopeDisabled);
    let some: Vec<AccountId> = some.map(|(account, _)| account).take(SAMPLES as usize).collect();
    let named = store.named_accounts(job.organization, &some).await?;
    let mut named: Vec<String> = named.into_iter().map(|account| account.dn).collect();
    named.sort_unstable();
    Ok(named)
}

/// Samples of accounts whose presence is unknown, with the reason.
async fn not_visible(
    store: &Store,
    job: &Job,
    confirmed: Confirmed,
    renamings: &[Renaming],
) -> Result<Vec<NotVisible>> {
    if confirmed.not_visible == 0 {
        return Ok(Vec::new());
    }
    let some = store.unsettled(job.organization, job.id, job.attempt, SAMPLES).await?;
    let shown = |one: Unsettled| {
        let without = Some(&one).filter(|one| one.sight == Sight::ContainerNotFound);
        let container = without.and_then(|one| Dn::parse(&one.dn).ok()?.parent());
        let renamed_to = container.as_ref().and_then(|container| moved_containers::now(renamings, container));
        let container = container.map(|dn| dn.to_string());
        let (external_id, reason) = (one.external_key.to_text(), one.sight.as_str().to_owned());
        NotVisible { dn: one.dn, external_id, reason, container, renamed_to }
    };
    Ok(some.into_iter().map(shown).collect())
}

/// Samples of members that point to no imported entry, or to several.
async fn unresolved(store: &Store, job: &Job, members: MemberStats) -> Result<Vec<UnresolvedMember>> {
    // At most as many as there are, or the search for one more would read all members.
    let some = u32::try_from(members.unresolved).unwrap_or(u32::MAX).min(SAMPLES);
    if some == 0 {
        return Ok(Vec::new());
    }
    let unresolved = store.unresolved_members(job.organization, job.directory, some).await?;
    let shown = unresolved.into_iter();
    let shown = shown.map(|one| UnresolvedMember { group: one.group_name, member: one.key, shared_by: one.shared_by });
    Ok(shown.collect())
}

/// How many accounts joined a user of another directory, with samples.
async fn joined(store: &Store, job: &Job) -> Result<(u64, Vec<JoinedSample>)> {
    let (count, some) = store.joined_accounts(job.organization, job.directory, SAMPLES).await?;
    let shown = some.into_iter();
    let shown = shown.map(|one| {
        let JoinedAccount { dn, user_name, directories, is_own } = one;
        JoinedSample { user_name, dn, directories, own: is_own }
    });
    Ok((count, shown.collect()))
}

/// How many accounts have no login, with samples.
async fn without_login(store: &Store, job: &Job) -> Result<(u64, Vec<WithoutLogin>)> {
    let (count, some) = store.accounts_without_login(job.organization, job.directory, SAMPLES).await?;
    Ok((count, some.into_iter().map(|one| WithoutLogin { dn: one.dn, keeps: one.user_name }).collect()))
}
