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
use postern_proto::chunk::{ChunkReader, DecodeError, EntryView};
use postern_store::{AccountId, AccountKind, DeferredPart, Directory, ExternalKey, Lease, Staged, Store};

use super::decide;
use super::first_import::FirstImportIndex;
use super::keys::{dn_hash, recorded_key, stored};
use super::listed::Listed;
use super::place::Place;
use super::result::{DuplicateSample, ImportResult};
use super::sensitive::{self, Counts, select};
use super::{known, missing};
use crate::identity::{mapping, membership};
use crate::jobs::failure::Failure;

/// As many ids are named.
const SAMPLES: usize = 20;
/// Of one id, as many DNs are named.
const MOST_DNS: usize = 5;
/// Of a text that is named, as many bytes are shown.
const MOST_TEXT: usize = 1 << 10;
/// If more ids than this have two entries or more, the import fails: the attribute is no id.
const MOST_SHARED: usize = 50_000;
/// Keys that are looked up at a time, with the contents of their accounts.
const KEYS: usize = 500;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// What was kept aside of entries that came more than once.
#[derive(Debug, Default)]
pub struct Repeats {
    /// The ids that two entries have.
    twins: HashMap<u128, Twins, RandomState>,
    /// Their accounts.
    accounts: Vec<AccountId>,
    /// More ids are shared than [`MOST_SHARED`]; nothing else is known then.
    too_many: bool,
    /// Counts of entries that count already, or not at all, by sequence and kinds of their part.
    overcounted: BTreeMap<(u64, u32), Counts>,
    /// Parts that hold entries which are left out.
    touched: BTreeSet<(u64, u32)>,
    /// Entries that are left out.
    left_out: u64,
    /// How often an entry was counted as changed that is left out or counts already.
    updated_again: u64,
    /// The same of entries that come back.
    returned_again: u64,
    named: BTreeMap<u128, Named>,
    samples: Vec<DuplicateSample>,
}

/// The entries of one id.
#[derive(Debug)]
struct Twins {
    /// The DN of the entry that is known, see [`dn_hash`].
    known: u128,
    /// How many came.
    times: u32,
    /// How many of them are left out.
    left_out: u32,
}

/// An id that is named in the report.
#[derive(Debug, Default)]
struct Named {
    external_id: String,
    /// The DNs as written, by their hash.
    dns: BTreeMap<u128, String>,
}

impl Named {
    fn add(&mut self, hash: u128, dn: &str) {
        if self.dns.len() < MOST_DNS {
            self.dns.entry(hash).or_insert_with(|| shortened(dn));
        }
    }

    fn shown(&self) -> DuplicateSample {
        let dns: BTreeSet<&String> = self.dns.values().collect();
        DuplicateSample { external_id: self.external_id.clone(), dns: dns.into_iter().cloned().collect() }
    }
}

