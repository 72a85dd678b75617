//! Writes what came back from a target: the outcome, the account as it is now, and what becomes of the mark.

mod problems;

use bytes::Bytes;
use jiff::Timestamp;
use postern_dn::Dn;
use postern_store::{
    AccountKind, Ended, ExternalKey, IdentityId, Intake, MemberForm, Operation, OperationState, PendingId,
};
use serde_json::{Value, json};

use self::problems::{
    CONFLICT, absent, changed_meanwhile, is_refusal, not_taken, owner, settled_by, taken, unreadable,
};
use super::agreed::Agreed;
use super::change::{Attributes, Change, Reference, Step};
use super::compare;
use super::connector::{Done, Effect, RefusedAttribute, RefusedMember};
use super::decide::texts;
use super::load::Target;
use super::size;
use crate::identity::membership;
use crate::intake::place::Place;
use crate::intake::reading::Reading;
use crate::intake::written::{self, Written};
use crate::jobs::failure::Failure;

/// A new account of Active Directory waits for its first password, which makes it be looked at again.
const NO_PASSWORD: &str = "no_password";

type Result<T> = std::result::Result<T, postern_store::Error>;

/// An answer with its entry read, to be written in a transaction of several.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) operation: Operation,
    pub(super) outbound: bool,
    step: Step,
    entry: Option<Written>,
    pub(super) ended: Ended,
    pub(super) failure: Option<Failure>,
    kept: Attributes,
    refused: Vec<RefusedAttribute>,
    unknown_members: Vec<String>,
    refused_members: Vec<RefusedMember>,
    /// What was done. `None`: it failed.
    effect: Option<Effect>,
    /// Whether the entry was read after the change, and its attributes if something of it differs from what was known.
    is_read: bool,
    shown: Option<String>,
}

/// Prepares the answer to an operation that was carried out.
pub(super) async fn done(
    target: &Target,
    reading: &Reading,
    (operation, outbound, step): (Operation, bool, Step),
    (done, elapsed_ms): (Done, u64),
    now: Timestamp,
) -> Result<Prepared> {
    let entry = match &done.entry {
        Some(entry) => read(target, entry, reading, now).await?,
        None => Ok(None),
    };
    let mut answer = json!({ "effect": done.effect });
    for (key, values) in [("overwritten", &done.overwritten), ("kept", &done.kept)] {
        if !values.is_empty() {
            answer[key] = masked(target, values);
        }
    }
    let shown = entry.as_ref().ok().and_then(Option::as_ref).and_then(Written::attributes).map(str::to_owned);
    let named = shown.as_deref().map_or_else(Attributes::new, |shown| chosen(&step.change, shown));
    if !named.is_empty() {
        answer["named"] = masked(target, &named);
    }
    if !done.refused.is_empty() {
        answer["refused"] = json!(done.refused);
    }
    if !done.unknown_members.is_empty() {
        answer["unknown_members"] = json!(done.unknown_members);
    }
    if !done.refused_members.is_empty() {
        answer["refused_members"] = json!(done.refused_members);
    }
    let (entry, failure) = match entry {
        Ok(entry) => (entry, None),
        Err(reason) => (None, Some(unreadable(&reason))),
    };
    let changed = operation.plan.filter(|_| failure.is_none() && !done.kept.is_empty());
    let (state, failure) = match failure {
        None if changed.is_some() => (OperationState::Refused, Some(changed_meanwhile(&done.kept))),
        None => (OperationState::Succeeded, None),
        failure => (OperationState::Failed, failure),
    };
    if let Some(failure) = &failure {
        answer["error"] = json!(failure);
    }
    let ended = Ended { id: operation.id, state, elapsed_ms, answer };
    Ok(Prepared {
        operation,
        outbound,
        step,
        entry,
        ended,
        failure,
        kept: done.kept,
        refused: done.refused,
        unknown_members: done.unknown_members,
        refused_members: done.refused_members,
        effect: Some(done.effect),
        is_read: done.entry.is_some(),
        shown,
    })
}

