//! Accounts that would be marked missing: they are in the store but not in a proven import.

use std::collections::{HashMap, HashSet};

use postern_store::{
    AccountId, AccountKind, Directory, ExternalKey, Job, JobId, MemberForm, OrganizationId, Sight, Staged, Store,
    Threshold,
};

use super::gone::Gone;
use super::keys::{GROUP_MARK, recorded_key};
use super::sensitive::RETURNS;
use super::threshold;

/// Most samples of missing accounts.
const SAMPLES: usize = 20;

/// Accounts read at a time.
const BATCH: usize = 5_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The comparison of a proven import with the store.
#[derive(Debug, Default)]
pub struct Missing {
    /// The accounts that the import did not contain.
    pub accounts: Vec<AccountId>,
    /// Which of them are groups.
    group_accounts: HashSet<AccountId>,
    /// Users' accounts that were present before the import.
    pub users: u64,
    /// Groups' accounts that were present before the import.
    pub groups: u64,
    /// External ids of some of the missing.
    pub samples: Vec<String>,
    /// Entries whose external id came earlier in the same import.
    pub twice: u64,
    /// Those of the missing that are still in the directory, and disabled there.
    pub disabled: HashSet<AccountId>,
}

impl Missing {
    /// Accounts that were present before the import, of both kinds.
    pub fn present(&self) -> u64 {
        self.users + self.groups
    }

    /// Marks nothing if entries came whose external id could not be read: missing accounts may be among them. Returns
    /// how many were spared.
    pub fn spare(&mut self, unusable: u64) -> u64 {
        if unusable == 0 {
            return 0;
        }
        self.samples.clear();
        self.group_accounts.clear();
        std::mem::take(&mut self.accounts).len() as u64
    }

    /// Keeps the accounts that a second, direct search found to be gone or out of scope, and those whose missing
    /// container was reported as deleted.
    pub async fn keep_confirmed(&mut self, store: &Store, job: &Job, gone: &mut Gone) -> Result<Confirmed> {
        let seen = store.sights(job.organization, job.id, job.attempt).await?;
        let mut seen: HashMap<AccountId, Sight> = seen.into_iter().collect();
        if !gone.is_empty() {
            let without = |account: &&AccountId| seen.get(account) == Some(&Sight::ContainerNotFound);
            let without: Vec<AccountId> = self.accounts.iter().filter(without).copied().collect();
            for batch in without.chunks(BATCH) {
                for account in store.sought_accounts(job.organization, batch).await? {
                    if gone.take(&account.dn) {
                        seen.insert(account.id, Sight::Absent);
                    }
                }
            }
        }
        // Counted over all, because after a kill some are marked already.
        let count = |wanted: Sight| seen.values().filter(|sight| **sight == wanted).count() as u64;
        let left_disabled = count(Sight::LeftScopeDisabled);
        let left_scope = count(Sight::LeftScope) + left_disabled;
        let mut confirmed = Confirmed { left_scope, left_disabled, ..Confirmed::default() };
        let disabled = seen.iter().filter(|(_, sight)| **sight == Sight::LeftScopeDisabled);
        self.disabled = disabled.map(|(account, _)| *account).collect();
        self.accounts.retain(|account| {
            let Some(sight) = seen.get(account) else {
                confirmed.not_looked_for += 1;
                return false;
            };
            confirmed.not_visible += u64::from(!sight.is_missing());
            sight.is_missing()
        });
        if confirmed.not_visible + confirmed.not_looked_for > 0 {
            let some: Vec<AccountId> = self.accounts.iter().take(SAMPLES).copied().collect();
            let some = store.sought_accounts(job.organization, &some).await?;
            self.samples = some.into_iter().map(|account| account.external_key.to_text()).collect();
        }
        Ok(confirmed)
    }

    /// Why a decision is needed. `None`: they may be marked.
    pub fn doubt(&self, directory: &Directory, staged: &Staged) -> Option<String> {
        // Regardless of number: an import without any entry is far more often a fault than the truth.
        if self.accounts.is_empty() {
            return None;
        }
        let emptied: Vec<String> = [("user", self.users, staged.users), ("group", self.groups, staged.groups)]
            .into_iter()
            .filter(|(_, known, came)| *known > 0 && *came == 0)
            .map(|(kind, known, _)| format!("no {kind} at all, and {known} known {kind} accounts"))
            .collect();
        if !emptied.is_empty() {
            let emptied = emptied.join(", and ");
            return Some(format!("The directory returned {emptied} would be marked missing."));
        }
        let groups = self.accounts.iter().filter(|account| self.group_accounts.contains(account)).count() as u64;
        let all = self.accounts.len() as u64;
        // Both kinds together and each alone: many users would hide that most groups are gone.
        [
            ("accounts", all, self.present()),
            ("user accounts", all - groups, self.users),
            ("group accounts", groups, self.groups),
        ]
        .into_iter()
        .find(|(_, count, present)| exceeds(directory, *count, *present))
        .map(|(what, count, present)| {
            let percent = directory.missing_threshold_percent;
            let share = if present < 10 { "at least half".to_owned() } else { format!("more than {percent} %") };
            format!("{count} of {present} known {what} were not found and would be marked missing, which is {share}.")
        })
    }
}

