//! Accounts whose user name was another's: tried once more at the end of an import, when names may have become free.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::Timestamp;
use postern_proto::chunk::{ChunkReader, ChunkWriter, Kind, MemberForm, Switch};
use postern_store::{Account, Conflict, Directory, Intake, Lease, Page, PageRequest, Store, UserId, UserRow};
use serde_json::{Value, json};

use super::decide::{self, Place};
use super::renames::{Renames, Waiting};
use crate::identity::mapping::Mapping;
use crate::identity::matching::{Claim, Decision, Names};

/// Conflicts tried in one transaction.
const BATCH: u32 = 500;
/// So many renames that wait are looked at together; a directory with more settles the others with its next imports.
const MOST_RENAMES: usize = 100_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Tries every conflict of a directory once more, and gives how many are none any more; `None` when the job was taken
/// over.
pub(super) async fn settle(store: &Store, directory: &Directory, lease: Lease, now: Timestamp) -> Result<Option<u64>> {
    let settling = Settling { store, directory, lease, now };
    let mut settled = 0;
    loop {
        let Some(tried) = settling.one_by_one().await? else { return Ok(None) };
        settled += tried;
        let Some(renamed) = settling.together().await? else { return Ok(None) };
        settled += renamed;
        // Names that were given up may be what others wait for.
        if renamed == 0 {
            return Ok(Some(settled));
        }
    }
}

struct Settling<'a> {
    store: &'a Store,
    directory: &'a Directory,
    lease: Lease,
    now: Timestamp,
}

impl Settling<'_> {
    async fn begin(&self) -> Result<Option<Intake>> {
        let mut tx = self.store.begin_intake(self.directory.organization, self.directory.id, self.now).await?;
        Ok(tx.check_owner(&self.lease).await?.then_some(tx))
    }

    async fn conflicts(&self, page: &PageRequest) -> Result<Page<Conflict>> {
        self.store.list_conflicts(self.directory.organization, self.directory.id, page).await
    }

    /// The user that an account describes, by the mapping of today: the directory's flavour may have become known since.
    fn wanted(&self, account: &Account) -> Option<UserRow> {
        let Directory { organization, id: directory, flavour, .. } = *self.directory;
        user(Place { organization, directory, flavour }, account, self.now)
    }

    /// Each for itself, in batches.
    async fn one_by_one(&self) -> Result<Option<u64>> {
        let (mut page, mut settled) = (PageRequest::first(BATCH), 0);
        loop {
            let conflicts = self.conflicts(&page).await?;
            if !conflicts.items.is_empty() {
                let Some(mut tx) = self.begin().await? else { return Ok(None) };
                settled += self.batch(&mut tx, conflicts.items).await?;
                tx.commit().await?;
            }
            match conflicts.next {
                Some(next) => page = PageRequest::after(next, BATCH),
                None => return Ok(Some(settled)),
            }
        }
    }

    async fn batch(&self, tx: &mut Intake, conflicts: Vec<Conflict>) -> Result<u64> {
        let claims: Vec<(Account, Option<UserRow>)> = conflicts
            .into_iter()
            .map(|conflict| {
                let wanted = self.wanted(&conflict.account);
                (conflict.account, wanted)
            })
            .collect();
        let wanted: Vec<String> =
            claims.iter().filter_map(|(_, wanted)| Some(wanted.as_ref()?.name_key.clone())).collect();
        let mut names = Names::new(tx.users_by_name(&wanted).await?);
        let (mut settled, mut users) = (0, Vec::new());
        for (account, wanted) in claims {
            let current = account.identity.map(UserId::from_uuid);
            let decision = names.decide(Claim { current, wanted });
            let identity = decision.identity();
            match decision {
                Decision::Create(row) => tx.insert_users(vec![row]).await?,
                Decision::Update(row) => {
                    if current.is_none() {
                        tx.take_over(&[row.id]).await?;
                    }
                    tx.update_users(vec![row]).await?;
                }
                Decision::Conflict { .. } | Decision::Nameless { .. } => continue,
            }
            settled += 1;
            if let Some(user) = identity {
                tx.link_account(account.id, user.as_uuid()).await?;
                users.push(user);
            }
        }
        tx.settle_users(&users).await?;
        Ok(settled)
    }

    /// Renames that wait for each other.
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

    /// Renames all of these at once, or nobody where a name is another's by now.
    async fn rename(&self, batch: Vec<Waiting>) -> Result<Option<u64>> {
        let Some(mut tx) = self.begin().await? else { return Ok(None) };
        let users: HashSet<UserId> = batch.iter().map(|waiting| waiting.user).collect();
        let names: Vec<String> = batch.iter().map(|waiting| waiting.name_key.clone()).collect();
        let taken = tx.users_by_name(&names).await?.into_iter().any(|named| !users.contains(&named.user));
        let mut rows = Vec::with_capacity(batch.len());
        for waiting in &batch {
            let account = self.store.get_account(self.directory.organization, waiting.account).await?;
            let wanted = account.and_then(|account| self.wanted(&account));
            rows.extend(
                wanted.filter(|row| row.name_key == waiting.name_key).map(|row| UserRow { id: waiting.user, ..row }),
            );
        }
        if taken || rows.len() < batch.len() {
            tx.rollback().await?;
            return Ok(Some(0));
        }
        tx.free_names(users.into_iter().collect()).await?;
        tx.update_users(rows).await?;
        for waiting in &batch {
            tx.link_account(waiting.account, waiting.user.as_uuid()).await?;
        }
        let users: Vec<UserId> = batch.iter().map(|waiting| waiting.user).collect();
        tx.settle_users(&users).await?;
        tx.commit().await?;
        Ok(Some(batch.len() as u64))
    }
}

