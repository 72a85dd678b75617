//! Accounts whose user name was another's: tried once more at the end of an import, when names may have become free.

use bytes::Bytes;
use jiff::Timestamp;
use postern_proto::chunk::{ChunkReader, ChunkWriter, Kind, MemberForm};
use postern_store::{Account, Directory, Lease, PageRequest, Store, UserId, UserRow};
use serde_json::{Value, json};

use super::decide::{self, Place};
use crate::identity::mapping::Mapping;
use crate::identity::matching::{Claim, Decision, Names};

/// Conflicts tried in one transaction.
const BATCH: u32 = 500;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Tries every conflict of a directory once more, and gives how many are none any more; `None` when the job was taken
/// over.
pub(super) async fn settle(store: &Store, directory: &Directory, lease: Lease, now: Timestamp) -> Result<Option<u64>> {
    let place = Place { organization: directory.organization, directory: directory.id, flavour: directory.flavour };
    let (mut page, mut settled) = (PageRequest::first(BATCH), 0);
    loop {
        let conflicts = store.list_conflicts(directory.organization, directory.id, &page).await?;
        if !conflicts.items.is_empty() {
            let mut tx = store.begin_intake(directory.organization, directory.id, now).await?;
            if !tx.check_owner(&lease).await? {
                return Ok(None);
            }
            // The name as the mapping makes it today: the directory's flavour may have become known since.
            let claims: Vec<(Account, Option<UserRow>)> = conflicts
                .items
                .into_iter()
                .map(|conflict| {
                    let wanted = user(place, &conflict.account, now);
                    (conflict.account, wanted)
                })
                .collect();
            let wanted: Vec<String> =
                claims.iter().filter_map(|(_, wanted)| wanted.as_ref().map(|row| row.name_key.clone())).collect();
            let mut names = Names::new(tx.users_by_name(&wanted).await?);
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
                }
            }
            tx.commit().await?;
        }
        match conflicts.next {
            Some(next) => page = PageRequest::after(next, BATCH),
            None => return Ok(Some(settled)),
        }
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
    entry.finish();
    Some(writer.finish())
}
