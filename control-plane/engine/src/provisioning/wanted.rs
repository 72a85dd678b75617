//! The account that a user or group should have in a target.

use std::collections::BTreeMap;

use serde_json::Value;

use super::change::Attributes;
use super::container;
use super::settings::{Assignment, Compiled, Settings};
use crate::identity::mapping::outbound::Outbound;
use crate::identity::mapping::rules::RuleOf;

/// A user or group, as rules see it.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts about one user or group")]
pub struct Subject {
    /// Whether it is a user or a group.
    pub of: Option<RuleOf>,
    /// The fields.
    pub fields: BTreeMap<String, Value>,
    /// Whether it exists: it was not deleted.
    pub exists: bool,
    /// For users: whether the user may sign in.
    pub active: bool,
    /// For users: whether an administrator has disabled the user.
    pub suspended: bool,
    /// For users: whether one of the assigned groups has the user.
    pub in_group: bool,
    /// Whether the settings name the group.
    pub chosen: bool,
    /// The fields whose source is the target itself.
    pub from_target: Vec<String>,
}

/// The account that should be there.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts about one account")]
pub struct Wanted {
    /// Whether there should be one. `None`: the settings have no opinion, and what is there stays.
    pub exists: Option<bool>,
    /// Whether the user may sign in.
    pub active: bool,
    /// Whether an administrator has disabled the user.
    pub suspended: bool,
    /// The values of its attributes. Empty: the attribute is not there.
    pub attributes: Attributes,
    /// For a new account: the values that some of them have instead where somebody else has these, in their order.
    pub choices: Vec<Attributes>,
    /// Where it is. `None`: the site decides.
    pub container: Option<String>,
    /// Whether it cannot be made, because it is not known where.
    pub nowhere: bool,
    /// Whether a new one is made disabled, and enabled once it has a password.
    pub needs_password: bool,
    /// The rules that failed, each with the reason.
    pub failed: Vec<String>,
}

/// What the settings and rules want for a user or group. `is_new`: there is no account yet, so it also gets the names that
/// stay as they are later.
pub fn wanted(subject: &Subject, settings: &Settings, compiled: &Compiled, rules: &Outbound, is_new: bool) -> Wanted {
    let mut wanted = Wanted { active: subject.active, suspended: subject.suspended, ..Wanted::default() };
    let Some(of) = subject.of.filter(|_| subject.exists) else {
        return Wanted { exists: Some(false), ..wanted };
    };
    wanted.exists = match of {
        RuleOf::Users => assigned(subject, settings, compiled, &mut wanted.failed),
        RuleOf::Groups => Some(subject.chosen),
    };
    if wanted.exists != Some(true) && (is_new || of == RuleOf::Users) {
        // Nothing is written: what the rules would give, or why they fail, means nothing.
        return wanted;
    }
    for given in rules.wanted(of, &subject.fields) {
        if !given.reads.is_empty() && given.reads.iter().all(|field| subject.from_target.contains(field)) {
            // The target says these values itself.
            continue;
        }
        if given.is_unique && !is_new {
            continue;
        }
        match given.values {
            Ok(values) => drop(wanted.attributes.insert(given.attribute, values)),
            Err(reason) => {
                wanted.failed.push(format!("{}: {}", given.attribute, compiled.shown(&given.reads, reason)));
            }
        }
    }
    if is_new && wanted.exists == Some(true) {
        wanted.choices = rules.choices(of, &subject.fields);
    }
    if let Some(expression) = compiled.container.as_ref().filter(|_| of == RuleOf::Users) {
        match container::of(expression, &subject.fields) {
            Ok(container) => wanted.container = container,
            Err(reason) => {
                wanted.nowhere = true;
                wanted.failed.push(format!("container: {reason}"));
            }
        }
    }
    wanted
}

/// Whether a user should have an account. A condition that fails says nothing.
fn assigned(subject: &Subject, settings: &Settings, compiled: &Compiled, failed: &mut Vec<String>) -> Option<bool> {
    match &settings.assignment {
        Assignment::Nobody => None,
        Assignment::All => Some(true),
        Assignment::Groups { .. } => Some(subject.in_group),
        Assignment::Condition { .. } => match value(compiled, subject)? {
            // Nothing is no.
            Ok(values) if values.is_empty() || values == ["FALSE"] => Some(false),
            Ok(values) if values == ["TRUE"] => Some(true),
            Ok(_) => {
                failed.push("the condition of the assignment gives neither true nor false".to_owned());
                None
            }
            Err(reason) => {
                failed.push(format!("the condition of the assignment: {reason}"));
                None
            }
        },
    }
}

/// What the condition gives. `None`: there is none.
fn value(compiled: &Compiled, subject: &Subject) -> Option<Result<Vec<String>, String>> {
    let given = compiled.condition.as_ref()?.wanted(RuleOf::Users, &subject.fields).into_iter().next()?;
    Some(given.values.map_err(|reason| compiled.shown(&given.reads, reason)))
}
