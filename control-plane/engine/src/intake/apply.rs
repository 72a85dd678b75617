//! Applies decided chunks: accounts, users and groups are written in the transaction that records the chunk, and only
//! then is it acknowledged. New and changed entries are right, however the import ends.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use postern_store::{
    AccountId, AccountKind, ChangeKind, DeferredPart, GroupId, GroupRow, Intake, Lease, NewAccount, RuleFailures,
    StagedChunk, Store, UserId,
};

use super::decided::{Decided, Row, Wanted};
use super::entry_view::stored_form;
use super::former_names::FormerNames;
use super::joined_profiles::JoinedProfiles;
use super::last_good;
use super::matches::Matches;
use super::named_groups::{self, Named};
use super::place::Place;
use super::sensitive::bit;
use super::verdicts::Verdicts;
use crate::identity::mapping::rules::{Failed, Rules};
use crate::identity::matching::{Claim, Found, Names, Stage};
use crate::identity::membership;

/// Marks failures that only the transaction found, beside those of the same part.
const REFUSED: u32 = 1 << 30;

/// Why chunks were not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another replica or attempt has the job now, or the job must end.
    #[error("the job must end or was taken over")]
    Fenced,
    /// The transaction failed and was rolled back.
    #[error("the entries cannot be stored")]
    Store(#[from] postern_store::Error),
}

/// Writes chunks in one transaction.
pub async fn chunks(
    store: &Store,
    place: Place,
    lease: Lease,
    chunks: Vec<Decided>,
    now: Timestamp,
) -> Result<(), Error> {
    let mut tx = store.begin_intake(place.organization, place.directory, now).await?;
    if let Some(chunk) = chunks.first() {
        tx.set_member_form(stored_form(chunk.member_form), membership::dn_key).await?;
    }
    let mut recorded = Vec::with_capacity(chunks.len());
    let (mut rows, mut deferred, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let (first, rules) = chunks.first().map_or((0, None), |chunk| (chunk.sequence, chunk.rules.clone()));
    for mut chunk in chunks {
        if chunk.failures.count > 0 {
            failures.push((chunk.sequence, 0, std::mem::take(&mut chunk.failures)));
        }
        rows.append(&mut chunk.rows);
        deferred.append(&mut chunk.deferred);
        recorded.push(StagedChunk {
            sequence: chunk.sequence,
            users: chunk.users,
            groups: chunk.groups,
            created: chunk.created,
            created_groups: chunk.created_groups,
            changed: chunk.changed,
            returned: chunk.returned,
            unknown_switches: chunk.unknown_switches,
            digest: chunk.digest.to_bytes(),
            keys: chunk.keys,
        });
    }
    let rows = not_written_since(&mut tx, lease, rows).await?;
    if !rows.is_empty() {
        let refused = apply((store, place), &mut tx, rules.as_deref(), (rows, false), now).await?;
        failures.extend((refused.count > 0).then_some((first, REFUSED, refused)));
    }
    tx.record_chunks(lease.job, lease.attempt, recorded).await?;
    tx.record_rule_failures(lease.job, lease.attempt, failures).await?;
    tx.defer(lease.job, lease.attempt, deferred).await?;
    finish(tx, lease).await
}

/// Writes what was decided about an entry that no import has brought. It may activate its user.
pub async fn one(store: &Store, place: Place, tx: &mut Intake, decided: Decided, now: Timestamp) -> Result<(), Error> {
    apply((store, place), tx, decided.rules.as_deref(), (decided.rows, true), now).await.map(|_| ())
}

/// Writes entries that were kept aside, and deletes this part of them if it is not needed any more (`forgets`).
pub async fn apply_deferred(
    store: &Store,
    place: Place,
    lease: Lease,
    (part, forgets): (&DeferredPart, bool),
    decided: Decided,
    now: Timestamp,
) -> Result<(), Error> {
    let mut tx = store.begin_intake(place.organization, place.directory, now).await?;
    let Decided { rows, rules, failures, .. } = decided;
    // Other parts hold nobody who was counted among those who become active.
    let activates = part.kinds & bit(ChangeKind::Activated) != 0;
    let rows = not_written_since(&mut tx, lease, rows).await?;
    let refused = apply((store, place), &mut tx, rules.as_deref(), (rows, activates), now).await?;
    let failures = [(part.kinds, failures), (part.kinds | REFUSED, refused)].into_iter();
    let failures = failures.filter(|(_, failures)| failures.count > 0);
    let failures = failures.map(|(kinds, failures)| (part.sequence, kinds, failures)).collect();
    tx.record_rule_failures(lease.job, lease.attempt, failures).await?;
    if forgets {
        tx.drop_deferred(lease.job, lease.attempt, part).await?;
    }
    finish(tx, lease).await
}

/// The removals of entries that wait.
pub struct Taken<'a> {
    /// The entries.
    pub rows: Vec<Row>,
    /// The names that members keep or get in the meantime.
    pub names: &'a FormerNames,
    /// Users are switched off.
    pub switches: bool,
    /// Members who have left their groups are removed. Otherwise members only get their new names.
    pub members_leave: bool,
}

