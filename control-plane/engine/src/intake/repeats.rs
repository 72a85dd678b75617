//! Entries whose external id came more than once in one import. Base DNs that overlap bring the same entry again, and that is
//! one entry. Two entries of one id are not: the attribute that is configured for the id is not unique, or an entry moved
//! while it was read. Of those, the one that is known stays, the others are left out, and all are named.
//!
//! Who comes with another DN than the known one is kept aside (see [`super::sensitive::MOVED`]), so that everything about
//! it can be decided here, when all keys are known.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use foldhash::quality::RandomState;
use jiff::Timestamp;
use postern_proto::chunk::{ChunkReader, ChunkWriter, DecodeError, EntryView};
use postern_store::{AccountKind, Comparison, DeferredPart, Directory, ExternalKey, Lease, Staged, Store};
use serde_json::{Value, json};

use super::decide::{self, Place, recorded_key, stored};
use super::listed::Listed;
use super::missing;
use super::newcomers::Newcomers;
use super::sensitive::{self, Counts};
use crate::identity::{mapping, membership};

/// As many ids are named.
const SAMPLES: usize = 20;
/// Of one id, as many DNs are told apart.
const MOST_DNS: usize = 5;
/// Keys that are looked up at a time.
const KEYS: usize = 5_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// What was kept aside of entries that came more than once.
#[derive(Debug, Default)]
pub struct Repeats {
    /// Of ids that two entries have: the normalized DN of the entry that is known.
    twins: HashMap<u128, String, RandomState>,
    /// Counts of entries that count already, or not at all, by sequence and kinds of their part.
    overcounted: BTreeMap<(u64, u32), Counts>,
    /// Parts that hold entries which are left out.
    touched: BTreeSet<(u64, u32)>,
    /// Entries that are left out.
    left_out: u64,
    samples: Vec<Value>,
}

/// An id that came more than once.
#[derive(Default)]
struct Suspect {
    external_id: String,
    kind: Option<AccountKind>,
    /// How often it was kept aside.
    kept: u32,
    /// Under which DNs, normalized and as written.
    dns: BTreeMap<String, String>,
}

type Suspects = HashMap<u128, Suspect, RandomState>;

impl Repeats {
    /// Looks through what an import has kept aside. Reads nothing more where no id came twice.
    pub async fn find(
        store: &Store,
        directory: &Directory,
        lease: Lease,
        staged: &Staged,
        now: Timestamp,
    ) -> Result<Self> {
        let Lease { job, attempt, .. } = lease;
        let parts = store.deferred(directory.organization, job, attempt).await?;
        if parts.is_empty() {
            return Ok(Self::default());
        }
        let repeated = missing::repeated(store, directory, job, attempt, staged).await?;
        if repeated.is_empty() {
            return Ok(Self::default());
        }
        let mut suspects = Suspects::default();
        for part in &parts {
            let payload = store.deferred_payload(directory.organization, job, attempt, part).await?;
            gather(&mut suspects, &payload.unwrap_or_default(), &repeated).map_err(corrupt)?;
        }
        let mut found = Self::default();
        found.judge(store, directory, suspects, &repeated).await?;
        found.recount(store, directory, lease, &parts, &repeated, now).await?;
        Ok(found)
    }

    /// Entries that are left out, because others have their external ids.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Some of their ids, with the DNs of all entries.
    pub fn samples(&self) -> &[Value] {
        &self.samples
    }

    /// Whether a part holds entries that are left out.
    pub fn touches(&self, part: &DeferredPart) -> bool {
        self.touched.contains(&(part.sequence, part.kinds))
    }

    /// A part's entries, without those that are left out.
    pub fn without(&self, part: &DeferredPart, payload: Bytes) -> std::result::Result<Bytes, DecodeError> {
        if self.touches(part) { select(&payload, |entry| !self.leaves_out(entry)) } else { Ok(payload) }
    }

    /// What a part's entries change, each entry once.
    pub fn counts(&self, part: &DeferredPart) -> Counts {
        let mut counts = Counts::default();
        counts.add_part(part);
        if let Some(less) = self.overcounted.get(&(part.sequence, part.kinds)) {
            counts.take_off(less);
        }
        counts
    }

    fn leaves_out(&self, entry: &EntryView<'_>) -> bool {
        let known = self.twins.get(&key(entry));
        known.is_some_and(|known| *known != normalized(entry))
    }

    /// Finds out which ids two entries have.
    async fn judge(
        &mut self,
        store: &Store,
        directory: &Directory,
        suspects: Suspects,
        repeated: &[(u128, u32)],
    ) -> Result<()> {
        let known = known_dns(store, directory, &suspects).await?;
        for (key, suspect) in suspects {
            let nobody = (String::new(), String::new());
            let (known_key, known_dn) = known.get(&key).unwrap_or(&nobody);
            // Copies that were not kept aside have the DN that is known by now.
            let others = times(repeated, key) > suspect.kept && !suspect.dns.contains_key(known_key);
            if suspect.dns.len() + usize::from(others) < 2 {
                continue;
            }
            if self.samples.len() < SAMPLES {
                let dns: BTreeSet<&String> =
                    suspect.dns.values().chain(Some(known_dn).filter(|dn| !dn.is_empty())).collect();
                self.samples.push(json!({ "external_id": suspect.external_id, "dns": dns }));
            }
            self.twins.insert(key, known_key.clone());
        }
        Ok(())
    }