/// An id that came more than once. There may be as many as entries, so it holds no text.
struct Suspect {
    /// How often it was kept aside.
    kept: u32,
    /// The first DN.
    dn: u128,
    /// Another DN came, too.
    several: bool,
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
        let (mut suspects, mut shared) = (Suspects::default(), 0);
        for part in &parts {
            let payload = store.deferred_payload(directory.organization, job, attempt, part).await?;
            shared += gather(&mut suspects, &payload.unwrap_or_default(), &repeated).map_err(corrupt)?;
            if shared > MOST_SHARED {
                return Ok(Self { too_many: true, ..Self::default() });
            }
        }
        let mut found = Self::default();
        for part in &parts {
            let payload = store.deferred_payload(directory.organization, job, attempt, part).await?;
            found.judge(store, directory, &mut suspects, &payload.unwrap_or_default(), &repeated).await?;
            if found.twins.len() > MOST_SHARED {
                return Ok(Self { too_many: true, ..Self::default() });
            }
        }
        found.recount(store, directory, lease, &parts, &repeated, now).await?;
        found.samples = found.named.values().map(Named::shown).collect();
        Ok(found)
    }

    /// Why the import fails as a whole. `None`: few ids are shared, if any.
    pub fn failure(&self) -> Option<Failure> {
        self.too_many.then(|| {
            Failure::new(
                "external_ids_not_unique",
                format!("More than {MOST_SHARED} external ids came from two or more entries each. Nobody was marked missing."),
                "The attribute that is configured as external id is not unique. Set external_id_attribute in the agent's \
                 file to an attribute that is unique, and import again.",
            )
        })
    }

    /// Entries that are left out, because others have their external ids.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether two entries have the id of this key.
    pub fn is_shared(&self, key: u128) -> bool {
        self.twins.contains_key(&key)
    }

    /// The accounts whose ids two entries have.
    pub fn accounts(&self) -> &[AccountId] {
        &self.accounts
    }

    /// Mends the counts of a result, of which `again` entries had an id that had come before.
    pub fn correct(&self, again: u64, result: &mut ImportResult) {
        // Of some ids, no entry stays: one of them is left out, and came for the first time.
        let nobody_stays = self.twins.values().filter(|twins| twins.left_out >= twins.times).count() as u64;
        result.came_again = (again + nobody_stays).saturating_sub(self.left_out);
        result.duplicates = self.left_out;
        result.shared_external_ids = self.twins.len() as u64;
        result.duplicate_samples.clone_from(&self.samples);
        result.updated = result.updated.saturating_sub(self.updated_again);
        result.returned = result.returned.saturating_sub(self.returned_again);
        let others = [result.created, result.updated, result.returned, result.came_again, result.duplicates];
        result.unchanged = (result.users + result.groups).saturating_sub(others.iter().sum());
    }

    /// Some of their ids, with the DNs of all entries.
    pub fn samples(&self) -> &[DuplicateSample] {
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
        self.twins.get(&key(entry)).is_some_and(|twins| twins.known != dn_hash(&normalized(entry)))
    }

    /// Finds out which ids of a part two entries have. Each id is looked at once.
    async fn judge(
        &mut self,
        store: &Store,
        directory: &Directory,
        suspects: &mut Suspects,
        payload: &[u8],
        repeated: &[(u128, u32)],
    ) -> Result<()> {
        let here = taken(suspects, payload).map_err(corrupt)?;
        for here in here.chunks(KEYS) {
            let ids: Vec<_> = here.iter().map(|taken| (taken.kind, taken.external_id.clone())).collect();
            let known = known::by_id(store, directory, &ids).await?;
            for Taken { key, suspect, external_id, .. } in here {
                let account = known.get(key);
                let known_dn = account.map_or("", |known| known.dn.as_str());
                let known_hash = dn_hash(&membership::dn_key(known_dn));
                let times = times(repeated, *key);
                // Copies that were not kept aside have the DN that is known by now.
                let others = times > suspect.kept && suspect.dn != known_hash;
                if !suspect.several && !others {
                    continue;
                }
                if self.named.len() < SAMPLES {
                    let mut named = Named { external_id: external_id.to_text(), ..Named::default() };
                    if !known_dn.is_empty() {
                        named.add(known_hash, known_dn);
                    }
                    self.named.insert(*key, named);
                }
                self.accounts.extend(account.map(|known| known.account));
                self.twins.insert(*key, Twins { known: known_hash, times, left_out: 0 });
            }
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
            // Whether each entry stays, by its key and DN, and the keys of those that do not.
            let (mut here, mut left_out) = (BTreeMap::<(u128, u128), bool>::new(), Vec::new());
            let mut named = std::mem::take(&mut self.named);
            let again = select(&payload, |entry| {
                let key = key(entry);
                if times(repeated, key) == 0 {
                    return false;
                }
                if let Some(named) = named.get_mut(&key) {
                    named.add(dn_hash(&normalized(entry)), &mapping::printable(entry.dn));
                }
                let leaves_out = self.leaves_out(entry);
                if leaves_out {
                    left_out.push(key);
                }
                here.insert((key, dn_hash(&normalized(entry))), !leaves_out);
                leaves_out || counted.contains(&key)
            });
            self.named = named;
            let again = again.map_err(corrupt)?;
            let again_here =
                here.into_iter().filter(|((key, _), stays)| !(*stays && counted.insert(*key))).count() as u64;
            let returns = part.kinds & sensitive::RETURNS != 0;
            *if returns { &mut self.returned_again } else { &mut self.updated_again } += again_here;
            let place = (part.sequence, part.kinds);
            if !left_out.is_empty() {
                self.touched.insert(place);
            }
            self.left_out += left_out.len() as u64;
            for key in left_out {
                self.twins.entry(key).and_modify(|twins| twins.left_out += 1);
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
    let decided = decide::decide(store, place, 0, payload, &mut FirstImportIndex::default(), &listed, now).await;
    let decided = decided.map_err(|error| match error {
        decide::Error::Store(error) => error,
        error => corrupt(error),
    })?;
    let mut counts = Counts::default();
    decided.deferred.iter().for_each(|deferred| counts.add_part(&deferred.part));
    Ok(counts)
}

/// Takes up the entries of a part whose ids came more than once. Gives how many ids turned out to have several DNs.
fn gather(
    suspects: &mut Suspects,
    payload: &[u8],
    repeated: &[(u128, u32)],
) -> std::result::Result<usize, DecodeError> {
    if payload.is_empty() {
        return Ok(0);
    }
    let (mut shared, mut reader) = (0, ChunkReader::parse(payload)?);
    while let Some(entry) = reader.next_entry()? {
        let key = key(&entry);
        if times(repeated, key) == 0 {
            continue;
        }
        let dn = dn_hash(&normalized(&entry));
        let suspect = suspects.entry(key).or_insert(Suspect { kept: 0, dn, several: false });
        suspect.kept += 1;
        if suspect.dn != dn && !suspect.several {
            suspect.several = true;
            shared += 1;
        }
    }
    Ok(shared)
}

/// An id of one part that is to be judged.
struct Taken {
    key: u128,
    kind: AccountKind,
    external_id: ExternalKey,
    suspect: Suspect,
}

/// Takes the suspects of a part out of all.
fn taken(suspects: &mut Suspects, payload: &[u8]) -> std::result::Result<Vec<Taken>, DecodeError> {
    let mut taken = Vec::new();
    if payload.is_empty() || suspects.is_empty() {
        return Ok(taken);
    }
    let mut reader = ChunkReader::parse(payload)?;
    while let Some(entry) = reader.next_entry()? {
        let key = key(&entry);
        if let Some(suspect) = suspects.remove(&key) {
            let (kind, external_id) = (stored(entry.kind), ExternalKey::from_text(entry.external_id));
            taken.push(Taken { key, kind, external_id, suspect });
        }
    }
    Ok(taken)
}

fn key(entry: &EntryView<'_>) -> u128 {
    recorded_key(stored(entry.kind), &ExternalKey::from_text(entry.external_id))
}

fn normalized(entry: &EntryView<'_>) -> String {
    membership::dn_key(&mapping::printable(entry.dn))
}

/// A text of bounded length, as reports have it.
pub(super) fn shortened(text: &str) -> String {
    text.get(..text.floor_char_boundary(MOST_TEXT)).unwrap_or_default().to_owned()
}

/// How often a key came; 0: once at most.
fn times(repeated: &[(u128, u32)], key: u128) -> u32 {
    let place = repeated.binary_search_by_key(&key, |(key, _)| *key);
    place.ok().and_then(|place| repeated.get(place)).map_or(0, |(_, times)| *times)
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> postern_store::Error {
    postern_store::Error::Corrupt { what: "an entry kept aside".to_owned(), source: Some(Box::new(error)) }
}

#[cfg(test)]
mod tests;
