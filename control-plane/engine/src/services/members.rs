//! Members that administrators add to groups and remove from them: one, or many in one transaction.

use std::collections::{BTreeSet, HashMap};

use postern_runtime::plain::quoted;
use postern_store::KnownMembers;
use serde_json::json;
use uuid::Uuid;

use super::access::Access;
use super::again::again;
use super::change::Change;
use super::change_groups::{self, GroupChanges};
use super::error::{Candidate, Error, Message, Result};
pub use super::member_source::MemberOutcome;
use super::member_source::Source;
use super::resolve;
use crate::records::{GroupId, IdentityId, PendingChange};

/// Most members in one request.
pub const MAX_CHANGES: usize = 1_000;

/// Users and groups, by id or name, that become members of a group or cease to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberChanges {
    /// Those to add.
    pub add: Vec<String>,
    /// Those to remove.
    pub remove: Vec<String>,
}

/// What came of one of the changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChanged {
    /// The user or group as the request names it.
    pub member: String,
    /// Its id. `None`: the name does not mean one.
    pub id: Option<Uuid>,
    /// What came of it.
    pub outcome: MemberOutcome,
}

impl GroupChanges<'_> {
    /// Adds a user or group to a group. Doing it again changes nothing. `false`: a directory was asked to do it.
    pub async fn add_member(&self, group: &str, member: &str) -> Result<bool> {
        let member = self.member(member).await?.to_string();
        self.one(group, MemberChanges { add: vec![member], remove: Vec::new() }).await
    }

    /// Removes a user or group from a group. Doing it again changes nothing. `false`: a directory was asked to do it.
    pub async fn remove_member(&self, group: &str, member: &str) -> Result<bool> {
        let member = self.member(member).await?.to_string();
        self.one(group, MemberChanges { add: Vec::new(), remove: vec![member] }).await
    }

    async fn one(&self, group: &str, changes: MemberChanges) -> Result<bool> {
        let outcomes = self.change_members(group, changes).await?;
        match outcomes.into_iter().next().map(|member| member.outcome) {
            Some(MemberOutcome::NotFound) => Err(nobody()),
            Some(MemberOutcome::Refused(message)) => Err(Error::Conflict(message)),
            Some(MemberOutcome::Pending) => Ok(false),
            _ => Ok(true),
        }
    }

    /// Adds members and removes some, in one transaction. A change that cannot be done does not stop the others. The
    /// outcomes come in the order of the request, added ones first.
    pub async fn change_members(&self, named: &str, changes: MemberChanges) -> Result<Vec<MemberChanged>> {
        bounded(&changes)?;
        let id = resolve::group(self.0, named).await?;
        let (add, remove) = (self.resolved(changes.add).await?, self.resolved(changes.remove).await?);
        let (add, remove) = distinct(add, remove)?;
        again(|| self.change_once(id, &add, &remove)).await
    }

    async fn change_once(&self, id: GroupId, add: &[Named], remove: &[Named]) -> Result<Vec<MemberChanged>> {
        let mut tx = self.begin().await?;
        let group = self.locked(&mut tx, id, None).await?;
        let holders = change_groups::holders(&mut tx, id).await?;
        let ids: Vec<Uuid> = add.iter().chain(remove).filter_map(|named| named.id.as_ref().ok().copied()).collect();
        let known = tx.known_members(id, &ids).await?;
        let source = Source::of(self.0, &mut tx, id, holders, &ids).await?;
        let verdicts = Verdicts { group: id, source, known };
        let added = add.iter().map(|named| named.changed(|member| verdicts.add(member)));
        let removed = remove.iter().map(|named| named.changed(|member| verdicts.remove(member)));
        let all: Vec<MemberChanged> = added.chain(removed).collect();
        let (added, removed) = (verdicts.of(&all, &MemberOutcome::Added), verdicts.of(&all, &MemberOutcome::Removed));
        let asked = verdicts.asked(self.0, &all, add.len());
        if added.is_empty() && removed.is_empty() && asked.is_empty() {
            tx.rollback().await?;
            return Ok(all);
        }
        tx.add_members(&added).await?;
        tx.remove_members(&removed).await?;
        tx.ask_changes(&asked).await?;
        let change = Change::new("group.members_changed", id.as_uuid(), &group.display_name);
        let mut after = json!({ "added": ids_of(&added), "removed": ids_of(&removed) });
        if !asked.is_empty() {
            let asked_for = asked.iter().map(|asked| (asked.what.clone(), asked.wanted.clone()));
            after["written_through"] = asked_for.collect();
        }
        tx.note(self.0.note(change.after(&after)));
        tx.commit().await?;
        self.log(id, "group.members_changed");
        Ok(all)
    }

    /// What each of these texts means.
    async fn resolved(&self, texts: Vec<String>) -> Result<Vec<Named>> {
        let mut named = Vec::with_capacity(texts.len());
        for text in texts {
            let id = match self.member(&text).await {
                Ok(id) => Ok(id),
                Err(Error::NotFound(_)) => Err(MemberOutcome::NotFound),
                Err(Error::Ambiguous { message, .. }) => Err(MemberOutcome::Refused(message)),
                Err(error) => return Err(error),
            };
            named.push(Named { text, id });
        }
        Ok(named)
    }

    async fn member(&self, text: &str) -> Result<Uuid> {
        member(self.0, text).await
    }
}

