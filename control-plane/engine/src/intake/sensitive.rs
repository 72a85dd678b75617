//! Changes that are harmless one by one but point to a fault of the directory in great number: users who become active
//! or inactive or are renamed, lost attributes, removed members. Entries with such changes are kept aside until the
//! import is proven and the changes are counted.

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::quality::RandomState;
use jiff::{SignedDuration, Timestamp};
use postern_proto::chunk::{EntryView, Kind, MemberForm};
use postern_store::{
    AccountId, AccountKind, ChangeKind, DeferredPart, ExternalKey, GroupId, KnownAccount, KnownContent, Store, Switch,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::decided::{Row, Wanted};
use super::listed::Listed;
use super::place::Place;
use crate::identity::membership;

/// Stands for the login attribute among attribute names.
pub const LOGIN: &str = "(login)";

/// The bit of a kind of change in the stored set.
pub const fn bit(kind: ChangeKind) -> u32 {
    1 << kind as u32
}

/// The bit of entries with another DN than the known one, and of groups whose members leave under one name and may come
/// under another. They never hold an import. But only the complete import shows whether two entries have one external
/// id, and members are renamed together with their groups.
pub const MOVED: u32 = 1 << 16;

/// The bit of entries of users who were missing. Only set together with others.
pub const RETURNS: u32 = 1 << 17;

/// The bit of users whose accounts now end soon: they count apart from those who become inactive at once. Only set
/// together with [`ChangeKind::Deactivated`].
pub const ENDS_SOON: u32 = 1 << 18;

/// The accounts and groups of a chunk before it.
#[derive(Debug, Default)]
pub struct Before {
    accounts: HashMap<AccountId, KnownContent, RandomState>,
    /// Accounts whose users stay inactive whatever these accounts say.
    barred: HashSet<AccountId, RandomState>,
    members: HashMap<GroupId, HashSet<String>>,
    /// The groups that users name.
    named: HashMap<AccountId, HashSet<ExternalKey>, RandomState>,
}

impl Changes {
    /// The changes of an entry whose external id another entry of this chunk also has.
    pub fn moved() -> Self {
        Self { kinds: MOVED, ..Self::default() }
    }

    /// Adds memberships that end under their names, and how many of them are really lost.
    fn lose_members(&mut self, left: u64, removed: u64) {
        self.removed = removed;
        if left > 0 {
            self.kinds |= MOVED;
        }
        if removed > 0 {
            self.kinds |= bit(ChangeKind::Removed);
        }
    }
}

/// What one entry changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The kinds of change, see [`bit`].
    pub kinds: u32,
    /// The lost attributes.
    vanished: Vec<String>,
    /// How many members are removed.
    removed: u64,
}

/// How many changes of each kind there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Users who become active.
    pub activated: u64,
    /// Users who become inactive.
    pub deactivated: u64,
    /// Users who become inactive soon, when their accounts end.
    pub ends_soon: u64,
    /// Users who get another name.
    pub renamed: u64,
    /// Members that groups lose.
    pub removed: u64,
    /// Accounts with a shared external id that would pass to another entry.
    pub reassigned: u64,
    /// Accounts that lose an attribute, by `user` or `group` and the attribute's name.
    pub vanished: BTreeMap<String, u64>,
}

/// Most attributes that are counted separately; the rest counts together, because an agent could invent any number.
const MOST_NAMES: usize = 2 * postern_proto::limits::MAX_LISTED_ATTRIBUTES;
/// An account that expires within this time is about to be switched off.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
const OTHER_NAMES: &str = "user (others)";

impl Before {
    /// Reads these accounts, which have changed or returned. Without accounts there is no query.
    pub async fn of<'k>(
        store: &Store,
        place: Place,
        form: MemberForm,
        changed: impl Iterator<Item = (Kind, &'k KnownAccount)>,
        now: Timestamp,
    ) -> Result<Self, postern_store::Error> {
        let (mut accounts, mut groups) = (Vec::new(), Vec::new());
        for (kind, known) in changed {
            accounts.push(known.id);
            let group = known.identity.filter(|_| kind == Kind::Group && !known.missing);
            groups.extend(group.map(GroupId::from_uuid));
        }
        let mut before = Self::default();
        if !accounts.is_empty() {
            let contents = store.known_contents(place.organization, &accounts).await?;
            let inactive = contents.iter().filter(|content| content.active == Some(false));
            let inactive: Vec<AccountId> = inactive.map(|content| content.account).collect();
            before.barred = store.barred(place.organization, &inactive, now).await?.into_iter().collect();
            before.accounts = contents.into_iter().map(|content| (content.account, content)).collect();
        }
        if !groups.is_empty() {
            before.members = store.member_names(place.organization, place.directory, &groups).await?;
        }
        if form == MemberForm::GroupNames && !accounts.is_empty() {
            for naming in store.groups_named_by(place.organization, place.directory, &accounts).await? {
                before.named.entry(naming.account).or_default().insert(naming.key);
            }
        }
        Ok(before)
    }

