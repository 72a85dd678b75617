//! Decides what an entry means: nothing (unchanged), or a row to write. Runs outside of a transaction, while the
//! previous one is committed.

mod rows;

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::quality::RandomState;
use jiff::Timestamp;
use postern_proto::chunk::{ChunkReader, DecodeError, EntryView, Kind, Switch};
use postern_store::{AccountKind, Comparison, ExternalKey, KnownAccount, NewAccount, Store};

use self::rows::{Common, Entry, row};
pub use self::rows::{group, user};
use super::decided::{Decided, Row, Wanted};
use super::first_import::FirstImportIndex;
use super::kept_aside::KeptAside;
use super::keys::{recorded_key, stored};
use super::last_good;
use super::listed::Listed;
use super::pace::Pace;
use super::place::Place;
use super::reading::{Reading, Skips};
use super::sensitive::{Before, Changes};
use crate::identity::mapping::{self, Mapping, Stamp};

/// Why a chunk cannot be decided.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The agent sent an invalid chunk.
    #[error("the chunk cannot be decoded")]
    Decode(#[from] DecodeError),
    /// The chunk would take more memory than allowed.
    #[error("the chunk would take {bytes} bytes of memory, and none may take more than {most}")]
    TooHeavy {
        /// Its weight.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// An entry has no external id.
    #[error("an entry has no external id")]
    NoExternalId,
    /// The known accounts could not be read.
    #[error("the known accounts cannot be read")]
    Store(#[from] postern_store::Error),
}

/// How much memory a chunk takes until it is written, computed from its head before anything is allocated for entries.
pub fn weight(payload: &Bytes, most: usize) -> Result<usize, Error> {
    match ChunkReader::parse(payload)?.weight() {
        bytes if bytes > most => Err(Error::TooHeavy { bytes, most }),
        bytes => Ok(bytes),
    }
}

/// Decodes a chunk and compares it with the known accounts. Entries with sensitive changes are kept aside.
pub async fn decide(
    store: &Store,
    place: Place,
    sequence: u64,
    payload: &Bytes,
    newcomers: &mut FirstImportIndex,
    reading: &Reading,
    now: Timestamp,
) -> Result<Decided, Error> {
    decide_with(store, place, sequence, payload, newcomers, now, (reading, true)).await
}

/// Like [`decide`], for entries that were kept aside and are now applied.
pub async fn decide_finally(
    store: &Store,
    place: Place,
    payload: &Bytes,
    reading: &Reading,
    now: Timestamp,
) -> Result<Decided, Error> {
    decide_with(store, place, 0, payload, &mut FirstImportIndex::default(), now, (reading, false)).await
}

/// The first entry of a chunk: what it is, and its external id.
pub fn first_key(payload: &Bytes) -> Result<Option<(AccountKind, ExternalKey)>, Error> {
    let found = ChunkReader::parse(payload)?
        .next_entry()?
        .map(|view| (stored(view.kind), ExternalKey::from_text(view.external_id)));
    Ok(found)
}

async fn decide_with(
    store: &Store,
    place: Place,
    sequence: u64,
    payload: &Bytes,
    newcomers: &mut FirstImportIndex,
    now: Timestamp,
    (how, deferring): (&Reading, bool),
) -> Result<Decided, Error> {
    let mut reader = ChunkReader::parse(payload)?;
    let member_form = reader.member_form();
    let listed = &how.listed;
    let mapping = Mapping::new(place.flavour, reader.names()).with_rules(how.rules.as_ref(), reader.names());
    let mapping = mapping.with_binary(reader.names(), |name| listed.is_binary(name), listed.binary_stamp());
    let mut entries = Vec::with_capacity(reader.len());
    while let Some(view) = reader.next_entry()? {
        if view.external_id.is_empty() {
            return Err(Error::NoExternalId);
        }
        entries.push(Entry {
            key: ExternalKey::from_text(view.external_id),
            state: state(&mapping, &view, (now, how.skips)),
            view,
        });
    }
    let known = compare(store, place, newcomers, &entries).await?;
    let before = if deferring {
        Before::of(store, place, member_form, changed(&entries, &known), now).await?
    } else {
        Before::default()
    };
    let common = Common { place, mapping, member_form, now, skips: how.skips };
    let mut decided = sort(&Sorting { common, before, listed }, sequence, entries, known).await;
    for row in &mut decided.rows {
        row.name_is_free = match &row.identity {
            Wanted::User(user, _) => !user.name_key.is_empty() && newcomers.is_new_name(&user.name_key),
            Wanted::Group(..) => newcomers.is_first_import(),
        };
    }
    decided.rules.clone_from(&how.rules);
    decided.failures = last_good::keep(store, place.organization, &mut decided.rows).await?;
    Ok(decided)
}

/// The comparison of each entry, in their order.
async fn compare(
    store: &Store,
    place: Place,
    newcomers: &mut FirstImportIndex,
    entries: &[Entry<'_>],
) -> Result<Vec<Comparison>, postern_store::Error> {
    let mut answers = vec![Comparison::New; entries.len()];
    let is_new = |entry: &Entry<'_>| newcomers.is_new_entry(recorded_key(stored(entry.view.kind), &entry.key));
    let new: Vec<bool> = entries.iter().map(is_new).collect();
    for kind in [Kind::User, Kind::Group] {
        let asked = |(place, entry): &(usize, &Entry<'_>)| entry.view.kind == kind && !new[*place];
        let of_kind = || entries.iter().enumerate().filter(asked);
        let asked: Vec<_> = of_kind().map(|(_, entry)| (entry.key.clone(), entry.state)).collect();
        if asked.is_empty() {
            continue;
        }
        let found = store.compare_accounts(place.organization, place.directory, stored(kind), &asked).await?;
        for ((at, _), answer) in of_kind().zip(found) {
            answers[at] = answer;
        }
    }
    Ok(answers)
}

/// The accounts that have changed or returned.
fn changed<'c>(entries: &[Entry<'_>], known: &'c [Comparison]) -> impl Iterator<Item = (Kind, &'c KnownAccount)> {
    entries.iter().zip(known).filter_map(|(entry, known)| match known {
        // Nobody gets anything from it.
        Comparison::Known(known) if known.outbound => None,
        Comparison::Known(known) if known.missing => {
            let has_one = known.identity.is_some() || known.former_user.is_some();
            has_one.then_some((entry.view.kind, known))
        }
        Comparison::Known(known) if known.hash != entry.state => Some((entry.view.kind, known)),
        _ => None,
    })
}

/// What the entries of a chunk share.
struct Sorting<'a> {
    common: Common,
    before: Before,
    listed: &'a Listed,
}

async fn sort(sorting: &Sorting<'_>, sequence: u64, entries: Vec<Entry<'_>>, known: Vec<Comparison>) -> Decided {
    let Sorting { common, before, listed } = sorting;
    let mut decided = Decided::empty(sequence, common.member_form, entries.len());
    let mut aside = KeptAside::default();
    let mut rows: HashMap<u128, usize, RandomState> =
        HashMap::with_capacity_and_hasher(entries.len(), RandomState::default());
    let mut pace = Pace::default();
    for (entry, known) in entries.into_iter().zip(known) {
        let view = &entry.view;
        decided.digest.add_entry(&view.hash);
        match view.kind {
            Kind::User => {
                decided.users += 1;
                decided.unknown_switches += u64::from(view.switch == Switch::Unknown);
            }
            Kind::Group => decided.groups += 1,
        }
        let recorded = recorded_key(stored(view.kind), &entry.key);
        decided.keys.extend_from_slice(&recorded.to_be_bytes());
        let known = match known {
            Comparison::Unchanged => continue,
            // The entry is unchanged; its conflict is tried again at the end of the import.
            Comparison::Known(known) if !known.missing && known.hash == entry.state => continue,
            Comparison::Known(known) => Some(known),
            Comparison::New => None,
        };
        let row = row(common, &entry, known.as_ref());
        pace.after(common.mapping.take_steps()).await;
        let changes = before.changes(&row, view, listed, common.now);
        if let Some(first) = aside.take(common.member_form, (recorded, &row.account.dn_key), &changes, view) {
            *if row.returning { &mut decided.returned } else { &mut decided.changed } += u64::from(first);
            continue;
        }
        // Overlapping searches may find an entry twice; it is one account, and the later copy is newer.
        if let Some(earlier) = rows.get(&recorded).and_then(|place| decided.rows.get_mut(*place)) {
            if earlier.account.dn_key != row.account.dn_key {
                // Two entries with one external id.
                let first = aside.take(common.member_form, (recorded, &row.account.dn_key), &Changes::moved(), view);
                decided.changed += u64::from(first == Some(true));
                continue;
            }
            *earlier = Row { account: NewAccount { id: earlier.account.id, ..row.account }, ..row };
            continue;
        }
        match known {
            None => {
                decided.created += 1;
                decided.created_groups += u64::from(view.kind == Kind::Group);
            }
            Some(known) if known.missing => decided.returned += 1,
            Some(_) => decided.changed += 1,
        }
        rows.insert(recorded, decided.rows.len());
        decided.rows.push(row);
    }
    decided.deferred = aside.finish(sequence);
    decided
}

/// Where the version of the rules is in the state of an account.
pub(super) const VERSION_AT: usize = 10;

/// The bytes of a version of rules in the state.
pub(super) fn version_bytes(version: u32) -> [u8; 3] {
    let [_, high, middle, low] = version.to_be_bytes();
    [high, middle, low]
}

/// A hash that shows whether an account is unchanged: the content of its entry, its mapping, whether it has expired, and
/// whether it may change a user or group.
fn state(mapping: &Mapping, view: &EntryView<'_>, (now, skips): (Timestamp, Skips)) -> [u8; 16] {
    let mut state = [0; 16];
    state.copy_from_slice(&view.hash[..16]);
    let Stamp { defaults, binary, version } = mapping.stamp();
    // Written as it is: so a stored account says by which rules it was mapped.
    state[VERSION_AT..VERSION_AT + 3].copy_from_slice(&version_bytes(version));
    state[13] ^= binary;
    state[14] ^= defaults;
    state[15] ^= u8::from(mapping::expired(view, now)) | (u8::from(skips.of(view.kind)) << 1);
    state
}
