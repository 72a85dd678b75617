//! What the site's policy would decide, and why: from the rules alone, or with the entry as the directory has it now.
//! Nothing is written, counted or noted.

use std::sync::{Mutex, PoisonError};

use postern_directory::DirectoryConfig;
use postern_directory::config::ServerKind;
use postern_dn::Dn;
use postern_dn::attribute_names::attribute;
use serde::Serialize;

use super::asked::Asked;
use super::change::kind_of;
use super::rules::{Broken, Rules};
use crate::served::write::{self, Change, Create, Denied, Facts, Gate, Intent, Kind, Move, Operation, Written};
use crate::served::{Phase, ServedDirectory};

/// What would be decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The policy allows it.
    Allowed,
    /// The policy does not allow it.
    Denied,
    /// Nobody can say.
    Unknown,
}

/// What would be decided, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What would be decided.
    pub decision: Decision,
    /// The rule that is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why.
    pub because: String,
    /// The DN that was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dn: Option<String>,
    /// What else an administrator should know.
    pub notes: Vec<String>,
}

impl Explanation {
    fn of(decided: Result<(), Broken>, dn: Option<String>) -> Self {
        match decided {
            Ok(()) => Self {
                decision: Decision::Allowed,
                rule: None,
                because: "no rule is broken".to_owned(),
                dn,
                notes: Vec::new(),
            },
            Err(broken) => Self {
                decision: Decision::Denied,
                rule: Some(broken.rule.to_owned()),
                because: broken.because,
                dn,
                notes: Vec::new(),
            },
        }
    }

    fn unknown(because: impl Into<String>) -> Self {
        Self { decision: Decision::Unknown, rule: None, because: because.into(), dn: None, notes: Vec::new() }
    }
}

/// By the rules alone. The entry and its members are judged by the DNs that are given.
pub fn offline(config: &DirectoryConfig, asked: &Asked) -> Explanation {
    let rules = Rules::new(config);
    let operation = asked.operation();
    let (kind, sets_password) = kind_of(&operation.change);
    if let Err(broken) = rules.of_kind(kind, sets_password) {
        return Explanation::of(Err(broken), None);
    }
    let mut explanation = judged(config, &rules, &operation, (kind, sets_password));
    if !rules.protected_groups().is_empty() {
        explanation
            .notes
            .push("whether somebody is a member of a protected group is only seen with --online".to_owned());
    }
    for limit in rules.limits_of(kind, sets_password) {
        explanation.notes.push(format!("it counts towards {limit}; how much is used up is not looked at"));
    }
    explanation
}

fn judged(config: &DirectoryConfig, rules: &Rules, operation: &Operation, kind: (Kind, bool)) -> Explanation {
    let dn = match &operation.change {
        Change::Create(create) => created(config, operation.phase, create),
        _ => match operation.subject.dn.as_deref() {
            Some(text) => Dn::parse(text).map_err(|error| format!("entry.dn: {error}")),
            None => Err("without entry.dn nothing is known of the entry; use --online".to_owned()),
        },
    };
    let destination = match (&operation.change, &dn) {
        (Change::Move(to), Ok(dn)) => moved(config, operation.phase, dn, to).map(Some),
        _ => Ok(None),
    };
    let members = members(&operation.change);
    let (dn, destination, members) = match (dn, destination, members) {
        (Ok(dn), Ok(destination), Ok(members)) => (dn, destination, members),
        (Err(reason), ..) | (_, Err(reason), _) | (.., Err(reason)) => return Explanation::unknown(reason),
    };
    let changes_members = kind.0 == Kind::Members || !members.is_empty();
    let intent = Intent {
        kind: kind.0,
        phase: operation.phase,
        external_id: operation.subject.external_id.as_deref(),
        dn: &dn,
        destination: destination.as_ref(),
        attributes: attributes(&operation.change).into_iter().map(written).collect(),
        groups: if changes_members { vec![&dn] } else { Vec::new() },
        members: members.iter().collect(),
        members_group: None,
        sets_password: kind.1,
        facts: &Facts::default(),
        again: false,
    };
    Explanation::of(rules.decide(&intent), Some(dn.to_string()))
}

