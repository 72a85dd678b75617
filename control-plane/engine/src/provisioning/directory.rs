//! Carries operations out in directories, through their agents.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dashmap::DashMap;
use postern_proto::operation::{self, TooLarge};
use postern_proto::{limits, text, v1};
use postern_runtime::failpoint;
use postern_store::{AccountKind, AgentId, JobId, OperationId};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::change::{AttributeChange, Attributes, Change, Reference};
use super::connector::{Answer, Connector, Done, Effect, RefusedAttribute, RefusedMember, Request};
use super::passwords;
use super::settings::BothChanged;
use super::size;
use crate::jobs::command::{AgentOutcome, Command};
use crate::jobs::failure::Failure;
use crate::jobs::reach::{Reach, Route, ToAgent};

/// How long an agent may take for one operation.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Names and values of one answer that are read.
const MOST: usize = 1_000;

/// The operations that agents have, and the way to the agents.
#[derive(Debug)]
pub struct DirectoryConnector {
    reach: Arc<Reach>,
    under_way: DashMap<(OperationId, u32), UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    agent: AgentId,
    session: Uuid,
    route: Arc<Route>,
    /// Taken when the answer has come. The outcome is acknowledged once it is durable.
    answer: Option<oneshot::Sender<AgentOutcome>>,
}

impl DirectoryConnector {
    /// The operations of this process; none is under way.
    pub fn new(reach: Arc<Reach>) -> Self {
        Self { reach, under_way: DashMap::new() }
    }

    /// Takes the outcome of an operation. `None`: it is awaited, and acknowledged later. Otherwise it is given back.
    pub fn outcome(&self, agent: AgentId, outcome: AgentOutcome) -> Option<AgentOutcome> {
        let key = (OperationId::from_uuid(outcome.job.as_uuid()), outcome.attempt);
        let Some(mut entry) = self.under_way.get_mut(&key).filter(|entry| entry.agent == agent) else {
            return Some(outcome);
        };
        let given_back = entry.answer.take().and_then(|answer| answer.send(outcome).err());
        drop(entry);
        if given_back.is_some() {
            // The worker has stopped: another one sends the operation again.
            self.under_way.remove(&key);
        }
        given_back
    }

    /// A session has ended: what it had is not known any more.
    pub fn session_closed(&self, route: &Arc<Route>) {
        self.under_way.retain(|_, entry| entry.session != route.session() || entry.answer.is_none());
    }

