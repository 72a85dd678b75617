//! Accounts whose user name another user had: tried again at the end of an import, when names may be free.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use postern_store::{Account, Conflict, Directory, Intake, Lease, Page, PageRequest, Store, UserId, UserRow};

use super::claims::claim;
use super::joined_profiles::JoinedProfiles;
use super::last_good;
use super::matches::Matches;
use super::people::{self, Person};
use super::place::Place;
use super::reading::rules_of;
use super::renames::{Renames, Waiting};
use super::result::ConflictSample;
use super::verdicts::Verdicts;
use crate::identity::mapping::rules::Rules;
use crate::identity::matching::{Claim, Decision, Names, Stage};

/// Conflicts tried in one transaction.
const BATCH: u32 = 500;
/// Most waiting renames that are considered together; the rest is settled by later imports.
const MOST_RENAMES: usize = 100_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The result of trying a directory's conflicts.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_field_names, reason = "what is settled is what is counted")]
pub(super) struct Settled {
    /// Conflicts that were resolved.
    pub(super) settled: u64,
    /// Of these: users who passed from a missing account to another one.
    pub(super) taken_over: u64,
    /// Some of them.
    pub(super) samples: Vec<Person>,
}

impl Settled {
    /// Counts a user who passed to this account.
    fn take_over(&mut self, account: &Account) {
        self.taken_over += 1;
        if self.samples.len() < people::SHOWN {
            self.samples.push(Person::new(&account.dn, account.unique_value.as_deref()));
        }
    }
}

/// Tries every conflict of a directory again; `None` if the job was taken over. First users return to their own
/// accounts and to recreated entries. Then names pass on, until nothing changes.
pub(super) async fn settle(
    store: &Store,
    directory: &Directory,
    lease: Lease,
    now: Timestamp,
) -> Result<Option<Settled>> {
    let rules = rules_of(store, directory).await?;
    let settling = Settling { store, directory, lease, now, rules };
    let Some(mut all) = settling.one_by_one(Stage::Returning).await? else { return Ok(None) };
    loop {
        let Some(tried) = settling.one_by_one(Stage::Settling).await? else { return Ok(None) };
        let Some(renamed) = settling.together().await? else { return Ok(None) };
        all.settled += tried.settled + renamed;
        // Other accounts may wait for names that were given up.
        if tried.settled + renamed == 0 {
            return Ok(Some(all));
        }
    }
}

struct Settling<'a> {
    store: &'a Store,
    directory: &'a Directory,
    lease: Lease,
    now: Timestamp,
    rules: Option<Arc<Rules>>,
}