/// Prepares the answer to an operation that failed.
pub(super) fn failed(
    target: &Target,
    operation: Operation,
    outbound: bool,
    step: Step,
    mut failure: Failure,
    elapsed_ms: u64,
) -> Prepared {
    if failure.code == CONFLICT {
        failure.cure = Some(settled_by(target, &operation));
    }
    let waits = failure.code == NO_PASSWORD;
    let state = if waits || is_refusal(&failure) { OperationState::Refused } else { OperationState::Failed };
    let ended = Ended { id: operation.id, state, elapsed_ms, answer: json!({ "error": failure }) };
    Prepared {
        operation,
        outbound,
        step,
        entry: None,
        ended,
        failure: Some(failure).filter(|_| !waits),
        kept: Attributes::new(),
        refused: Vec::new(),
        unknown_members: Vec::new(),
        refused_members: Vec::new(),
        effect: None,
        is_read: false,
        shown: None,
    }
}

async fn read(
    target: &Target,
    entry: &Bytes,
    reading: &Reading,
    now: Timestamp,
) -> Result<std::result::Result<Option<Written>, String>> {
    match written::read(&target.store, Place::of(&target.directory), entry, reading, now).await {
        Ok(written) => Ok(Ok(Some(written))),
        Err(crate::intake::decide::Error::Store(error)) => Err(error),
        Err(error) => Ok(Err(error.to_string())),
    }
}

impl Prepared {
    /// Writes it. Returns why it failed, if it did.
    pub(super) async fn write(mut self, target: &Target, tx: &mut Intake, now: Timestamp) -> Result<Option<Failure>> {
        let identity = self.operation.identity;
        let key = self.entry.as_ref().and_then(|entry| entry.key.clone());
        let dn = self.entry.as_ref().and_then(Written::dn);
        if let Some(dn) = dn {
            self.rename_member(dn, target, tx).await?;
        }
        if let Some(entry) = self.entry.take() {
            let written = if self.outbound {
                written::write_outbound(tx, entry, identity).await
            } else {
                let place = Place::of(&target.directory);
                written::write_inbound(&target.store, place, tx, entry, now).await.map(|()| None)
            };
            match written {
                Ok(None) => {}
                Ok(Some(of)) => self.fail(taken(&owner(target, of).await?, settled_by(target, &self.operation))),
                Err(crate::intake::apply::Error::Store(error)) => return Err(error),
                Err(error) => self.fail(unreadable(&error.to_string())),
            }
        }
        let deleted = matches!(self.step.change, Change::Delete) && self.failure.is_none();
        if let Some(account) = self.operation.account.filter(|_| deleted) {
            tx.delete_account(account).await?;
        }
        if self.failure.is_none() {
            let key = match key {
                Some(key) => Some(key),
                None => self.step.entry.as_ref().map(|entry| {
                    let kind =
                        if matches!(identity, IdentityId::User(_)) { AccountKind::User } else { AccountKind::Group };
                    (kind, ExternalKey::from_text(&entry.external_id))
                }),
            };
            if let Some((kind, key)) = key {
                self.agree(target, tx, kind, &key).await?;
                self.members(target, tx, &key).await?;
                if self.is_disabled_by_this() {
                    tx.note_disabled(kind, &key).await?;
                }
                let asked = self.step.change.asked();
                let is_of_members = matches!(self.step.change, Change::Members { .. } | Change::Create { .. });
                if is_of_members && asked.is_empty() && !self.refused_members.is_empty() {
                    self.fail(not_taken(&self.refused_members));
                } else if self.outbound && asked.is_empty() && !self.unknown_members.is_empty() {
                    // The same would be sent again at once, and without end.
                    self.failure = Some(absent(&self.unknown_members));
                }
            }
        }
        tx.identities().end_operation(&self.ended).await?;
        let asked = self.asked();
        if !asked.is_empty() {
            self.settle(tx, &asked).await?;
            // What the target does not take is not tried again: nobody wants it any more.
            self.failure = self.failure.filter(|failure| failure.retryable);
        }
        Ok(self.failure)
    }

    /// Records that a renamed or moved entry has another name in its groups.
    async fn rename_member(&self, dn: &str, target: &Target, tx: &mut Intake) -> Result<()> {
        let (Some(before), Change::Move { .. }) = (&self.step.entry, &self.step.change) else { return Ok(()) };
        let (before, now) = (membership::dn_key(&before.dn), membership::dn_key(dn));
        tx.rename_member(&before, &now).await?;
        let groups = tx.rename_outbound_member(&before, &now).await?;
        // Also those that it is leaving just now: the name that was sent may be the one before.
        let groups: Vec<IdentityId> = groups.into_iter().map(IdentityId::Group).collect();
        tx.identities().mark(target.id(), &groups).await
    }

