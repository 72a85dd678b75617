//! Entries whose external id came more than once in an import. Overlapping base DNs bring the same entry again, which
//! counts as one. Two entries with one id do not: either the attribute configured as id is not unique, or an entry
//! moved while it was read. Of those, the known one stays, the others are left out, and all are listed.
//!
//! An entry with another DN than the known one is kept aside (see [`super::sensitive::MOVED`]), and is judged here when
//! all keys are known.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use foldhash::quality::RandomState;
use jiff::Timestamp;
use postern_proto::chunk::{ChunkReader, DecodeError, EntryView};
use postern_store::{AccountId, AccountKind, DeferredPart, Directory, ExternalKey, Lease, Staged, Store};

use super::decide;
use super::first_import::FirstImportIndex;
use super::kept_aside::select;
use super::keys::{dn_hash, recorded_key, stored};
use super::place::Place;
use super::reading::Reading;
use super::result::{DuplicateSample, ImportResult};
use super::sensitive::{self, Counts};
use super::shortened::shortened;
use super::{known, missing};
use crate::identity::{mapping, membership};
use crate::jobs::failure::Failure;

/// Most ids that are listed.
const SAMPLES: usize = 20;
/// Most DNs that are listed for an id.
const MOST_DNS: usize = 5;
/// If more ids than this have two or more entries, the import fails: the attribute is not an id.
const MOST_SHARED: usize = 50_000;
/// Keys that are looked up together, with the contents of their accounts.
const KEYS: usize = 500;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The kept-aside entries that came more than once.
#[derive(Debug, Default)]
pub struct Repeats {
    /// The ids with two or more entries.
    twins: HashMap<u128, Twins, RandomState>,
    /// Their accounts.
    accounts: Vec<AccountId>,
    /// More ids than [`MOST_SHARED`] are shared; then nothing else is known.
    too_many: bool,
    /// Counts to subtract, by sequence and kinds of the part: entries that were counted already or are left out.
    overcounted: BTreeMap<(u64, u32), Counts>,
    /// Parts with entries that are left out.
    touched: BTreeSet<(u64, u32)>,
    /// How many entries are left out.
    left_out: u64,
    /// How often a changed entry was counted although it is left out or was counted already.
    updated_again: u64,
    /// The same for returning entries.
    returned_again: u64,
    named: BTreeMap<u128, Named>,
    samples: Vec<DuplicateSample>,
}

/// The entries with one id.
#[derive(Debug)]
struct Twins {
    /// The DN of the known entry, see [`dn_hash`].
    known: u128,
    /// How many came.
    times: u32,
    /// How many of them are left out.
    left_out: u32,
}

/// An id that is listed in the report.
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

/// An id that came more than once. There may be as many as entries, so it contains no text.
struct Suspect {
    /// How often it was kept aside.
    kept: u32,
    /// The first DN.
    dn: u128,
    /// Whether another DN came as well.
    several: bool,
}

type Suspects = HashMap<u128, Suspect, RandomState>;

impl Repeats {
    /// Checks what an import has kept aside. Reads nothing further if no id came twice.
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

    /// How many entries are left out because other entries have their external ids.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether two entries have the id of this key.
    pub fn is_shared(&self, key: u128) -> bool {
        self.twins.contains_key(&key)
    }

    /// The accounts with ids that two entries have.
    pub fn accounts(&self) -> &[AccountId] {
        &self.accounts
    }

    /// Corrects the counts of a result, in which `again` entries had an id that had come before.
    pub fn correct(&self, again: u64, result: &mut ImportResult) {
        // Some ids keep no entry: one of those left out was counted as the first with its id.
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

    /// Samples of these ids, with the DNs of all entries.
    pub fn samples(&self) -> &[DuplicateSample] {
        &self.samples
    }

    /// Whether a part has entries that are left out.
    pub fn touches(&self, part: &DeferredPart) -> bool {
        self.touched.contains(&(part.sequence, part.kinds))
    }

    /// A part's entries, without those left out.
    pub fn without(&self, part: &DeferredPart, payload: Bytes) -> std::result::Result<Bytes, DecodeError> {
        if self.touches(part) { select(&payload, |entry| !self.leaves_out(entry)) } else { Ok(payload) }
    }

    /// The changes of a part's entries, each entry counted once.
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

    /// Finds the ids of a part that two entries have. Each id is checked once.
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
                // Copies that were not kept aside have the DN that is known now.
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

    /// Counts what is left out, and what the parts counted more than once.
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
            // Whether each entry stays, by key and DN, and the keys of those that do not.
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

/// The changes of these entries.
async fn changes(store: &Store, directory: &Directory, payload: &Bytes, now: Timestamp) -> Result<Counts> {
    let (place, reading) = (Place::of(directory), Reading::default());
    let decided = decide::decide(store, place, 0, payload, &mut FirstImportIndex::default(), &reading, now).await;
    let decided = decided.map_err(|error| match error {
        decide::Error::Store(error) => error,
        error => corrupt(error),
    })?;
    let mut counts = Counts::default();
    decided.deferred.iter().for_each(|deferred| counts.add_part(&deferred.part));
    Ok(counts)
}

/// Collects the entries of a part whose ids came more than once. Returns how many ids turned out to have several DNs.
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

/// An id of one part that must be judged.
struct Taken {
    key: u128,
    kind: AccountKind,
    external_id: ExternalKey,
    suspect: Suspect,
}

/// Takes the suspects of a part out of the map.
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

/// How often a key came; 0: at most once.
fn times(repeated: &[(u128, u32)], key: u128) -> u32 {
    let place = repeated.binary_search_by_key(&key, |(key, _)| *key);
    place.ok().and_then(|place| repeated.get(place)).map_or(0, |(_, times)| *times)
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> postern_store::Error {
    postern_store::Error::Corrupt { what: "an entry kept aside".to_owned(), source: Some(Box::new(error)) }
}

#[cfg(test)]
mod tests;
