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

use super::decide::{self, Place, recorded_key, stored};
use super::listed::Listed;
use super::missing;
use super::newcomers::Newcomers;
use super::result::DuplicateSample;
use super::sensitive::{self, Counts};
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
    /// Of ids that two entries have: the DN of the entry that is known, see [`dn_hash`].
    twins: HashMap<u128, u128, RandomState>,
    /// More ids are shared than [`MOST_SHARED`]; nothing else is known then.
    too_many: bool,
    /// Counts of entries that count already, or not at all, by sequence and kinds of their part.
    overcounted: BTreeMap<(u64, u32), Counts>,
    /// Parts that hold entries which are left out.
    touched: BTreeSet<(u64, u32)>,
    /// Entries that are left out.
    left_out: u64,
    named: BTreeMap<u128, Named>,
    samples: Vec<DuplicateSample>,
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
        let mut suspects = Suspects::default();
        let mut shared = 0;
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
        let known = self.twins.get(&key(entry));
        known.is_some_and(|known| *known != dn_hash(&normalized(entry)))
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
            let known = known_dns(store, directory, here).await?;
            for Taken { key, suspect, external_id, .. } in here {
                let (known_hash, known_dn) =
                    known.get(key).map_or((dn_hash(""), ""), |(hash, dn)| (*hash, dn.as_str()));
                // Copies that were not kept aside have the DN that is known by now.
                let others = times(repeated, *key) > suspect.kept && suspect.dn != known_hash;
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
                self.twins.insert(*key, known_hash);
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
            let (mut left_out, mut here) = (0, Vec::new());
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
                left_out += u64::from(leaves_out);
                here.push(key);
                leaves_out || counted.contains(&key)
            });
            self.named = named;
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

/// Takes up the entries of a part whose ids came more than once. Gives how many ids turned out to have several DNs.
fn gather(
    suspects: &mut Suspects,
    payload: &[u8],
    repeated: &[(u128, u32)],
) -> std::result::Result<usize, DecodeError> {
    if payload.is_empty() {
        return Ok(0);
    }
    let mut shared = 0;
    let mut reader = ChunkReader::parse(payload)?;
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

/// The DNs that the accounts of these ids have: the hash, and the text as written.
async fn known_dns(
    store: &Store,
    directory: &Directory,
    taken: &[Taken],
) -> Result<HashMap<u128, (u128, String), RandomState>> {
    let mut known = HashMap::default();
    for kind in [AccountKind::User, AccountKind::Group] {
        let of_kind = taken.iter().filter(|taken| taken.kind == kind);
        // No content has this hash, so that each account is told with its id.
        let (places, keys): (Vec<u128>, Vec<_>) =
            of_kind.map(|taken| (taken.key, (taken.external_id.clone(), [0; 16]))).unzip();
        if keys.is_empty() {
            continue;
        }
        let found = store.compare_accounts(directory.organization, directory.id, kind, &keys).await?;
        let accounts: HashMap<_, _> = places
            .into_iter()
            .zip(found)
            .filter_map(|(key, found)| match found {
                Comparison::Known(account) => Some((account.id, key)),
                _ => None,
            })
            .collect();
        let ids: Vec<_> = accounts.keys().copied().collect();
        for content in store.known_contents(directory.organization, &ids).await? {
            if let Some(key) = accounts.get(&content.account) {
                known.insert(*key, (dn_hash(&membership::dn_key(&content.dn)), content.dn));
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

/// Stands for a normalized DN, which may be long.
fn dn_hash(normalized: &str) -> u128 {
    let hash = blake3::hash(normalized.as_bytes());
    hash.as_bytes().iter().take(size_of::<u128>()).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

fn shortened(text: &str) -> String {
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