    /// Whether it makes a group that may have to get more members.
    pub(super) fn is_begun(&self) -> bool {
        size::is_begun(&self.step.change)
    }

    /// Whether the account is disabled because of this. One that was disabled already was so by somebody else; what an
    /// earlier send has done was done by this.
    fn is_disabled_by_this(&self) -> bool {
        match self.step.change {
            Change::Disable => self.effect != Some(Effect::AlreadySo) || self.operation.generation > 1,
            // It waits for its first password.
            Change::Create { enabled, .. } => !enabled && self.effect == Some(Effect::Created),
            _ => false,
        }
    }

    /// The changes that somebody asked for, each with the reason if the target has not taken it.
    fn asked(&self) -> Vec<(PendingId, Option<String>)> {
        let asked = self.step.change.asked().into_iter();
        asked.map(|(id, name)| (id, self.why_not(name))).collect()
    }

    fn why_not(&self, name: &str) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(failure.message.clone());
        }
        if let Some(refused) = self.refused.iter().find(|refused| refused.name.eq_ignore_ascii_case(name)) {
            return Some(refused.message.clone());
        }
        if let Some(refused) = self.refused_members.iter().find(|refused| refused.member == name) {
            return Some(refused.message.clone());
        }
        if self.unknown_members.iter().any(|unknown| unknown == name) {
            return Some("The directory has no such member.".to_owned());
        }
        let kept = self.kept.keys().any(|kept| kept.eq_ignore_ascii_case(name));
        kept.then(|| "Somebody has changed it in the directory meanwhile; that value stays.".to_owned())
    }

    /// Notes what has become of changes that somebody asked for.
    async fn settle(&self, tx: &mut Intake, asked: &[(PendingId, Option<String>)]) -> Result<()> {
        if self.failure.as_ref().is_some_and(|failure| failure.retryable) {
            return Ok(());
        }
        let refused: Vec<&(PendingId, Option<String>)> = asked.iter().filter(|(_, reason)| reason.is_some()).collect();
        for (id, reason) in &refused {
            tx.identities().refuse_changes(&[*id], reason.as_deref().unwrap_or_default()).await?;
        }
        let is_refused = |id: &PendingId| refused.iter().any(|(refused, _)| refused == id);
        let done: Vec<PendingId> = asked.iter().map(|(id, _)| *id).filter(|id| !is_refused(id)).collect();
        tx.identities().forget_changes(&done).await.map(|_| ())
    }

    /// The value of the attribute that names the entry, if it was given another one.
    fn renamed(&self) -> Option<(String, Vec<String>)> {
        let Change::Move { name: Some(name), .. } = &self.step.change else { return None };
        let dn = Dn::parse(&self.step.entry.as_ref()?.dn).ok()?;
        Some((compare::naming(&dn)?.to_owned(), vec![name.clone()]))
    }

    /// Notes which members a group has now.
    async fn members(&self, target: &Target, tx: &mut Intake, key: &ExternalKey) -> Result<()> {
        let (add, remove) = match &self.step.change {
            Change::Create { members, .. } if !members.is_empty() => (members.as_slice(), &[][..]),
            Change::Members { add, remove } => (add.as_slice(), remove.as_slice()),
            _ => return Ok(()),
        };
        let is = |name: &String, member: &Reference| *name == member.external_id || *name == member.dn;
        let refused = |member: &&Reference| self.refused_members.iter().any(|it| is(&it.member, member));
        let unknown = |member: &&Reference| self.unknown_members.iter().any(|unknown| is(unknown, member));
        let keys = |members: &mut dyn Iterator<Item = &Reference>| members.map(|member| member.key.clone()).collect();
        let added: Vec<String> = keys(&mut add.iter().filter(|member| !unknown(member) && !refused(member)));
        let mut removed: Vec<String> = keys(&mut remove.iter().filter(|member| !refused(member)));
        removed.extend(self.renamed_meanwhile(target, tx, remove).await?);
        if self.outbound {
            return tx.change_outbound_members(key, added, removed).await;
        }
        // So that what was added here, and nobody else, is removed when the organization removes it.
        let asked = |members: &[Reference]| members.iter().any(|member| member.pending.is_some());
        let sent = if asked(add) { Vec::new() } else { added.clone() };
        tx.change_outbound_members(key, sent, removed.clone()).await?;
        let IdentityId::Group(group) = self.operation.identity else { return Ok(()) };
        let organization = target.provisioning.organization;
        let known = target.store.member_names(organization, target.directory.id, &[group]).await?;
        let mut names = known.get(&group).cloned().unwrap_or_default();
        for name in &removed {
            names.remove(name);
        }
        names.extend(added);
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_unstable();
        tx.replace_members(vec![(group, names)]).await.map(|_| ())
    }

    /// The names that removed members have by now: they may have been renamed while the operation was under way.
    async fn renamed_meanwhile(&self, target: &Target, tx: &mut Intake, remove: &[Reference]) -> Result<Vec<String>> {
        let refused = |member: &Reference| self.refused_members.iter().any(|it| it.member == member.external_id);
        let gone = remove.iter().filter(|member| !member.external_id.is_empty() && !refused(member));
        let ids: Vec<ExternalKey> = gone.map(|member| ExternalKey::from_text(&member.external_id)).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for kind in [AccountKind::User, AccountKind::Group] {
            names.extend(tx.names_of(kind, &ids).await?);
        }
        let name = |(dn, unique): (String, Option<String>)| match target.form {
            MemberForm::UniqueValue => unique,
            MemberForm::Dn | MemberForm::GroupNames => Some(membership::dn_key(&dn)),
        };
        Ok(names.into_iter().filter_map(name).collect())
    }

    fn fail(&mut self, failure: Failure) {
        self.ended.state = OperationState::Failed;
        self.ended.answer["error"] = json!(failure);
        self.failure = Some(failure);
    }

    /// Notes the values that both ends have now.
    async fn agree(&self, target: &Target, tx: &mut Intake, kind: AccountKind, key: &ExternalKey) -> Result<()> {
        let renamed = self.renamed();
        let sent: Vec<(&String, &Vec<String>)> = match &self.step.change {
            // Nothing of it was written: what differs is compared with what the entry has.
            Change::Create { .. } if self.effect == Some(Effect::Adopted) => {
                return tx.agree(kind, key, &Agreed::default().kept()).await;
            }
            // A name that was free at that time is no value to compare with later.
            Change::Create { attributes, choices, .. } => {
                let is_chosen = |name: &String| choices.first().is_some_and(|choice| choice.contains_key(name));
                attributes.iter().filter(|(name, _)| !is_chosen(name)).collect()
            }
            Change::Update { changes, .. } => changes.iter().map(|change| (&change.name, &change.wanted)).collect(),
            Change::Move { .. } => renamed.iter().map(|(name, values)| (name, values)).collect(),
            _ => return Ok(()),
        };
        let known = target.store.account_of_key(target.provisioning.organization, target.id(), kind, key).await?;
        let mut agreed = known.as_ref().map(|known| Agreed::read(&known.agreed)).unwrap_or_default();
        let unchanged = || known.as_ref().filter(|_| self.is_read).map(|known| known.account.attributes.as_str());
        let shown = self.shown.as_deref().or_else(unchanged);
        let shown = shown.map(|shown| texts(serde_json::from_str(shown).unwrap_or_default()));
        for (name, values) in sent {
            if !self.kept.contains_key(name) && !self.refused.iter().any(|refused| refused.name == *name) {
                agreed.note(name, values, shown.as_ref());
            }
        }
        tx.agree(kind, key, &agreed.kept()).await
    }
}

/// The names that a new account got, of those that it could have.
fn chosen(change: &Change, shown: &str) -> Attributes {
    let Change::Create { choices, .. } = change else { return Attributes::new() };
    let Some(names) = choices.first() else { return Attributes::new() };
    let has = texts(serde_json::from_str(shown).unwrap_or_default());
    names.keys().filter_map(|name| Some((name.clone(), super::same::of(&has, name)?.clone()))).collect()
}

fn masked(target: &Target, values: &Attributes) -> Value {
    let shown = values.iter().map(|(name, values)| {
        let values = if target.is_secret(name) { json!([crate::identity::attributes::MASK]) } else { json!(values) };
        (name.clone(), values)
    });
    Value::Object(shown.collect())
}