/// With the entry as it is now. What the directory itself would refuse is not known before it is tried.
pub async fn online(config: &DirectoryConfig, directory: &dyn ServedDirectory, asked: &Asked) -> Explanation {
    let operation = asked.operation();
    let (kind, sets_password) = kind_of(&operation.change);
    let rules = Rules::new(config);
    if let Err(broken) = rules.of_kind(kind, sets_password) {
        return Explanation::of(Err(broken), None);
    }
    let looking = Looking { rules, seen: Mutex::new(None) };
    let ended = directory.operate(&operation, &looking).await;
    let seen = looking.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut explanation = match (seen, ended) {
        (Some((dn, decided)), _) => Explanation::of(decided, Some(dn)),
        (None, Ok(_)) => Explanation::unknown("nothing is left to do: it is as wanted already"),
        (None, Err(failure)) => {
            let reason = failure.for_the_log().to_owned();
            Explanation::unknown(format!("it would fail before the policy is asked: {reason}"))
        }
    };
    for limit in looking.rules.limits_of(kind, sets_password) {
        explanation.notes.push(format!("it counts towards {limit}; how much is used up is not looked at"));
    }
    explanation
}

/// Looks at what would be done, and always says no.
struct Looking {
    rules: Rules,
    seen: Mutex<Option<(String, Result<(), Broken>)>>,
}

impl Gate for Looking {
    fn protected_groups(&self) -> &[Dn] {
        self.rules.protected_groups()
    }

    fn permit(&self, intent: &Intent<'_>) -> Result<(), Denied> {
        let decided = self.rules.decide(intent);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((intent.dn.to_string(), decided));
        Err(Denied { rule: "explain".to_owned(), detail: None, for_now: false })
    }
}