/// Whether more are missing than the directory's threshold allows.
fn exceeds(directory: &Directory, missing: u64, present: u64) -> bool {
    let (percent, minimum) = (directory.missing_threshold_percent, directory.missing_threshold_minimum);
    threshold::exceeds(Threshold { percent, minimum }, missing, present)
}

/// The results of the second look at accounts that an import did not bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confirmed {
    /// They exist outside of base DN, scope or filter: still missing.
    pub left_scope: u64,
    /// Of these: the directory does not let them in.
    pub left_disabled: u64,
    /// It is unknown whether they exist: not missing.
    pub not_visible: u64,
    /// They were not looked for: not missing.
    pub not_looked_for: u64,
}

/// Compares with an import of this many entries. Accounts that came with this import do not count as known, so that new
/// ones do not outweigh those who left. Memory: 16 bytes for each entry and each missing account.
pub async fn find(
    store: &Store,
    directory: &Directory,
    job: JobId,
    generation: u32,
    staged: &Staged,
) -> Result<Missing> {
    let mut seen = seen(store, directory.organization, job, generation, staged).await?;
    let came = seen.len();
    seen.dedup();
    let mut missing = Missing { twice: (came - seen.len()) as u64, ..Missing::default() };
    let groups = seen.len() - seen.partition_point(|key| key & GROUP_MARK == 0);
    let kept = store.deferred(directory.organization, job, generation).await?;
    let returns = kept.iter().any(|part| part.kinds & RETURNS != 0);
    // A group that users name has no entry that could be missing. It stays, empty if nobody names it.
    let form = store.member_form(directory.organization, directory.id).await?;
    let by_users = form == Some(MemberForm::GroupNames);
    let known = |present: u64, kind| present.saturating_sub(staged.created_of(kind));
    for (kind, came) in [(AccountKind::User, seen.len() - groups), (AccountKind::Group, groups)] {
        // Each entry has an account, which is not marked missing unless it is kept aside. So if there are no more
        // accounts than entries, they are the same.
        let present = store.count_present(directory.organization, directory.id, kind).await?;
        if present == came as u64 && !returns {
            match kind {
                AccountKind::User => missing.users = known(present, kind),
                AccountKind::Group => missing.groups = known(present, kind),
            }
            continue;
        }
        let mut named = 0;
        let was_seen = |key: &ExternalKey| {
            let is_named = by_users && kind == AccountKind::Group && key.is_named_group();
            named += u64::from(is_named);
            is_named || seen.binary_search(&recorded_key(kind, key)).is_ok()
        };
        let unseen = store.unseen_accounts(directory.organization, directory.id, kind, was_seen).await?;
        match kind {
            AccountKind::User => missing.users = known(unseen.present, kind),
            AccountKind::Group => missing.groups = known(unseen.present, kind).saturating_sub(named),
        }
        for account in unseen.accounts {
            missing.accounts.push(account.id);
            if kind == AccountKind::Group {
                missing.group_accounts.insert(account.id);
            }
            if missing.samples.len() < SAMPLES {
                missing.samples.push(account.external_key.to_text());
            }
        }
    }
    Ok(missing)
}

/// The keys that came more than once, sorted, with how often each came.
pub async fn repeated(
    store: &Store,
    directory: &Directory,
    job: JobId,
    generation: u32,
    staged: &Staged,
) -> Result<Vec<(u128, u32)>> {
    let seen = seen(store, directory.organization, job, generation, staged).await?;
    let of_one_key = seen.chunk_by(|one, next| one == next).filter(|same| same.len() > 1);
    Ok(of_one_key.filter_map(|same| Some((*same.first()?, u32::try_from(same.len()).unwrap_or(u32::MAX)))).collect())
}