/// How many conflicts a directory has, and some of them.
pub(super) async fn describe(store: &Store, directory: &Directory, samples: usize) -> Result<(u64, Vec<Value>)> {
    let (mut count, mut some) = (0, Vec::new());
    let mut page = PageRequest::first(BATCH);
    loop {
        let conflicts = store.list_conflicts(directory.organization, directory.id, &page).await?;
        count += conflicts.items.len() as u64;
        for conflict in conflicts.items.into_iter().take(samples - some.len().min(samples)) {
            let (name, dn) = (conflict.name_key, conflict.account.dn);
            some.push(json!({ "user_name": name, "dn": dn, "held_by_dn": conflict.holder_dn }));
        }
        match conflicts.next {
            Some(next) => page = PageRequest::after(next, BATCH),
            None => return Ok((count, some)),
        }
    }
}

/// The user that a stored account describes, by the same mapping as when it came.
fn user(place: Place, account: &Account, now: Timestamp) -> Option<UserRow> {
    let payload = entry(account)?;
    let mut reader = ChunkReader::parse(&payload).ok()?;
    let mapping = Mapping::new(place.flavour, reader.names());
    decide::user(place, &mapping, &reader.next_entry().ok()??, now)
}

fn entry(account: &Account) -> Option<Bytes> {
    use base64::Engine as _;
    let attributes: serde_json::Map<String, Value> = serde_json::from_str(&account.attributes).ok()?;
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    let external_id = account.external_key.to_text();
    let mut entry = writer.entry(Kind::User, &external_id, &account.dn, account.unique_value.as_deref());
    for (name, values) in &attributes {
        let bytes = |value: &Value| match value {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            other => base64::engine::general_purpose::STANDARD.decode(other.get("base64")?.as_str()?).ok(),
        };
        let values: Vec<Vec<u8>> = values.as_array()?.iter().filter_map(bytes).collect();
        entry.attribute(name, values.iter().map(Vec::as_slice));
    }
    entry.switch(switch(account.switch));
    entry.finish();
    Some(writer.finish())
}

fn switch(switch: postern_store::Switch) -> Switch {
    match switch {
        postern_store::Switch::Unknown => Switch::Unknown,
        postern_store::Switch::On => Switch::On,
        postern_store::Switch::Off => Switch::Off,
        postern_store::Switch::OnUntil(end) => Switch::OnUntil(u64::try_from(end.as_second()).unwrap_or_default()),
    }
}
