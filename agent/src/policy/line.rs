//! A line of the agent's own log of changes. It names attributes, and holds none of their values.

use jiff::Timestamp;
use serde::Serialize;

use crate::command::Key;
use crate::failure::Failure;
use crate::served::Phase;
use crate::served::write::{Denied, Done, Effect, Intent, Operation};

/// The most names of one list.
const MOST: usize = 100;

/// A line.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    /// When, RFC 3339, UTC.
    time: String,
    /// What became of it.
    outcome: &'static str,
    /// The operation's id, and how often it was started.
    operation: String,
    generation: u32,
    directory: String,
    kind: &'static str,
    entry_kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<String>,
    /// How many members there are, if not all are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    members_count: Option<usize>,
    #[serde(skip_serializing_if = "is_false")]
    sets_password: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ldap_result_code: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the serializer asks for it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Line {
    /// What is known from the operation alone.
    pub(super) fn new(key: Key, directory: &str, kind: &'static str, operation: &Operation) -> Self {
        Self {
            time: String::new(),
            outcome: "unknown",
            operation: key.id.to_string(),
            generation: key.generation,
            directory: directory.to_owned(),
            kind,
            entry_kind: match operation.phase {
                Phase::Users => "user",
                Phase::Groups => "group",
            },
            external_id: operation.subject.external_id.clone(),
            dn: operation.subject.dn.clone(),
            destination: None,
            attributes: Vec::new(),
            groups: Vec::new(),
            members: Vec::new(),
            members_count: None,
            sets_password: false,
            rule: None,
            because: None,
            effect: None,
            code: None,
            ldap_result_code: None,
        }
    }

    /// With what is about to be done.
    pub(super) fn about(&self, intent: &Intent<'_>) -> Self {
        let texts = |dns: &[&postern_dn::Dn]| dns.iter().take(MOST).map(ToString::to_string).collect();
        let names = intent.attributes.iter().take(MOST).map(|written| written.description.clone());
        Self {
            external_id: intent.external_id.map(str::to_owned).or_else(|| self.external_id.clone()),
            dn: Some(intent.dn.to_string()),
            destination: intent.destination.map(ToString::to_string),
            attributes: names.collect(),
            groups: texts(&intent.groups),
            members: texts(&intent.members),
            members_count: (intent.members.len() > MOST).then_some(intent.members.len()),
            sets_password: intent.sets_password,
            ..self.clone()
        }
    }

    /// As of this moment.
    pub(super) fn at(self, time: Timestamp) -> Self {
        Self { time: time.to_string(), ..self }
    }

    /// Before it is done.
    pub(super) fn permitted(self) -> Self {
        Self { outcome: "permitted", ..self }
    }

    /// It was stopped after it was permitted.
    pub(super) fn unknown(self) -> Self {
        Self { outcome: "unknown", ..self }
    }

    /// With a refusal by the site.
    pub(super) fn denied(self, denied: &Denied) -> Self {
        let (rule, because) = (Some(denied.rule.clone()), denied.detail.clone());
        Self { outcome: "denied_by_site_policy", rule, because, ..self }
    }

    /// About the entry that was found in the place of a new one. Nothing of it was written.
    fn adopted(self, done: &Done) -> Self {
        let (external_id, dn) = match &done.entry {
            Some(entry) => (Some(entry.external_id.clone()), Some(entry.dn.clone())),
            None => (None, None),
        };
        let none = Vec::new;
        let (attributes, groups, members) = (none(), none(), none());
        Self { external_id, dn, attributes, groups, members, members_count: None, sets_password: false, ..self }
    }

    /// With what became of it.
    pub(super) fn ended(self, result: &Result<Done, Failure>) -> Self {
        match result {
            Ok(done) => {
                let effect = match done.effect {
                    Effect::Created => "created",
                    Effect::Adopted => "adopted",
                    Effect::Changed => "changed",
                    Effect::AlreadySo => "already_so",
                    Effect::Deleted => "deleted",
                };
                let line = if done.effect == Effect::Adopted { self.adopted(done) } else { self };
                Self { outcome: "done", effect: Some(effect), ..line }
            }
            Err(failure) => Self {
                outcome: "failed",
                code: Some(failure.code.as_str()),
                ldap_result_code: failure.ldap_result_code,
                ..self
            },
        }
    }
}