/// The keys of all entries of the import, sorted.
pub(super) async fn seen(
    store: &Store,
    organization: OrganizationId,
    job: JobId,
    generation: u32,
    staged: &Staged,
) -> Result<Vec<u128>> {
    let entries = usize::try_from(staged.users + staged.groups).unwrap_or_default();
    // Allocated at once: growing step by step would need up to three times as much for a moment.
    let mut seen = Vec::with_capacity(entries);
    let mut from = 0;
    loop {
        let page = store.staged_keys(organization, job, generation, from, 64).await?;
        let Some(last) = page.last() else { break };
        from = last.sequence + 1;
        for chunk in &page {
            seen.extend(
                chunk
                    .keys
                    .chunks_exact(size_of::<u128>())
                    .map(|key| key.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte))),
            );
        }
    }
    seen.sort_unstable();
    Ok(seen)
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;
    use postern_store::{DirectoryId, Flavour};

    use super::*;

    pub(in crate::intake) fn directory() -> Directory {
        Directory {
            id: DirectoryId::new(),
            organization: OrganizationId::new(),
            name: "corp".into(),
            display_name: "corp".into(),
            flavour: Flavour::OpenLdap,
            disabled: false,
            missing_threshold_percent: 10,
            missing_threshold_minimum: 10,
            thresholds: postern_store::Thresholds::default(),
            created_at: Timestamp::UNIX_EPOCH,
            deleted_at: None,
            agents: Vec::new(),
            sessions: Vec::new(),
            problems: Vec::new(),
            configurations: Vec::new(),
            configuration: postern_store::Digests::default(),
            last_import_at: None,
            import_problem: None,
            mapping_failures: 0,
            troubled: None,
        }
    }

    fn missing(missing: usize, users: u64) -> Missing {
        let accounts = (0..missing).map(|_| AccountId::new()).collect();
        Missing { accounts, users, ..Missing::default() }
    }

    fn came(users: u64, groups: u64) -> Staged {
        Staged { users, groups, ..Staged::default() }
    }

    #[test]
    fn a_kind_of_which_nothing_came_is_held_however_few_were_known() {
        let doubt = |known: (u64, u64), came: Staged| {
            let accounts: Vec<AccountId> = (0..known.0 + known.1).map(|_| AccountId::new()).take(5).collect();
            let users = usize::try_from(known.0).unwrap();
            let group_accounts = accounts.iter().skip(users).copied().collect();
            let missing = Missing { accounts, group_accounts, users: known.0, groups: known.1, ..Missing::default() };
            missing.doubt(&directory(), &came)
        };
        let users = doubt((5, 1_000), came(0, 1_000)).expect("held");
        assert!(users.contains("no user at all, and 5 known user accounts would be"), "{users}");
        let groups = doubt((1_000, 1), came(1_000, 0)).expect("held");
        assert!(groups.contains("no group at all, and 1 known group accounts would be"), "{groups}");
        let both = doubt((3, 2), came(0, 0)).expect("held");
        assert!(both.contains("3 known user accounts, and no group at all"), "{both}");
        assert_eq!(doubt((0, 1_000), came(0, 995)), None, "a kind that was never there may stay away");
        assert_eq!(doubt((20, 0), came(15, 0)), None, "below the minimum, and something came");
    }

    #[test]
    fn many_users_do_not_hide_that_most_groups_are_gone() {
        let accounts: Vec<AccountId> = (0..50).map(|_| AccountId::new()).collect();
        let group_accounts = accounts.iter().copied().collect();
        let groups = Missing { accounts, group_accounts, users: 1_000, groups: 60, ..Missing::default() };
        let doubt = groups.doubt(&directory(), &came(1_000, 10)).expect("held");
        assert!(doubt.contains("50 of 60 known group accounts"), "{doubt}");
        let users = Missing { users: 1_000, groups: 60, ..missing(50, 0) };
        assert_eq!(users.doubt(&directory(), &came(950, 60)), None);
        // New groups do not hide that users are missing, either.
        let users = Missing { users: 455, groups: 0, ..missing(55, 0) };
        assert!(users.doubt(&directory(), &came(400, 500)).is_some());
    }

    #[test]
    fn nobody_is_missing_while_entries_came_that_nobody_could_name() {
        let mut some = missing(50, 50);
        assert_eq!(some.spare(50), 50);
        assert!(some.accounts.is_empty());
        assert_eq!(some.doubt(&directory(), &came(0, 0)), None, "nothing is concluded, so nothing is to be decided");
        let mut all_named = missing(3, 50);
        assert_eq!(all_named.spare(0), 0);
        assert_eq!(all_named.accounts.len(), 3);
    }

    #[test]
    fn an_import_is_held_above_the_share_and_the_minimum_only() {
        let exceeds = |count, present| super::exceeds(&directory(), count, present);
        assert!(!exceeds(9, 12), "fewer than the minimum never hold");
        assert!(exceeds(8, 9), "but in a small directory");
        assert!(exceeds(10, 10));
        assert!(!exceeds(100, 1_000), "exactly the share does not hold");
        assert!(exceeds(101, 1_000));
        assert!(!exceeds(0, 0));
    }
}
