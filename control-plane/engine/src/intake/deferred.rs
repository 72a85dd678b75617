//! Entries that an import has kept aside. They are applied if their changes are few or were approved. Otherwise they
//! wait, and the import is held.

use bytes::Bytes;
use jiff::Timestamp;
use postern_proto::chunk::{EntryView, MemberForm};
use postern_store::{AccountKind, ChangeKind, DeferredPart, Directory, Lease, Staged, Store};

use super::apply;
use super::decide;
use super::decided::Decided;
use super::decided::Row;
use super::former_names::FormerNames;
use super::people::{self, Person};
use super::place::Place;
use super::reading::Reading;
use super::repeats::Repeats;
use super::sensitive::{Counts, ENDS_SOON, LOGIN, MOVED, bit};
use super::threshold::{SMALL, SMALL_MINIMUM, exceeds};

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Changes of one kind beyond their threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// The kind.
    pub kind: ChangeKind,
    /// The lost attribute, and the kind of account.
    pub attribute: Option<(AccountKind, String)>,
    /// The number of changes.
    pub count: u64,
    /// The number that they are compared with.
    pub known: u64,
    /// The threshold.
    pub percent: u32,
}

/// The state of what was kept aside.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many changes there were.
    pub counts: Counts,
    /// What holds the import.
    pub excesses: Vec<Excess>,
    /// The parts that still wait.
    pub left: Vec<DeferredPart>,
    /// Users who were switched off and members who were removed, although their entries wait.
    pub ahead: Ahead,
    /// Some of those whose changes are applied.
    pub samples: Samples,
}

/// Some of the users who change, as their entries name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// They become active.
    pub active: Vec<Person>,
    /// They become inactive.
    pub inactive: Vec<Person>,
    /// They get another name.
    pub renamed: Vec<Person>,
}

/// What was written of entries that wait for another reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Users who became inactive.
    pub deactivated: u64,
    /// Members who were removed from groups.
    pub removed: u64,
}

/// A proven import with its directory.
#[derive(Clone, Copy)]
pub struct Proven<'a> {
    /// The store.
    pub store: &'a Store,
    /// The directory.
    pub directory: &'a Directory,
    /// The lease.
    pub lease: Lease,
    /// The sums over the recorded chunks.
    pub staged: &'a Staged,
    /// The external ids that came more than once.
    pub repeats: &'a Repeats,
    /// The attributes that the site delivers, which of them are binary, and the rules of the directory.
    pub reading: &'a Reading,
    /// Now.
    pub now: Timestamp,
}