/// Writes only what rows take away: users are switched off, and groups lose members.
pub async fn take_away(
    store: &Store,
    place: Place,
    lease: Lease,
    taken: Taken<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let Taken { rows, names, switches: off, members_leave } = taken;
    let mut tx = store.begin_intake(place.organization, place.directory, now).await?;
    let rows = not_written_since(&mut tx, lease, rows).await?;
    let (mut switches, mut groups, mut members) = (Vec::new(), Vec::new(), Vec::new());
    let mut named = Vec::new();
    for Row { account, identity, named: names_of_groups, .. } in
        rows.into_iter().filter(|row| !row.new && !row.returning)
    {
        match identity {
            Wanted::User(..) => {
                if off {
                    switches.push((account.id, account.switch));
                }
                let groups = names_of_groups.filter(|_| members_leave);
                named.extend(groups.map(|groups| Named { account: account.id, key: account.external_key, groups }));
            }
            Wanted::Group(group, keys) => {
                groups.push(account.id);
                members.push((group.id, keys));
            }
        }
    }
    if switches.is_empty() && groups.is_empty() && named.is_empty() {
        return Ok(tx.rollback().await?);
    }
    // The lease makes this job the only writer of the directory's members.
    let ids: Vec<GroupId> = members.iter().map(|(group, _)| *group).collect();
    let known = if ids.is_empty() {
        HashMap::new()
    } else {
        store.member_names(place.organization, place.directory, &ids).await?
    };
    let until_decided = |(group, wanted): (GroupId, Vec<String>)| {
        Some((group, names.until_decided(known.get(&group)?, wanted, members_leave)))
    };
    let members = members.into_iter().filter_map(until_decided).collect();
    tx.lower_switches(&switches).await?;
    groups.extend(named.iter().map(|user| user.account));
    tx.forget_contents(&groups).await?;
    tx.replace_members(members).await?;
    named_groups::leave(&mut tx, named).await?;
    finish(tx, lease).await
}

/// Leaves out what an operation has changed since the import began: the entry may have been read before that, and the next
/// import reads it again.
async fn not_written_since(tx: &mut Intake, lease: Lease, mut rows: Vec<Row>) -> Result<Vec<Row>, Error> {
    let known: Vec<AccountId> = rows.iter().filter(|row| !row.new).map(|row| row.account.id).collect();
    let written: HashSet<AccountId> = tx.written_since(lease.job, &known).await?.into_iter().collect();
    rows.retain(|row| !written.contains(&row.account.id));
    Ok(rows)
}

/// Commits the transaction if the caller still owns the job and the job may still write. The job's row is locked only here, so that its progress
/// and lease can be written in the meantime.
async fn finish(mut tx: Intake, lease: Lease) -> Result<(), Error> {
    if !tx.check_owner(&lease).await? {
        return Err(Error::Fenced);
    }
    Ok(tx.commit().await?)
}

