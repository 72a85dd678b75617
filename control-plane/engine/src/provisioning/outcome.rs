//! Writes what came back from a target: the outcome, the account as it is now, and what becomes of the mark.

use bytes::Bytes;
use jiff::Timestamp;
use postern_dn::Dn;
use postern_store::{
    AccountKind, Ended, ExternalKey, IdentityId, Intake, Operation, OperationState, PendingId, UserId,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::change::{Attributes, Change, Reference, Step};
use super::compare;
use super::connector::{Done, Effect, RefusedAttribute};
use super::load::Target;
use super::size;
use crate::identity::membership;
use crate::intake::listed::Listed;
use crate::intake::place::Place;
use crate::intake::reading::Reading;
use crate::intake::written::{self, Written};
use crate::jobs::failure::Failure;

/// insufficientAccessRights, unwillingToPerform (RFC 4511 appendix A.2).
const LACKS_THE_RIGHT: u32 = 50;
const UNWILLING: u32 = 53;
/// Another object has the name or unique value.
const CONFLICT: &str = "conflict";

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
    /// What was done. `None`: it failed.
    effect: Option<Effect>,
}

/// Prepares the answer to an operation that was carried out.
pub(super) async fn done(
    target: &Target,
    operation: Operation,
    outbound: bool,
    step: Step,
    (done, elapsed_ms): (Done, u64),
    now: Timestamp,
) -> Result<Prepared> {
    let entry = match &done.entry {
        Some(entry) => read(target, entry, now).await?,
        None => Ok(None),
    };
    let mut answer = json!({ "effect": done.effect });
    for (key, values) in [("overwritten", &done.overwritten), ("kept", &done.kept)] {
        if !values.is_empty() {
            answer[key] = masked(target, values);
        }
    }
    if !done.refused.is_empty() {
        answer["refused"] = json!(done.refused);
    }
    if !done.unknown_members.is_empty() {
        answer["unknown_members"] = json!(done.unknown_members);
    }
    let (entry, failure) = match entry {
        Ok(entry) => (entry, None),
        Err(reason) => (None, Some(unreadable(&reason))),
    };
    let state = if failure.is_some() { OperationState::Failed } else { OperationState::Succeeded };
    let ended = Ended { id: operation.id, state, elapsed_ms, answer };
    let (kept, refused, unknown_members) = (done.kept, done.refused, done.unknown_members);
    let effect = Some(done.effect);
    Ok(Prepared { operation, outbound, step, entry, ended, failure, kept, refused, unknown_members, effect })
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
    let state = if is_refusal(&failure) { OperationState::Refused } else { OperationState::Failed };
    let ended = Ended { id: operation.id, state, elapsed_ms, answer: json!({ "error": failure }) };
    let (kept, refused, unknown_members) = (Attributes::new(), Vec::new(), Vec::new());
    let (entry, effect, failure) = (None, None, Some(failure));
    Prepared { operation, outbound, step, entry, ended, failure, kept, refused, unknown_members, effect }
}