impl Proven<'_> {
    /// Applies what may be applied. `None`: the job was taken over. May be repeated: applied parts are deleted.
    pub async fn settle_deferred(&self, approved: bool) -> Result<Option<Outcome>> {
        let Lease { job, attempt, .. } = self.lease;
        let parts = self.store.deferred(self.directory.organization, job, attempt).await?;
        let mut outcome = Outcome::default();
        for part in &parts {
            outcome.counts.add_all(self.repeats.counts(part));
        }
        if !approved && !parts.is_empty() {
            outcome.excesses = self.excesses(&outcome.counts).await?;
        }
        if parts.is_empty() {
            return Ok(Some(outcome));
        }
        let place = Place::of(self.directory);
        let held = outcome.excesses.iter().fold(0, |held, excess| held | bit(excess.kind));
        let names = self.former_names(place, &parts, held).await?;
        let (left, applied): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.kinds & held != 0);
        outcome.samples = self.samples(&applied).await?;
        // The waiting parts first: once a part is applied and deleted, its former names are lost.
        for part in &left {
            if !self.write_ahead(place, part, part.kinds & held, &names, &mut outcome.ahead).await? {
                return Ok(None);
            }
        }
        for part in &applied {
            if !self.apply(place, part, &names).await? {
                return Ok(None);
            }
        }
        outcome.left = left;
        Ok(Some(outcome))
    }

    /// Some of the users of these parts, which are read only as far as needed. Parts with entries that are left out name
    /// nobody.
    async fn samples(&self, parts: &[DeferredPart]) -> Result<Samples> {
        let mut samples = Samples::default();
        for (kind, people) in [
            (ChangeKind::Activated, &mut samples.active),
            (ChangeKind::Deactivated, &mut samples.inactive),
            (ChangeKind::Renamed, &mut samples.renamed),
        ] {
            let of_kind = |part: &&DeferredPart| {
                let soon = kind == ChangeKind::Deactivated && part.kinds & ENDS_SOON != 0;
                part.kinds & bit(kind) != 0 && !soon && !self.repeats.touches(part)
            };
            for part in parts.iter().filter(of_kind) {
                if people.len() >= people::SHOWN {
                    break;
                }
                let Some(payload) = self.payload(part).await? else { continue };
                let is_user = |kind, _: &EntryView<'_>| kind == AccountKind::User;
                let found = people::of_entries(&payload, self.directory.flavour, self.now, is_user);
                people.extend(found.into_iter().map(|(person, _)| person));
            }
            people.truncate(people::SHOWN);
        }
        Ok(samples)
    }

    /// The names that members get in an import if some parts wait.
    async fn former_names(&self, place: Place, parts: &[DeferredPart], held: u32) -> Result<FormerNames> {
        let mut names = FormerNames::default();
        if held == 0 {
            return Ok(names);
        }
        // An entry that may be another person does not stand for the account's former name.
        for part in parts.iter().filter(|part| part.kinds & bit(ChangeKind::Reassigned) == 0) {
            let Some(decided) = self.decided(place, part).await? else { continue };
            names.note(self.store, place, decided.member_form, &decided.rows, part.kinds & held != 0).await?;
        }
        Ok(names)
    }

    /// Applies a part. `false`: the job was taken over.
    async fn apply(&self, place: Place, part: &DeferredPart, names: &FormerNames) -> Result<bool> {
        let decided = self.decided(place, part).await?;
        let mut decided = decided.unwrap_or_else(|| Decided::empty(part.sequence, MemberForm::Dn, 0));
        let again = names.keep_in(&mut decided.rows);
        // Parts with entries that are left out stay, to be named once the import is approved. So do groups whose
        // members change then.
        let part = (part, !again && !self.repeats.touches(part));
        is_written(apply::apply_deferred(self.store, place, self.lease, part, decided, self.now).await)
    }

    /// Writes removals of entries that wait for these kinds of change: disabled users become inactive, and members who
    /// left are removed, independent of the decision. `false`: the job was taken over.
    async fn write_ahead(
        &self,
        place: Place,
        part: &DeferredPart,
        held: u32,
        names: &FormerNames,
        ahead: &mut Ahead,
    ) -> Result<bool> {
        // An entry that may be another person removes nothing from the account.
        if part.kinds & bit(ChangeKind::Reassigned) != 0 {
            return Ok(true);
        }
        let (switches, members) = (held & bit(ChangeKind::Deactivated) == 0, held & bit(ChangeKind::Removed) == 0);
        let counts = self.repeats.counts(part);
        ahead.deactivated += if switches { counts.deactivated } else { 0 };
        ahead.removed += if members { counts.removed } else { 0 };
        let rows = self.rows(place, part).await?;
        let wanted = |row: &Row| match row.account.kind {
            AccountKind::User => switches || (members && part.kinds & bit(ChangeKind::Removed) != 0),
            AccountKind::Group => part.kinds & (bit(ChangeKind::Removed) | MOVED) != 0,
        };
        let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
        let taken = apply::Taken { rows, names, switches, members_leave: members };
        is_written(apply::take_away(self.store, place, self.lease, taken, self.now).await)
    }

    /// What the entries of a part would write now.
    async fn rows(&self, place: Place, part: &DeferredPart) -> Result<Vec<Row>> {
        Ok(self.decided(place, part).await?.map_or_else(Vec::new, |decided| decided.rows))
    }

    async fn decided(&self, place: Place, part: &DeferredPart) -> Result<Option<Decided>> {
        let Some(payload) = self.payload(part).await? else { return Ok(None) };
        match decide::decide_finally(self.store, place, &payload, self.reading, self.now).await {
            Ok(decided) => Ok(Some(decided)),
            Err(decide::Error::Store(error)) => Err(error),
            Err(error) => Err(postern_store::Error::Corrupt {
                what: "an entry kept aside".to_owned(),
                source: Some(Box::new(error)),
            }),
        }
    }

    /// The entries of a part, as a chunk.
    pub async fn payload(&self, part: &DeferredPart) -> Result<Option<Bytes>> {
        let Lease { job, attempt, .. } = self.lease;
        let payload = self.store.deferred_payload(self.directory.organization, job, attempt, part).await?;
        let payload = payload.map(|payload| self.repeats.without(part, payload.into())).transpose();
        payload.map_err(|error| postern_store::Error::Corrupt {
            what: "an entry kept aside".to_owned(),
            source: Some(Box::new(error)),
        })
    }

    async fn excesses(&self, counts: &Counts) -> Result<Vec<Excess>> {
        let mut excesses = Vec::new();
        let users = self.count_before(AccountKind::User).await?;
        let accounts = users + self.count_before(AccountKind::Group).await?;
        excesses.extend(self.excess(ChangeKind::Reassigned, None, counts.reassigned, accounts));
        let of_users = [
            (ChangeKind::Activated, counts.activated),
            (ChangeKind::Deactivated, counts.deactivated + counts.ends_soon),
            (ChangeKind::Renamed, counts.renamed),
        ];
        for (kind, count) in of_users {
            excesses.extend(self.excess(kind, None, count, users));
        }
        if counts.removed >= self.fewest(ChangeKind::Removed, accounts) {
            let members = self.store.count_members(self.directory.organization, self.directory.id).await?;
            let known = members.resolved + members.unresolved + members.without_user;
            excesses.extend(self.excess(ChangeKind::Removed, None, counts.removed, known));
        }
        let fewest = self.fewest(ChangeKind::Vanished, accounts);
        for kind in [AccountKind::User, AccountKind::Group] {
            excesses.extend(self.vanished(kind, counts, fewest).await?);
        }
        Ok(excesses)
    }

    /// Fewer changes than this do not hold an import of a directory with this many accounts.
    fn fewest(&self, kind: ChangeKind, accounts: u64) -> u64 {
        let minimum = u64::from(self.directory.thresholds.of(kind).minimum).max(1);
        if accounts < SMALL { minimum.min(SMALL_MINIMUM) } else { minimum }
    }

    /// The attributes that too many accounts of a kind have lost, those with most accounts first.
    async fn vanished(&self, kind: AccountKind, counts: &Counts, fewest: u64) -> Result<Vec<Excess>> {
        let of_kind = counts.vanished.iter().filter_map(|(name, count)| {
            let (of, name) = name.split_once(' ')?;
            (of == kind.as_str() && *count >= fewest).then_some((name, *count))
        });
        let of_kind: Vec<(&str, u64)> = of_kind.collect();
        let names: Vec<&str> = of_kind.iter().map(|(name, _)| *name).filter(|name| *name != LOGIN).collect();
        let Directory { organization, id, .. } = *self.directory;
        let had = self.store.count_with_attributes(organization, id, kind, &names).await?;
        let mut had = had.into_iter();
        let mut excesses = Vec::new();
        for (name, count) in of_kind {
            let known = if name == LOGIN { self.count_before(kind).await? } else { had.next().unwrap_or_default() };
            excesses.extend(self.excess(ChangeKind::Vanished, Some((kind, name.to_owned())), count, known));
        }
        excesses.sort_by_key(|excess| std::cmp::Reverse(excess.count));
        Ok(excesses)
    }

    fn excess(
        &self,
        kind: ChangeKind,
        attribute: Option<(AccountKind, String)>,
        count: u64,
        known: u64,
    ) -> Option<Excess> {
        let threshold = self.directory.thresholds.of(kind);
        let percent = threshold.percent;
        // Returning users were not among the present ones.
        let known = known.max(count);
        exceeds(threshold, count, known).then_some(Excess { kind, attribute, count, known, percent })
    }

    /// How many accounts of a kind there were before this import: new ones must not hide changes.
    async fn count_before(&self, kind: AccountKind) -> Result<u64> {
        let present = self.store.count_present(self.directory.organization, self.directory.id, kind).await?;
        Ok(present.saturating_sub(self.staged.created_of(kind)))
    }
}

/// `false`: the job was taken over.
fn is_written(written: std::result::Result<(), apply::Error>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(apply::Error::Fenced) => Ok(false),
        Err(apply::Error::Store(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use postern_store::Threshold;

    use super::*;

    #[test]
    fn small_directories_are_held_by_half_of_them() {
        let usual = Threshold { percent: 10, minimum: 10 };
        assert!(exceeds(usual, 8, 9));
        assert!(exceeds(usual, 3, 6));
        assert!(!exceeds(usual, 4, 9));
        assert!(!exceeds(usual, 2, 2), "one or two people are an everyday change");
        assert!(!exceeds(usual, 9, 12), "the minimum counts from ten accounts on");
        assert!(exceeds(usual, 10, 12));
        assert!(!exceeds(Threshold { percent: 100, minimum: 1 }, 9, 9), "switched off");
        assert!(exceeds(Threshold { percent: 0, minimum: 1 }, 1, 9), "every change holds");
        assert!(!exceeds(usual, 0, 0));
    }
}