/// The rows of a transaction, sorted by how they are written.
#[derive(Default)]
struct Sorted {
    new_accounts: Vec<NewAccount>,
    known_accounts: Vec<NewAccount>,
    new_groups: Vec<GroupRow>,
    known_groups: Vec<GroupRow>,
    members: Vec<(GroupId, Vec<String>)>,
    outbound_members: Vec<(AccountId, Vec<String>)>,
}

async fn apply(
    (store, place): (&Store, Place),
    tx: &mut Intake,
    rules: Option<&Rules>,
    (mut rows, activates): (Vec<Row>, bool),
    now: Timestamp,
) -> Result<RuleFailures, Error> {
    let taken = named_groups::take(tx, place, &mut rows, now).await?;
    let (mut sorted, mut verdicts, mut all_failed) = (Sorted::default(), Verdicts::default(), HashMap::new());
    let matches = Matches::of_rows(tx, &rows, place, now).await?;
    let mut names = names(tx, &rows, &matches).await?;
    let ignored = ignored(tx, &rows).await?;
    let unlinked = unlinked(tx, &rows).await?;
    let namesakes = namesakes(tx, &rows).await?;
    for row in rows {
        let is_new = row.new;
        let account = match &row.identity {
            Wanted::User(..) if row.outbound || ignored.contains(&row.account.id) => row.account,
            Wanted::User(..) => {
                let is_unlinked = unlinked.contains(&row.account.id);
                let found = matches.of(row.account.id);
                user(row, (is_unlinked, found), &mut names, (&mut verdicts, &mut all_failed))
            }
            Wanted::Group(..) => sorted.group(row, &namesakes),
        };
        if is_new { sorted.new_accounts.push(account) } else { sorted.known_accounts.push(account) }
    }
    verdicts.keep_last_good(store, place.organization, &all_failed).await?;
    let (joined, touched) = (verdicts.joined(), verdicts.touched());
    verdicts.write(tx).await?;
    let refused = refused(tx, rules, &mut sorted);
    tx.identities().insert_groups(sorted.new_groups).await?;
    tx.identities().update_groups(sorted.known_groups).await?;
    tx.insert_accounts(sorted.new_accounts).await?;
    tx.update_accounts(sorted.known_accounts).await?;
    if activates {
        tx.identities().settle_users(&touched).await?;
    } else {
        tx.settle_uncounted(&touched).await?;
    }
    JoinedProfiles::new(store, place.organization).write(tx.identities(), names.joined(), now).await?;
    tx.mark_joined(&joined).await?;
    tx.replace_members(sorted.members).await?;
    tx.replace_outbound_members(sorted.outbound_members).await?;
    named_groups::write(tx, taken).await?;
    Ok(refused)
}

/// Decides which user an account gets.
fn user(
    row: Row,
    (is_unlinked, found): (bool, Option<Found>),
    names: &mut Names,
    (verdicts, all_failed): (&mut Verdicts, &mut HashMap<UserId, Vec<Failed>>),
) -> NewAccount {
    let Row { mut account, identity, former, failed, .. } = row;
    let Wanted::User(wanted, other_names) = identity else { return account };
    let known = account.identity.map(UserId::from_uuid);
    let current = known.filter(|_| !is_unlinked);
    let former = former.or(known.filter(|_| current.is_none()));
    let decision = names.assign(Claim { current, former, wanted: *wanted, other_names, failed: Vec::new(), found });
    account.identity = decision.identity().map(UserId::as_uuid);
    account.conflict = decision.conflict().map(str::to_owned);
    if let Some(user) = decision.identity().filter(|_| !failed.is_empty() && known.is_none()) {
        all_failed.insert(user, failed);
    }
    verdicts.add(account.id, decision);
    account
}