async fn read(target: &Target, entry: &Bytes, now: Timestamp) -> Result<std::result::Result<Option<Written>, String>> {
    let (organization, id) = (target.provisioning.organization, target.directory.id);
    let reading = Reading::of(&target.store, organization, id, Listed::default()).await?;
    match written::read(&target.store, Place::of(&target.directory), entry, &reading, now).await {
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
        if let (Some(dn), Some(before), Change::Move { .. }) = (dn, &self.step.entry, &self.step.change) {
            let groups = tx.rename_outbound_member(&membership::dn_key(&before.dn), &membership::dn_key(dn)).await?;
            // Also those that it is leaving just now: the name that was sent may be the one before.
            let groups: Vec<IdentityId> = groups.into_iter().map(IdentityId::Group).collect();
            tx.identities().mark(target.id(), &groups).await?;
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
                if self.has_disabled() {
                    tx.note_disabled(kind, &key).await?;
                }
                let asked = self.step.change.asked();
                if self.outbound && asked.is_empty() && !self.unknown_members.is_empty() {
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

    /// Whether it makes a group that may have to get more members.
    pub(super) fn is_begun(&self) -> bool {
        size::is_begun(&self.step.change)
    }

    /// Whether it has disabled an account that the target is the source of. One that was disabled already stays the
    /// target's; what an earlier send has done was done by this.
    fn has_disabled(&self) -> bool {
        let was_so = self.effect == Some(Effect::AlreadySo) && self.operation.generation <= 1;
        matches!(self.step.change, Change::Disable) && !self.outbound && !was_so
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
        let unknown = |member: &&Reference| {
            self.unknown_members.iter().any(|unknown| *unknown == member.external_id || *unknown == member.dn)
        };
        let added: Vec<String> =
            add.iter().filter(|member| !unknown(member)).map(|member| member.key.clone()).collect();
        let removed: Vec<String> = remove.iter().map(|member| member.key.clone()).collect();
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
                return tx.agree(kind, key, &json!({})).await;
            }
            Change::Create { attributes, .. } => attributes.iter().collect(),
            Change::Update { changes, .. } => changes.iter().map(|change| (&change.name, &change.wanted)).collect(),
            Change::Move { .. } => renamed.iter().map(|(name, values)| (name, values)).collect(),
            _ => return Ok(()),
        };
        let known = target.store.account_of_key(target.provisioning.organization, target.id(), kind, key).await?;
        let mut agreed = match known.map(|known| known.agreed) {
            Some(Value::Object(agreed)) => agreed,
            _ => Map::new(),
        };
        for (name, values) in sent {
            if !self.kept.contains_key(name) && !self.refused.iter().any(|refused| refused.name == *name) {
                agreed.insert(name.clone(), json!(values));
            }
        }
        tx.agree(kind, key, &Value::Object(agreed)).await
    }
}

/// The members of a group that could be added were; these wait.
fn absent(members: &[String]) -> Failure {
    let number = members.len();
    let which = members.first().map(String::as_str).unwrap_or_default();
    Failure {
        retryable: true,
        ..Failure::new(
            "unknown_members",
            format!("The directory has no entry of {number} of the members, as {which}; the others are members."),
            "Import the directory: who was deleted there leaves the group.",
        )
    }
}

/// Whether somebody at the site has to allow it: the agent's policy, or the directory's own rights.
fn is_refusal(failure: &Failure) -> bool {
    let by_the_site = ["forbidden", "denied_by_site_policy"].contains(&failure.code.as_str());
    by_the_site || matches!(failure.ldap_result_code, Some(LACKS_THE_RIGHT | UNWILLING))
}

fn masked(target: &Target, values: &Attributes) -> Value {
    let shown = values.iter().map(|(name, values)| {
        let values = if target.is_secret(name) { json!([crate::identity::attributes::MASK]) } else { json!(values) };
        (name.clone(), values)
    });
    Value::Object(shown.collect())
}

fn unreadable(reason: &str) -> Failure {
    Failure::new(
        "internal",
        format!("The entry that the agent read after the change cannot be used: {reason}."),
        "Import the directory. If it happens again, update the agent and the control plane to the same release.",
    )
}

/// What an administrator can do about an object that has the value already.
fn settled_by(target: &Target, operation: &Operation) -> String {
    let (directory, name) = (&target.directory.name, &operation.name);
    let IdentityId::User(_) = operation.identity else { return "Give one of the two another name.".to_owned() };
    format!(
        "Give one of the two another value; if two users exchange theirs, give one a third value first. If the entry is \
         {name}'s own, link it: `postern accounts list --directory {directory}` shows its id once an import has read it, `postern \
         provisioning link {name} --target {directory} --account ID` links it."
    )
}

fn taken(owner: &str, cure: String) -> Failure {
    Failure::new(CONFLICT, format!("The entry is the account of {owner}."), cure)
}

/// Who has an account, for people.
async fn owner(target: &Target, owner: Uuid) -> Result<String> {
    let (store, organization) = (&target.store, target.provisioning.organization);
    if let Some(user) = store.get_user(organization, UserId::from_uuid(owner)).await? {
        return Ok(user.user_name);
    }
    if let Some(deleted) = store.get_deleted_user(organization, UserId::from_uuid(owner)).await? {
        return Ok(format!("{}, who was deleted at {}", deleted.user_name, deleted.deleted_at));
    }
    Ok("somebody else, who was deleted".to_owned())
}