impl Settling<'_> {
    async fn begin(&self) -> Result<Option<Intake>> {
        let mut tx = self.store.begin_intake(self.directory.organization, self.directory.id, self.now).await?;
        Ok(tx.check_owner(&self.lease).await?.then_some(tx))
    }

    async fn conflicts(&self, page: &PageRequest) -> Result<Page<Conflict>> {
        self.store.list_conflicts(self.directory.organization, self.directory.id, page).await
    }

    /// What an account claims by the current mapping: the directory's flavour may have become known.
    fn claim(&self, account: &Account) -> Option<Claim> {
        claim(Place::of(self.directory), self.rules.as_ref(), account, self.now)
    }

    /// Tries conflicts one by one, in batches.
    async fn one_by_one(&self, stage: Stage) -> Result<Option<Settled>> {
        let (mut page, mut settled) = (PageRequest::first(BATCH), Settled::default());
        loop {
            let conflicts = self.conflicts(&page).await?;
            if !conflicts.items.is_empty() {
                let Some(mut tx) = self.begin().await? else { return Ok(None) };
                let batch = self.batch(&mut tx, stage, conflicts.items).await?;
                tx.commit().await?;
                settled.settled += batch.settled;
                settled.taken_over += batch.taken_over;
                settled.samples.extend(batch.samples);
                settled.samples.truncate(people::SHOWN);
            }
            match conflicts.next {
                Some(next) => page = PageRequest::after(next, BATCH),
                None => return Ok(Some(settled)),
            }
        }
    }

    async fn batch(&self, tx: &mut Intake, stage: Stage, conflicts: Vec<Conflict>) -> Result<Settled> {
        let mut claims: Vec<(Account, Claim)> = conflicts
            .into_iter()
            .filter_map(|conflict| {
                let claim = self.claim(&conflict.account)?;
                Some((conflict.account, claim))
            })
            .collect();
        let known = claims.iter_mut().filter_map(|(_, claim)| Some((claim.current.or(claim.former)?, claim)));
        last_good::keep_of_claims(self.store, self.directory.organization, known).await?;
        let matches = self.matches(tx, stage, &claims).await?;
        let mut wanted: Vec<String> = claims.iter().map(|(_, claim)| claim.wanted.name_key.clone()).collect();
        wanted.extend(matches.name_keys().cloned());
        let found = tx.users_by_name(&wanted, Some(self.lease.job)).await?;
        let users: Vec<UserId> = claims.iter().filter_map(|(_, claim)| claim.current.or(claim.former)).collect();
        let mut names = Names::new(stage, &found, tx.held_users(&users).await?);
        let (mut verdicts, mut settled) = (Verdicts::default(), Settled::default());
        let (mut links, mut nameless, mut all_failed) = (Vec::new(), Vec::new(), HashMap::new());
        for (account, mut claim) in claims {
            claim.found = matches.of(account.id);
            let had = claim.current;
            let failed = std::mem::take(&mut claim.failed);
            let is_new = claim.current.or(claim.former).is_none();
            let decision = names.assign(claim);
            if let Some(user) = decision.identity().filter(|_| is_new && !failed.is_empty()) {
                all_failed.insert(user, failed);
            }
            let identity = decision.identity().map(UserId::as_uuid);
            if matches!(decision, Decision::TakeOver { .. }) {
                settled.take_over(&account);
            }
            match (&decision, identity) {
                // It still waits; everything else was written when it arrived.
                (Decision::Conflict { .. } | Decision::Nameless { .. }, _) if had.is_some() => continue,
                (Decision::Conflict { .. } | Decision::Nameless { .. }, Some(user)) => {
                    nameless.push((account.id, user));
                }
                (_, Some(user)) => {
                    settled.settled += 1;
                    links.push((account.id, user));
                }
                (_, None) => continue,
            }
            verdicts.add(account.id, decision);
        }
        verdicts.keep_last_good(self.store, self.directory.organization, &all_failed).await?;
        let joined = verdicts.joined();
        verdicts.write(tx).await?;
        tx.identities().link_accounts(&links).await?;
        tx.link_nameless(&nameless).await?;
        tx.mark_joined(&joined).await?;
        let users: Vec<UserId> = links.iter().chain(&nameless).map(|(_, user)| UserId::from_uuid(*user)).collect();
        let (unbroken, others) = users.into_iter().partition::<Vec<_>, _>(|user| names.unbroken().contains(user));
        tx.identities().settle_users(&unbroken).await?;
        tx.settle_uncounted(&others).await?;
        self.join(tx, names.joined()).await?;
        Ok(settled)
    }

    /// The users that waiting accounts match. First all of them are recorded; then one whom several match counts for none.
    async fn matches(&self, tx: &mut Intake, stage: Stage, claims: &[(Account, Claim)]) -> Result<Matches> {
        let matches = Matches::of_claims(tx, claims, Place::of(self.directory), self.now).await?;
        if stage == Stage::Settling {
            return matches.without_rivals(tx).await;
        }
        tx.note_matches(&matches.singles()).await?;
        Ok(matches)
    }

    /// Adds the values of other directories to these users.
    async fn join(&self, tx: &mut Intake, users: &[UserId]) -> Result<()> {
        JoinedProfiles::new(self.store, self.directory.organization).write(tx.identities(), users, self.now).await
    }

    /// Applies renames that wait for each other.
    async fn together(&self) -> Result<Option<u64>> {
        let mut renames = Renames::default();
        let mut page = PageRequest::first(BATCH);
        while renames.len() < MOST_RENAMES {
            let conflicts = self.conflicts(&page).await?;
            for conflict in conflicts.items {
                let Some(user) = conflict.account.identity.map(UserId::from_uuid) else { continue };
                let (account, holder, name_key) = (conflict.account.id, conflict.user, conflict.name_key);
                renames.add(Waiting { account, user, holder, name_key });
            }
            match conflicts.next {
                Some(next) => page = PageRequest::after(next, BATCH),
                None => break,
            }
        }
        let (mut settled, mut batch) = (0, Vec::new());
        let mut rows = renames.rows().into_iter().peekable();
        while let Some(row) = rows.next() {
            batch.extend(row);
            if batch.len() >= BATCH as usize || rows.peek().is_none() {
                let Some(done) = self.rename(std::mem::take(&mut batch)).await? else { return Ok(None) };
                settled += done;
            }
        }
        Ok(Some(settled))
    }

    /// Renames all of these at once, or none if a name has been taken since.
    async fn rename(&self, batch: Vec<Waiting>) -> Result<Option<u64>> {
        let Some(mut tx) = self.begin().await? else { return Ok(None) };
        let users: HashSet<UserId> = batch.iter().map(|waiting| waiting.user).collect();
        let names: Vec<String> = batch.iter().map(|waiting| waiting.name_key.clone()).collect();
        let taken = tx.users_by_name(&names, None).await?.into_iter().any(|named| !users.contains(&named.user));
        let mut rows = Vec::with_capacity(batch.len());
        for waiting in &batch {
            let account = self.store.get_account(self.directory.organization, waiting.account).await?;
            let mut claim = account.and_then(|account| self.claim(&account));
            let known = claim.iter_mut().map(|claim| (waiting.user, claim));
            last_good::keep_of_claims(self.store, self.directory.organization, known).await?;
            let wanted = claim.map(|claim| claim.wanted);
            rows.extend(
                wanted.filter(|row| row.name_key == waiting.name_key).map(|row| UserRow { id: waiting.user, ..row }),
            );
        }
        if taken || rows.len() < batch.len() {
            tx.rollback().await?;
            return Ok(Some(0));
        }
        tx.identities().free_names(users.into_iter().collect()).await?;
        tx.identities().update_users(rows).await?;
        let links: Vec<_> = batch.iter().map(|waiting| (waiting.account, waiting.user.as_uuid())).collect();
        tx.identities().link_accounts(&links).await?;
        let users: Vec<UserId> = batch.iter().map(|waiting| waiting.user).collect();
        tx.settle_uncounted(&users).await?;
        self.join(&mut tx, &users).await?;
        tx.commit().await?;
        Ok(Some(batch.len() as u64))
    }
}

/// How many conflicts a directory has, with samples.
pub(super) async fn describe(
    store: &Store,
    directory: &Directory,
    samples: usize,
) -> Result<(u64, Vec<ConflictSample>)> {
    let (mut count, mut some) = (0, Vec::new());
    let mut page = PageRequest::first(BATCH);
    loop {
        let conflicts = store.list_conflicts(directory.organization, directory.id, &page).await?;
        count += conflicts.items.len() as u64;
        for conflict in conflicts.items.into_iter().take(samples - some.len().min(samples)) {
            let (name, dn) = (conflict.name_key, conflict.account.dn);
            let (held_by_dn, holder) = (conflict.holder_dn, Some(conflict.holder));
            some.push(ConflictSample { user_name: name, dn, held_by_dn, holder });
        }
        match conflicts.next {
            Some(next) => page = PageRequest::after(next, BATCH),
            None => return Ok((count, some)),
        }
    }
}