impl Sorted {
    /// Takes a group and its members. `namesakes`: names that other groups of the directory have.
    fn group(&mut self, row: Row, namesakes: &HashSet<String>) -> NewAccount {
        let Row { mut account, outbound, identity, .. } = row;
        let Wanted::Group(group, keys) = identity else { return account };
        if outbound {
            // The organization has made the group; the directory says only which members it has there.
            self.outbound_members.push((account.id, keys));
            return account;
        }
        let known = account.identity.replace(group.id.as_uuid()).is_some();
        let name_key = postern_store::fold(&group.display_name);
        // It may replace a group that is gone: the end of the import decides.
        if account.conflict.is_some() || (!known && namesakes.contains(&name_key)) {
            account.conflict = Some(name_key);
        }
        self.members.push((group.id, keys));
        if known {
            self.known_groups.push(*group);
        } else {
            self.new_groups.push(*group);
        }
        account
    }
}

/// The unique values that other users have. The next import tries them again: their accounts count as changed.
fn refused(tx: &mut Intake, rules: Option<&Rules>, sorted: &mut Sorted) -> RuleFailures {
    let refused = tx.identities().take_refused();
    let (Some(defined), false) = (rules.and_then(Rules::defined), refused.is_empty()) else {
        return RuleFailures::default();
    };
    let mut failed = Vec::new();
    for account in sorted.new_accounts.iter_mut().chain(&mut sorted.known_accounts) {
        for refused in refused.iter().filter(|refused| account.identity == Some(refused.user.as_uuid())) {
            account.hash = [0; 16];
            failed.push((account.dn.clone(), defined.taken(&refused.name, &refused.value)));
        }
    }
    last_good::failures(failed.len(), failed.iter().map(|(dn, failed)| (dn.as_str(), failed)))
}

/// Returning accounts whose user another account took over since the decision.
async fn unlinked(tx: &mut Intake, rows: &[Row]) -> Result<HashSet<AccountId>, Error> {
    let returning = rows.iter().filter(|row| row.returning && row.account.kind == AccountKind::User);
    let returning: Vec<AccountId> = returning.map(|row| row.account.id).collect();
    Ok(tx.unlinked(&returning).await?.into_iter().collect())
}

/// Known accounts that stay without a user because an administrator wants it so.
async fn ignored(tx: &mut Intake, rows: &[Row]) -> Result<HashSet<AccountId>, Error> {
    let stays = |row: &&Row| !row.new && row.account.identity.is_none() && row.account.kind == AccountKind::User;
    let known: Vec<AccountId> = rows.iter().filter(stays).map(|row| row.account.id).collect();
    Ok(tx.ignored(&known).await?.into_iter().collect())
}

/// Names of new groups that other groups of this directory also have.
async fn namesakes(tx: &mut Intake, rows: &[Row]) -> Result<HashSet<String>, Error> {
    let wanted: HashSet<String> = rows
        .iter()
        .filter(|row| !row.name_is_free && row.account.identity.is_none())
        .filter_map(|row| match &row.identity {
            Wanted::Group(group, _) => Some(postern_store::fold(&group.display_name)),
            Wanted::User(..) => None,
        })
        .collect();
    Ok(tx.group_names_here(wanted.into_iter().collect()).await?.into_iter().collect())
}

async fn names(tx: &mut Intake, rows: &[Row], matches: &Matches) -> Result<Names, Error> {
    let user = |row: &'_ Row| match &row.identity {
        Wanted::User(user, _) => Some(user.name_key.clone()).filter(|key| !key.is_empty()),
        Wanted::Group(..) => None,
    };
    let mut wanted: HashSet<String> = rows.iter().filter(|row| !row.name_is_free).filter_map(user).collect();
    wanted.extend(matches.name_keys().cloned());
    let found = tx.users_by_name(&wanted.into_iter().collect::<Vec<_>>(), None).await?;
    let users = rows.iter().filter(|row| row.account.kind == AccountKind::User);
    let held: Vec<UserId> = users.filter_map(|row| row.account.identity.map(UserId::from_uuid)).collect();
    Ok(Names::new(Stage::Arriving, &found, tx.held_users(&held).await?))
}