/// The user or group with this id, or the only one with this name.
pub(super) async fn member(access: Access<'_>, text: &str) -> Result<Uuid> {
    if let Ok(id) = Uuid::try_parse(text.trim()) {
        return Ok(id);
    }
    let user = none_if_missing(resolve::user(access, text).await)?;
    let group = none_if_missing(resolve::group(access, text).await)?;
    match (user, group) {
        (Some(user), None) => Ok(user.as_uuid()),
        (None, Some(group)) => Ok(group.as_uuid()),
        (None, None) => Err(nobody()),
        (Some(user), Some(group)) => Err(Error::Ambiguous {
            message: Message::new(format!("A user and a group match {}.", quoted(text))).cure("Give the id of one:"),
            candidates: [("user", user.as_uuid()), ("group", group.as_uuid())]
                .map(|(kind, id)| Candidate { id, name: format!("{kind} {text}") })
                .into(),
        }),
    }
}

/// Decides what may become of each member of a group.
struct Verdicts {
    group: GroupId,
    source: Source,
    known: KnownMembers,
}

impl Verdicts {
    fn exists(&self, member: Uuid) -> bool {
        self.known.identities.iter().any(|identity| identity.as_uuid() == member)
    }

    fn add(&self, member: Uuid) -> MemberOutcome {
        if !self.exists(member) {
            return MemberOutcome::NotFound;
        }
        if member == self.group.as_uuid() {
            let message = Message::new("A group cannot be a member of itself.");
            return MemberOutcome::Refused(message.cure("Add another group, or a user."));
        }
        let named = self.known.named.contains(&member) && !self.source.is_asked(member, false);
        if self.known.own.contains(&member) || named {
            return MemberOutcome::WasMember;
        }
        self.source.add(member)
    }

    fn remove(&self, member: Uuid) -> MemberOutcome {
        if !self.exists(member) {
            return MemberOutcome::NotFound;
        }
        // What the organization has added there is removed there.
        let (own, sent) = (self.known.own.contains(&member), self.known.sent.contains(&member));
        if self.known.named.contains(&member) && !(own && sent) {
            return self.source.remove();
        }
        if own {
            return MemberOutcome::Removed;
        }
        if self.source.is_asked(member, true) { MemberOutcome::Pending } else { MemberOutcome::WasNoMember }
    }

    /// What the directory is asked for. The first `adds` are to be members.
    fn asked(&self, access: Access<'_>, all: &[MemberChanged], adds: usize) -> Vec<PendingChange> {
        let pending = all.iter().enumerate().filter(|(_, changed)| changed.outcome == MemberOutcome::Pending);
        let asked =
            pending.filter_map(|(place, changed)| self.source.asked(access, self.group, changed.id?, place < adds));
        asked.collect()
    }

    /// The memberships with this outcome.
    fn of(&self, all: &[MemberChanged], outcome: &MemberOutcome) -> Vec<(GroupId, IdentityId)> {
        let known: HashMap<Uuid, IdentityId> =
            self.known.identities.iter().map(|identity| (identity.as_uuid(), *identity)).collect();
        let with = all.iter().filter(|changed| changed.outcome == *outcome);
        with.filter_map(|changed| Some((self.group, *known.get(&changed.id?)?))).collect()
    }
}

/// A text of a request, with the id that it means or why it means none.
struct Named {
    text: String,
    id: std::result::Result<Uuid, MemberOutcome>,
}

impl Named {
    fn changed(&self, verdict: impl FnOnce(Uuid) -> MemberOutcome) -> MemberChanged {
        let member = self.text.clone();
        match &self.id {
            Ok(id) => MemberChanged { member, id: Some(*id), outcome: verdict(*id) },
            Err(outcome) => MemberChanged { member, id: None, outcome: outcome.clone() },
        }
    }
}

fn bounded(changes: &MemberChanges) -> Result<()> {
    let count = changes.add.len() + changes.remove.len();
    if count > MAX_CHANGES {
        return Err(Error::field("add", format!("at most {MAX_CHANGES} members can be added and removed at a time")));
    }
    if count == 0 { Err(Error::field("add", "name members to add or to remove")) } else { Ok(()) }
}

/// The same without repetitions.
fn distinct(mut add: Vec<Named>, mut remove: Vec<Named>) -> Result<(Vec<Named>, Vec<Named>)> {
    let mut seen = BTreeSet::new();
    add.retain(|named| named.id.as_ref().map_or(true, |id| seen.insert(*id)));
    if let Some(both) = remove.iter().find(|named| named.id.as_ref().is_ok_and(|id| seen.contains(id))) {
        return Err(Error::field("remove", format!("{} is also to be added", both.text)));
    }
    remove.retain(|named| named.id.as_ref().map_or(true, |id| seen.insert(*id)));
    Ok((add, remove))
}

fn ids_of(members: &[(GroupId, IdentityId)]) -> Vec<Uuid> {
    members.iter().map(|(_, member)| member.as_uuid()).collect()
}

fn nobody() -> Error {
    Error::NotFound(Message::new("There is no such user or group."))
}

fn none_if_missing<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