    /// The changes of a row that may be a fault of the directory.
    pub fn changes(&self, row: &Row, view: &EntryView<'_>, listed: &Listed, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        let Some(old) = self.accounts.get(&row.account.id) else { return changes };
        let moved = old.dn != row.account.dn && membership::dn_key(&old.dn) != row.account.dn_key;
        if moved && old.shared && !has_its_login(old, row) {
            changes.kinds |= bit(ChangeKind::Reassigned);
        }
        if old.missing && row.account.kind == AccountKind::Group {
            // A returning group takes whatever its entry says.
            changes.kinds |= if changes.kinds == 0 { 0 } else { RETURNS };
            return changes;
        }
        if moved {
            changes.kinds |= MOVED;
        }
        changes.vanished = vanished(old, row, view, listed);
        if !changes.vanished.is_empty() {
            changes.kinds |= bit(ChangeKind::Vanished);
        }
        if let (Some(names), Some(known)) = (&row.named, self.named.get(&row.account.id)) {
            let left = known.iter().filter(|key| names.iter().all(|name| name.key != **key)).count() as u64;
            let came = names.iter().filter(|name| !known.contains(&name.key)).count() as u64;
            // As for members: a group that was renamed is left under one name and joined under another.
            changes.lose_members(left, left.saturating_sub(came));
        }
        match &row.identity {
            Wanted::User(user, other_names) => {
                let on = row.account.switch.is_on(now);
                // Whatever made the user inactive: only a part that is counted may activate.
                if on && old.active == Some(false) && !self.barred.contains(&row.account.id) {
                    changes.kinds |= bit(ChangeKind::Activated);
                }
                // An unknown switch keeps the last known one.
                let ends = !on && row.account.switch != Switch::Unknown;
                let soon = !ends && expires_sooner(old.switch, row.account.switch, now);
                if (ends || soon) && old.active == Some(true) {
                    changes.kinds |= bit(ChangeKind::Deactivated) | if soon { ENDS_SOON } else { 0 };
                }
                // The user keeps its name while it is one of several logins, or if there is none.
                let stays = |old: &String| {
                    *old == user.name_key || other_names.iter().any(|name| postern_store::fold(name) == *old)
                };
                if !user.name_key.is_empty() && old.name_key.as_ref().is_some_and(|old| !stays(old)) {
                    changes.kinds |= bit(ChangeKind::Renamed);
                }
            }
            Wanted::Group(group, keys) => {
                let (left, removed) = self.members.get(&group.id).map_or((0, 0), |known| lost(known, keys));
                changes.lose_members(left, removed);
            }
        }
        if old.missing && changes.kinds != 0 {
            changes.kinds |= RETURNS;
        }
        changes
    }
}

/// Whether an entry has the login of its account. Without any login this is unknown, so it does not.
fn has_its_login(old: &KnownContent, row: &Row) -> bool {
    let Some(login) = old.unique_value.as_deref().map(postern_store::fold) else { return false };
    let others: &[String] = match &row.identity {
        Wanted::User(_, others) => others,
        Wanted::Group(..) => &[],
    };
    row.account.unique_value.iter().chain(others).any(|value| postern_store::fold(value) == login)
}

/// Whether an account now expires within [`SOON`] and did not expire as early before. The user becomes inactive then
/// without another import, so the same threshold holds the import.
fn expires_sooner(old: Switch, new: Switch, now: Timestamp) -> bool {
    let Switch::OnUntil(end) = new else { return false };
    let known = matches!(old, Switch::OnUntil(before) if before <= end);
    end > now && !known && now.checked_add(SOON).is_ok_and(|soon| end <= soon)
}