    /// Counts what is left out, and what the parts count more than once.
    async fn recount(
        &mut self,
        store: &Store,
        directory: &Directory,
        lease: Lease,
        parts: &[DeferredPart],
        repeated: &[(u128, u32)],
        now: Timestamp,
    ) -> Result<()> {
        let mut counted = std::collections::HashSet::<u128, RandomState>::default();
        for part in parts {
            let payload = store.deferred_payload(directory.organization, lease.job, lease.attempt, part).await?;
            let payload = Bytes::from(payload.unwrap_or_default());
            let (mut left_out, mut here) = (0, Vec::new());
            let again = select(&payload, |entry| {
                let key = key(entry);
                if times(repeated, key) == 0 {
                    return false;
                }
                let leaves_out = self.leaves_out(entry);
                left_out += u64::from(leaves_out);
                here.push(key);
                leaves_out || counted.contains(&key)
            });
            let again = again.map_err(corrupt)?;
            counted.extend(here);
            self.left_out += left_out;
            let place = (part.sequence, part.kinds);
            if left_out > 0 {
                self.touched.insert(place);
            }
            if ChunkReader::parse(&again).is_ok_and(|reader| !reader.is_empty()) {
                self.overcounted.insert(place, changes(store, directory, &again, now).await?);
            }
        }
        Ok(())
    }
}

/// What these entries would change.
async fn changes(store: &Store, directory: &Directory, payload: &Bytes, now: Timestamp) -> Result<Counts> {
    let (place, listed) = (Place::of(directory, false), Listed::default());
    let decided = decide::decide(store, place, 0, payload, &mut Newcomers::default(), &listed, now).await;
    let decided = decided.map_err(|error| match error {
        decide::Error::Store(error) => error,
        error => corrupt(error),
    })?;
    let mut counts = Counts::default();
    decided.deferred.iter().for_each(|deferred| counts.add_part(&deferred.part));
    Ok(counts)
}

/// Takes up the entries of a part whose ids came more than once.
fn gather(suspects: &mut Suspects, payload: &[u8], repeated: &[(u128, u32)]) -> std::result::Result<(), DecodeError> {
    if payload.is_empty() {
        return Ok(());
    }
    let mut reader = ChunkReader::parse(payload)?;
    while let Some(entry) = reader.next_entry()? {
        let key = key(&entry);
        if times(repeated, key) == 0 {
            continue;
        }
        let suspect = suspects.entry(key).or_default();
        entry.external_id.clone_into(&mut suspect.external_id);
        suspect.kind = Some(stored(entry.kind));
        suspect.kept += 1;
        if suspect.dns.len() < MOST_DNS {
            suspect.dns.insert(normalized(&entry), mapping::printable(entry.dn).into_owned());
        }
    }
    Ok(())
}

/// The DNs that the accounts of these ids have, normalized and as written.
async fn known_dns(
    store: &Store,
    directory: &Directory,
    suspects: &Suspects,
) -> Result<HashMap<u128, (String, String), RandomState>> {
    let mut known = HashMap::default();
    for kind in [AccountKind::User, AccountKind::Group] {
        let of_kind = suspects.values().filter(|suspect| suspect.kind == Some(kind));
        // No content has this hash, so that each account is told with its id.
        let keys: Vec<_> = of_kind.map(|suspect| (ExternalKey::from_text(&suspect.external_id), [0; 16])).collect();
        for keys in keys.chunks(KEYS) {
            let found = store.compare_accounts(directory.organization, directory.id, kind, keys).await?;
            let accounts: HashMap<_, _> = keys
                .iter()
                .zip(found)
                .filter_map(|((key, _), found)| match found {
                    Comparison::Known(account) => Some((account.id, recorded_key(kind, key))),
                    _ => None,
                })
                .collect();
            let ids: Vec<_> = accounts.keys().copied().collect();
            for content in store.known_contents(directory.organization, &ids).await? {
                if let Some(key) = accounts.get(&content.account) {
                    known.insert(*key, (membership::dn_key(&content.dn), content.dn));
                }
            }
        }
    }
    Ok(known)
}

/// A chunk of the entries that are wanted.
fn select(payload: &Bytes, mut wanted: impl FnMut(&EntryView<'_>) -> bool) -> std::result::Result<Bytes, DecodeError> {
    if payload.is_empty() {
        return Ok(Bytes::new());
    }
    let mut reader = ChunkReader::parse(payload)?;
    let mut writer = ChunkWriter::new(reader.member_form());
    while let Some(entry) = reader.next_entry()? {
        if wanted(&entry) {
            sensitive::copy(&mut writer, &entry);
        }
    }
    Ok(writer.finish())
}

fn key(entry: &EntryView<'_>) -> u128 {
    recorded_key(stored(entry.kind), &ExternalKey::from_text(entry.external_id))
}

fn normalized(entry: &EntryView<'_>) -> String {
    membership::dn_key(&mapping::printable(entry.dn))
}

/// How often a key came; 0: once at most.
fn times(repeated: &[(u128, u32)], key: u128) -> u32 {
    let place = repeated.binary_search_by_key(&key, |(key, _)| *key);
    place.ok().and_then(|place| repeated.get(place)).map_or(0, |(_, times)| *times)
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> postern_store::Error {
    postern_store::Error::Corrupt { what: "an entry kept aside".to_owned(), source: Some(Box::new(error)) }
}