    /// Queues an operation for one of the directory's agents. `Err`: it holds more than an operation may.
    fn send(
        &self,
        request: &Request,
        routes: &[Arc<Route>],
    ) -> Result<Option<oneshot::Receiver<AgentOutcome>>, TooLarge> {
        let place = (request.generation as usize).saturating_sub(1);
        // What an older generation left behind.
        self.under_way.retain(|(id, generation), _| *id != request.id || *generation >= request.generation);
        for turn in 0..routes.len() {
            let Some(route) = routes.get((place + turn) % routes.len()) else { return Ok(None) };
            let operate = operate(request, route.agent());
            operation::check(&operate)?;
            let (sender, receiver) = oneshot::channel();
            let entry = UnderWay {
                agent: route.agent(),
                session: route.session(),
                route: Arc::clone(route),
                answer: Some(sender),
            };
            self.under_way.insert((request.id, request.generation), entry);
            let command = Command {
                job: JobId::from_uuid(request.id.as_uuid()),
                attempt: request.generation,
                directory: request.target_name.clone(),
                work: v1::command::Kind::Operate(operate),
                timeout: TIMEOUT,
            };
            match route.send(ToAgent::Command(command)) {
                Ok(()) => {
                    failpoint::reached("provisioning.sent");
                    return Ok(Some(receiver));
                }
                Err(_) => drop(self.under_way.remove(&(request.id, request.generation))),
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl Connector for DirectoryConnector {
    async fn carry_out(&self, request: &Request) -> Answer {
        let mut routes = self.reach.routes(request.target.directory());
        let any = !routes.is_empty();
        routes.retain(|route| passwords::is_for(&request.step.change, route.agent()));
        if any && routes.is_empty() {
            return Answer::Failed(passwords::no_key(), Duration::ZERO);
        }
        let receiver = match self.send(request, &routes) {
            Ok(Some(receiver)) => receiver,
            Ok(None) => return Answer::Unreachable,
            Err(too_large) => return Answer::Failed(size::refused(too_large), Duration::ZERO),
        };
        let answered = tokio::time::timeout(TIMEOUT + Duration::from_secs(10), receiver).await;
        let Ok(Ok(outcome)) = answered else {
            self.under_way.remove(&(request.id, request.generation));
            return Answer::Unknown;
        };
        match outcome.result {
            Ok(v1::outcome::Result::Operate(result)) => Answer::Done(done(result), outcome.elapsed),
            Ok(_) => Answer::Failed(Failure::unexpected(), outcome.elapsed),
            Err(failure) => Answer::Failed(failure, outcome.elapsed),
        }
    }

    fn durable(&self, id: OperationId, generation: u32) {
        let Some((_, entry)) = self.under_way.remove(&(id, generation)) else { return };
        // If it cannot be queued, the agent repeats the outcome in its next session, and gets this then.
        let _ = entry.route.send(ToAgent::Acknowledge(JobId::from_uuid(id.as_uuid()), generation));
    }
}

/// An operation as it travels.
fn operate(request: &Request, agent: AgentId) -> v1::Operate {
    use v1::operate::Change as Wire;
    let change = match &request.step.change {
        Change::Create { container, attributes, choices, sent_before, others, enabled, members, adopt } => {
            Wire::Create(v1::CreateEntry {
                container: container.clone().unwrap_or_default(),
                attributes: self::attributes(attributes),
                choices: choices.iter().map(|choice| v1::Choice { attributes: self::attributes(choice) }).collect(),
                sent_before: *sent_before || request.generation > 1,
                others: others.iter().take(limits::MAX_OPERATION_CHOICES).cloned().collect(),
                enabled: *enabled,
                adopt: *adopt,
                password: None,
                members: members.iter().map(reference).collect(),
            })
        }
        Change::Update { changes, both_changed } => Wire::Update(v1::UpdateEntry {
            changes: changes.iter().map(|change| attribute_change(change, *both_changed)).collect(),
        }),
        Change::Move { container, name } => Wire::Move(v1::MoveEntry {
            container: container.clone().unwrap_or_default(),
            name: name.clone().unwrap_or_default(),
            to_own_container: container.as_ref().is_some_and(String::is_empty),
        }),
        Change::Enable => Wire::Enable(v1::EnableUser {}),
        Change::Disable => Wire::Disable(v1::DisableUser {}),
        Change::Delete => Wire::Delete(v1::DeleteEntry {}),
        Change::SetPassword { must_change, .. } => Wire::SetPassword(v1::SetPassword {
            sealed: passwords::sealed_for(&request.step.change, agent),
            must_change: *must_change,
        }),
        Change::Unlock => Wire::Unlock(v1::UnlockUser {}),
        Change::Members { add, remove } => Wire::ChangeMembers(v1::ChangeMembers {
            add: add.iter().map(reference).collect(),
            remove: remove.iter().map(reference).collect(),
        }),
    };
    let kind = match request.kind {
        AccountKind::User => v1::EntryKind::User,
        AccountKind::Group => v1::EntryKind::Group,
    };
    v1::Operate { entry_kind: kind.into(), entry: request.step.entry.as_ref().map(reference), change: Some(change) }
}

fn reference(reference: &Reference) -> v1::EntryReference {
    v1::EntryReference { external_id: reference.external_id.clone(), dn: reference.dn.clone() }
}

fn attributes(attributes: &Attributes) -> Vec<v1::AttributeValues> {
    attributes.iter().map(|(name, values)| attribute(name, values)).collect()
}

fn attribute(name: &str, values: &[String]) -> v1::AttributeValues {
    v1::AttributeValues { name: name.to_owned(), values: bytes(values) }
}

fn attribute_change(change: &AttributeChange, both_changed: BothChanged) -> v1::AttributeChange {
    let both_changed = match both_changed {
        BothChanged::OrganizationWins => v1::BothChanged::WantedWins,
        BothChanged::TargetWins => v1::BothChanged::DirectoryWins,
    };
    v1::AttributeChange {
        name: change.name.clone(),
        known: bytes(&change.known),
        wanted: bytes(&change.wanted),
        compare: true,
        both_changed: both_changed.into(),
    }
}

fn bytes(values: &[String]) -> Vec<Bytes> {
    values.iter().map(|value| Bytes::copy_from_slice(value.as_bytes())).collect()
}

/// What an agent says of an operation that it carried out.
pub fn done(result: v1::OperateResult) -> Done {
    let effect = match result.effect() {
        v1::Effect::Created => Effect::Created,
        v1::Effect::Adopted => Effect::Adopted,
        v1::Effect::Changed | v1::Effect::Unspecified => Effect::Changed,
        v1::Effect::AlreadySo => Effect::AlreadySo,
        v1::Effect::Deleted => Effect::Deleted,
    };
    let refused = result
        .refused
        .iter()
        .take(MOST)
        .map(|refused| RefusedAttribute { name: text::clean(&refused.name), message: reason(&refused.message) });
    let refused_members = result
        .refused_members
        .iter()
        .take(limits::MAX_OPERATION_MEMBERS)
        .map(|refused| RefusedMember { member: text::clean(&refused.member), message: reason(&refused.message) });
    Done {
        effect,
        refused: refused.collect(),
        overwritten: values(&result.overwritten),
        kept: values(&result.kept),
        unknown_members: result
            .unknown_members
            .iter()
            .take(limits::MAX_OPERATION_MEMBERS)
            .map(|name| text::clean(name))
            .collect(),
        refused_members: refused_members.collect(),
        entry: (!result.entry.is_empty()).then_some(result.entry),
    }
}

fn reason(message: &str) -> String {
    text::optional(message).unwrap_or_else(|| "The directory gave no reason.".to_owned())
}

fn values(attributes: &[v1::AttributeValues]) -> Attributes {
    let shown =
        |value: &Bytes| text::clean(&String::from_utf8_lossy(value.get(..limits::MAX_TEXT_BYTES).unwrap_or(value)));
    let of = |values: &[Bytes]| values.iter().take(MOST).map(shown).collect();
    attributes.iter().take(MOST).map(|attribute| (text::clean(&attribute.name), of(&attribute.values))).collect()
}