/// The attributes that an account had and its entry lacks, although the site delivers them.
fn vanished(old: &KnownContent, row: &Row, view: &EntryView<'_>, listed: &Listed) -> Vec<String> {
    let had: BTreeMap<String, &RawValue> = serde_json::from_str(&old.attributes).unwrap_or_default();
    let has: Vec<&str> = view.attributes().map(|(name, _)| name).collect();
    let is_gone = |name: &String| !has.iter().any(|has| has.eq_ignore_ascii_case(name));
    let mut gone: Vec<String> =
        had.into_keys().filter(|name| is_gone(name) && listed.may_deliver(view.kind, name)).collect();
    if old.unique_value.is_some() && row.account.unique_value.is_none() {
        gone.push(LOGIN.to_owned());
    }
    gone
}

/// How many names have left a group, and by how many its members have decreased. Renamed or moved members leave under
/// one name and come under another, so new names are subtracted. `wanted` is sorted.
fn lost(known: &HashSet<String>, wanted: &[String]) -> (u64, u64) {
    let left = known.iter().filter(|name| wanted.binary_search(name).is_err()).count();
    let came = wanted.iter().filter(|name| !known.contains(*name)).count();
    (left as u64, left.saturating_sub(came) as u64)
}

impl Counts {
    /// Counts what an entry changes.
    pub fn add(&mut self, kind: AccountKind, changes: &Changes) {
        let counters = [
            (ChangeKind::Activated, &mut self.activated),
            (ChangeKind::Deactivated, &mut self.deactivated),
            (ChangeKind::Renamed, &mut self.renamed),
            (ChangeKind::Reassigned, &mut self.reassigned),
        ];
        for (kind, counter) in counters {
            *counter += u64::from(changes.kinds & bit(kind) != 0);
        }
        if changes.kinds & ENDS_SOON != 0 {
            self.deactivated = self.deactivated.saturating_sub(1);
            self.ends_soon += 1;
        }
        self.removed += changes.removed;
        for name in &changes.vanished {
            self.lose(format!("{kind} {name}"), 1);
        }
    }

    /// Adds the counts of a part that was kept aside.
    pub fn add_part(&mut self, part: &DeferredPart) {
        self.add_all(Self::deserialize(&part.counts).unwrap_or_default());
    }

    /// Subtracts what was counted twice.
    pub fn take_off(&mut self, less: &Self) {
        self.activated = self.activated.saturating_sub(less.activated);
        self.deactivated = self.deactivated.saturating_sub(less.deactivated);
        self.ends_soon = self.ends_soon.saturating_sub(less.ends_soon);
        self.renamed = self.renamed.saturating_sub(less.renamed);
        self.removed = self.removed.saturating_sub(less.removed);
        self.reassigned = self.reassigned.saturating_sub(less.reassigned);
        for (name, count) in &mut self.vanished {
            *count = count.saturating_sub(less.vanished.get(name).copied().unwrap_or_default());
        }
        self.vanished.retain(|_, count| *count > 0);
    }

    /// Adds other counts.
    pub fn add_all(&mut self, more: Self) {
        self.activated += more.activated;
        self.deactivated += more.deactivated;
        self.ends_soon += more.ends_soon;
        self.renamed += more.renamed;
        self.removed += more.removed;
        self.reassigned += more.reassigned;
        for (name, count) in more.vanished {
            self.lose(name, count);
        }
    }

    fn lose(&mut self, name: String, count: u64) {
        let told_apart = self.vanished.len() < MOST_NAMES || self.vanished.contains_key(&name);
        let name = if told_apart { name } else { OTHER_NAMES.to_owned() };
        *self.vanished.entry(name).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_who_only_changed_their_names_are_not_lost() {
        let known: HashSet<String> = ["a", "b", "c"].map(str::to_owned).into();
        let lost = |wanted: &[&str]| lost(&known, &wanted.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).1;
        assert_eq!(lost(&["a", "b", "c"]), 0);
        assert_eq!(lost(&["a"]), 2);
        assert_eq!(lost(&["x", "y", "z"]), 0);
        assert_eq!(lost(&["x"]), 2);
        assert_eq!(lost(&["a", "b", "c", "d"]), 0);
    }
}