fn attributes(change: &Change) -> Vec<&str> {
    match change {
        Change::Create(create) => create.attributes.iter().map(|(name, _)| name.as_str()).collect(),
        Change::Update(changes) => changes.iter().map(|change| change.name.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// By the names of the standards: the server's schema may know more.
fn written(name: &str) -> Written {
    let base = name.split(';').next().unwrap_or_default().to_ascii_lowercase();
    Written { description: name.to_owned(), names: vec![attribute(name), base] }
}

fn members(change: &Change) -> Result<Vec<Dn>, String> {
    let subjects: Vec<_> = match change {
        Change::Create(create) => create.members.iter().collect(),
        Change::Members(change) => change.add.iter().chain(&change.remove).collect(),
        _ => Vec::new(),
    };
    let dn = |text: &String| Dn::parse(text).map_err(|error| format!("a member's dn: {error}"));
    let missing = || "a member without dn is not known; use --online".to_owned();
    subjects.into_iter().map(|subject| subject.dn.as_ref().ok_or_else(missing).and_then(dn)).collect()
}

/// The DN that a new entry would have.
fn created(config: &DirectoryConfig, phase: Phase, create: &Create) -> Result<Dn, String> {
    let write = config.write.as_ref();
    let naming = match phase {
        Phase::Users => write.and_then(|write| write.user_rdn_attribute.as_deref()).unwrap_or(match config.kind {
            Some(ServerKind::ActiveDirectory) => "cn",
            _ => "uid",
        }),
        Phase::Groups => write.and_then(|write| write.group_rdn_attribute.as_deref()).unwrap_or("cn"),
    };
    let named = create.attributes.iter().find(|(name, _)| attribute(name) == attribute(naming));
    let value = named.and_then(|(_, values)| values.first()).and_then(|value| std::str::from_utf8(value).ok());
    let value = value.ok_or_else(|| {
        format!("without {naming} the new entry has no name; use --online, or set the directory's kind")
    })?;
    Ok(container(config, phase, create.container.as_deref())?.child(naming, value))
}

/// The DN that a moved entry would have.
fn moved(config: &DirectoryConfig, phase: Phase, dn: &Dn, to: &Move) -> Result<Dn, String> {
    let nameless = || "entry.dn has no name".to_owned();
    let (leaf, parent) = (dn.leaf().ok_or_else(nameless)?, dn.parent().ok_or_else(nameless)?);
    let naming = dn.rdns().first().and_then(|rdn| rdn.avas().first()).ok_or_else(nameless)?;
    let leaf = to.name.as_ref().map_or(leaf, |name| Dn::root().child(naming.attribute(), name));
    let container = match &to.container {
        Some(named) => container(config, phase, Some(named))?,
        None => parent,
    };
    Ok(leaf.below(&container))
}

/// A container as an operation names it.
fn container(config: &DirectoryConfig, phase: Phase, named: Option<&str>) -> Result<Dn, String> {
    let write = config.write.as_ref().ok_or("the directory has no [directory.write]")?;
    write::container(write, phase, named).map_err(|failure| failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORP: &str = r#"
name = "corp"
urls = ["ldaps://ldap.example"]
[users]
base_dns = ["ou=people,dc=example"]
unique_attribute = "uid"
attributes = ["uid"]
[write]
user_container = "ou=people,dc=example"
[policy]
read_only = false
operations = ["create", "update", "delete", "move"]
writable_attributes = ["uid", "mail"]
protected_dns = ["ou=board,ou=people,dc=example"]
max_deletes_per_hour = 5
"#;

    fn explained(operation: &str) -> (Decision, Option<String>, Explanation) {
        let config: DirectoryConfig = toml::from_str(CORP).unwrap();
        let explanation = offline(&config, &serde_json::from_str(operation).unwrap());
        (explanation.decision, explanation.rule.clone(), explanation)
    }

    #[test]
    fn each_decision_has_its_rule() {
        for (operation, rule) in [
            (
                r#"{"entry_kind":"user","entry":{"dn":"uid=a,ou=people,dc=example"},"change":{"update":{"mail":["x"]}}}"#,
                None,
            ),
            (
                r#"{"entry_kind":"user","entry":{"dn":"uid=a,ou=people,dc=example"},"change":{"update":{"sn":["x"]}}}"#,
                Some("writable_attributes"),
            ),
            (r#"{"entry_kind":"user","entry":{"external_id":"1"},"change":"unlock"}"#, Some("operations")),
            (
                r#"{"entry_kind":"user","entry":{"dn":"uid=a,ou=people,dc=example"},"change":{"move":{"container":"OU=Board"}}}"#,
                Some("protected_dns"),
            ),
            (r#"{"entry_kind":"user","change":{"create":{"container":"ou=x","attributes":{"userid":["a"]}}}}"#, None),
            (
                r#"{"entry_kind":"user","change":{"create":{"attributes":{"uid":["a"]},"password":true}}}"#,
                Some("operations"),
            ),
        ] {
            let (decision, found, explanation) = explained(operation);
            let expected = if rule.is_some() { Decision::Denied } else { Decision::Allowed };
            assert_eq!((decision, found.as_deref()), (expected, rule), "{operation}: {explanation:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_allowed() {
        let (decision, _, explanation) =
            explained(r#"{"entry_kind":"user","entry":{"external_id":"1"},"change":"delete"}"#);
        assert_eq!(decision, Decision::Unknown);
        assert!(explanation.because.contains("--online"), "{explanation:?}");
        assert!(explanation.notes.iter().any(|note| note.contains("max_deletes_per_hour")), "{explanation:?}");
        let elsewhere =
            r#"{"entry_kind":"user","change":{"create":{"container":"dc=example","attributes":{"uid":["a"]}}}}"#;
        let (decision, _, explanation) = explained(elsewhere);
        assert_eq!(decision, Decision::Unknown);
        assert!(explanation.because.contains("a whole DN is refused"), "{explanation:?}");
    }
}
