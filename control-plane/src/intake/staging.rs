//! Applies decided chunks: accounts, users and groups are written in the same transaction that records the chunk,
//! and only then is it acknowledged. What is new or changed is true whatever comes later.

use std::collections::HashSet;

use jiff::Timestamp;
use postern_store::{AccountId, AccountKind, Intake, Lease, NewAccount, StagedChunk, Store, UserId, UserRow};

use super::decide::{Decided, Place, Row, Wanted};
use crate::identity::matching::{Claim, Decision, Names};
use crate::identity::membership;

/// Why chunks could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job belongs to somebody else now.
    #[error("the job was taken over")]
    Fenced,
    /// The transaction failed; nothing of it counts.
    #[error("the entries cannot be stored")]
    Store(#[from] postern_store::Error),
}

/// Writes chunks in one transaction, up to its end.
pub async fn prepare(
    store: &Store,
    place: Place,
    lease: Lease,
    chunks: Vec<Decided>,
    now: Timestamp,
) -> Result<Intake, Error> {
    let mut tx = store.begin_intake(place.organization, place.directory, now).await?;
    if let Some(chunk) = chunks.first() {
        tx.set_member_form(membership::stored_form(chunk.member_form), membership::dn_key).await?;
    }
    let mut recorded = Vec::with_capacity(chunks.len());
    let mut rows = Vec::new();
    for mut chunk in chunks {
        rows.append(&mut chunk.rows);
        recorded.push(StagedChunk {
            sequence: chunk.sequence,
            users: chunk.users,
            groups: chunk.groups,
            created: chunk.created,
            changed: chunk.changed,
            returned: chunk.returned,
            unknown_switches: chunk.unknown_switches,
            digest: chunk.digest.to_bytes(),
            keys: chunk.keys,
        });
    }
    if !rows.is_empty() {
        apply(&mut tx, rows).await?;
    }
    tx.record_chunks(lease.job, lease.attempt, recorded).await?;
    Ok(tx)
}

/// Ends the transaction, if the job is still the caller's. When this returns, everything in it is durable. The job's row
/// is locked only here, so that its progress and its lease can be written meanwhile.
pub async fn finish(mut tx: Intake, lease: Lease) -> Result<(), Error> {
    if !tx.check_owner(&lease).await? {
        return Err(Error::Fenced);
    }
    Ok(tx.commit().await?)
}

/// The rows of a transaction, sorted by what is done with them.
#[derive(Default)]
struct Sorted {
    new_accounts: Vec<NewAccount>,
    known_accounts: Vec<NewAccount>,
    new_users: Vec<UserRow>,
    known_users: Vec<UserRow>,
    /// Users who come to an account that did not have them before.
    taken_over: Vec<UserId>,
    /// Users who were there before and of whom an account is written.
    touched: Vec<UserId>,
}

async fn apply(tx: &mut Intake, rows: Vec<Row>) -> Result<(), Error> {
    let mut sorted = Sorted::default();
    let mut names = names(tx, &rows).await?;
    let unlinked = unlinked(tx, &rows).await?;
    let (mut new_groups, mut known_groups, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for Row { mut account, new, identity, .. } in rows {
        match identity {
            Wanted::User(wanted) => {
                let current = account.identity.map(UserId::from_uuid).filter(|_| !unlinked.contains(&account.id));
                let decision = names.decide(Claim { current, wanted: wanted.map(|row| *row) });
                settle(&mut account, &decision);
                if !matches!(decision, Decision::Create(_)) {
                    sorted.touched.extend(decision.identity());
                }
                match decision {
                    Decision::Create(row) => sorted.new_users.push(row),
                    Decision::Update(row) => {
                        if current.is_none() {
                            sorted.taken_over.push(row.id);
                        }
                        sorted.known_users.push(row);
                    }
                    Decision::Conflict { .. } | Decision::Nameless { .. } => {}
                }
            }
            Wanted::Group(row, keys) => {
                let known = account.identity.replace(row.id.as_uuid()).is_some();
                members.push((row.id, keys));
                if known { known_groups.push(*row) } else { new_groups.push(*row) }
            }
        }
        if new { sorted.new_accounts.push(account) } else { sorted.known_accounts.push(account) }
    }
    tx.take_over(&sorted.taken_over).await?;
    tx.insert_users(sorted.new_users).await?;
    tx.update_users(sorted.known_users).await?;
    tx.insert_groups(new_groups).await?;
    tx.update_groups(known_groups).await?;
    tx.insert_accounts(sorted.new_accounts).await?;
    tx.update_accounts(sorted.known_accounts).await?;
    tx.settle_users(&sorted.touched).await?;
    tx.replace_members(members).await?;
    Ok(())
}

/// Writes a decision into its account.
pub(super) fn settle(account: &mut NewAccount, decision: &Decision) {
    account.identity = decision.identity().map(UserId::as_uuid);
    account.conflict = decision.conflict().map(str::to_owned);
}

/// Those who come back and whose user was taken over since they were decided about.
async fn unlinked(tx: &mut Intake, rows: &[Row]) -> Result<HashSet<AccountId>, Error> {
    let returning = rows.iter().filter(|row| row.returning && row.account.kind == AccountKind::User);
    let returning: Vec<AccountId> = returning.map(|row| row.account.id).collect();
    Ok(tx.unlinked(&returning).await?.into_iter().collect())
}

async fn names(tx: &mut Intake, rows: &[Row]) -> Result<Names, Error> {
    let wanted: HashSet<&str> = rows
        .iter()
        .filter(|row| !row.name_is_free)
        .filter_map(|row| match &row.identity {
            Wanted::User(Some(user)) => Some(user.name_key.as_str()),
            _ => None,
        })
        .collect();
    let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
    Ok(Names::new(tx.users_by_name(&wanted).await?))
}
