//! The rules of a directory: `target ← expression`. What they name they override; all else stays with the default mapping.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::definitions::Definitions;
use super::expression::{Expression, Fault, Inputs, MAX_READ, MAX_STEPS_OF_ALL, Slots};
pub use super::target::{Failed, RuleOf, Target};
use crate::identity::values::Value;

/// The most rules of a directory.
pub const MAX_RULES: usize = 100;
/// The longest result of a rule, in bytes.
const MAX_RESULT: usize = 1_024;
/// The most values of a list that a rule gives, and their bytes.
const MAX_LIST: usize = 1_000;
const MAX_LIST_BYTES: usize = 64 * 1_024;

/// The most characters of a wrong word that an error shows.
const MAX_SHOWN: usize = 40;

/// A rule, as administrators write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whether it is about users or groups.
    #[serde(default = "of_users", deserialize_with = "users_or_groups")]
    pub of: RuleOf,
    /// What it fills. Of users: `given_name`, `family_name`, `display_name`, `email`, or `attributes.` and a name of lower
    /// case letters, digits and `_`. Of groups: `display_name` or `description`.
    pub target: String,
    /// The expression, in CEL.
    pub expression: String,
}

const fn of_users() -> RuleOf {
    RuleOf::Users
}

/// Reads `of`, with an error that names the field.
fn users_or_groups<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<RuleOf, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "users" => Ok(RuleOf::Users),
        "groups" => Ok(RuleOf::Groups),
        other => {
            let other: String = other.chars().take(MAX_SHOWN).collect();
            Err(serde::de::Error::custom(format!("`of` is {other:?}, and must be \"users\" or \"groups\"")))
        }
    }
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {} ({target}): {fault}", .rule + 1)]
pub struct RuleFault {
    /// Its place among the rules, the first is 0.
    pub rule: usize,
    /// Its target.
    pub target: String,
    /// What is wrong.
    pub fault: Fault,
}

/// Compiled rules of a directory.
#[derive(Debug, Default)]
pub struct Rules {
    version: u32,
    slots: Slots,
    compiled: Vec<Compiled>,
    defined: Option<Definitions>,
}

#[derive(Debug)]
struct Compiled {
    of: RuleOf,
    target: Target,
    name: String,
    /// Rules are saved only if they compile. A later release may know better.
    expression: Result<Expression, Fault>,
}

/// What a rule gives on an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its target.
    pub name: String,
    /// The attributes that it reads.
    pub reads: Vec<String>,
    /// What it gives; `None` empties the target. Or why it fails.
    pub result: Result<Option<String>, String>,
    /// What it read, cut.
    pub value: String,
}

impl Rules {
    /// Compiles rules. All that is wrong with them is reported at once.
    pub fn compile(version: u32, rules: &[Rule]) -> Result<Self, Vec<RuleFault>> {
        let (compiled, mut faults) = Self::compile_all(version, rules);
        faults.extend(compiled.compiled.iter().enumerate().filter_map(|(rule, compiled)| {
            let fault = compiled.expression.as_ref().err()?.clone();
            Some(RuleFault { rule, target: compiled.name.clone(), fault })
        }));
        if faults.is_empty() { Ok(compiled) } else { Err(faults) }
    }

    /// Compiles rules that were saved: one that does not compile any more fails for each entry.
    pub fn compile_saved(version: u32, rules: &[Rule]) -> Self {
        Self::compile_all(version, rules).0
    }

    fn compile_all(version: u32, rules: &[Rule]) -> (Self, Vec<RuleFault>) {
        let (mut all, mut faults) = (Self { version, ..Self::default() }, Vec::new());
        if rules.len() > MAX_RULES {
            let what = format!("there are {} rules, and a directory may have {MAX_RULES}", rules.len());
            faults.push(RuleFault { rule: MAX_RULES, target: String::new(), fault: Fault::new(0, what) });
            return (all, faults);
        }
        for (rule, source) in rules.iter().enumerate() {
            let wrong = |what: String| RuleFault { rule, target: source.target.clone(), fault: Fault::new(0, what) };
            let target = match Target::named(source.of, &source.target) {
                Ok(target) => target,
                Err(what) => {
                    faults.push(wrong(what));
                    continue;
                }
            };
            if all.compiled.iter().any(|earlier| earlier.of == source.of && earlier.target == target) {
                faults.push(wrong("another rule before it fills the same target".to_owned()));
                continue;
            }
            let expression = Expression::compile(&source.expression, &mut all.slots);
            let expression = match all.slots.all().len() {
                read if read > MAX_READ => {
                    Err(Fault::new(0, format!("all rules together read more than {MAX_READ} attributes")))
                }
                _ => expression,
            };
            all.compiled.push(Compiled { of: source.of, target, name: source.target.clone(), expression });
        }
        (all, faults)
    }

    /// The same, for an organization that has defined attributes.
    #[must_use]
    pub fn with_definitions(self, defined: Option<Definitions>) -> Self {
        Self { defined, ..self }
    }

    /// The attributes that the organization has defined.
    pub fn defined(&self) -> Option<&Definitions> {
        self.defined.as_ref()
    }

    /// Whether a target takes several texts.
    fn takes_list(&self, target: &Target) -> bool {
        matches!((&self.defined, target), (Some(defined), Target::Further(name)) if defined.is_list(name))
    }

    /// The version of the rules. Accounts that another one has mapped are mapped anew.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The attributes that those about users or groups read.
    pub fn reads(&self, of: RuleOf) -> impl Iterator<Item = &str> {
        let of_kind = self.compiled.iter().filter(move |rule| rule.of == of);
        of_kind.filter_map(|rule| rule.expression.as_ref().ok()).flat_map(|read| read.reads(&self.slots))
    }

    /// The attributes that they read.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Whether any of them is about accounts of this kind.
    pub fn concern(&self, of: RuleOf) -> bool {
        self.compiled.iter().any(|rule| rule.of == of)
    }

    /// Applies those about users or groups. What a rule gives is handed to `fill`; `None` empties the target. A rule that
    /// fails does not stop the others. Returns those that failed, and how many steps all took.
    pub fn apply(
        &self,
        of: RuleOf,
        inputs: &Inputs<'_>,
        mut fill: impl FnMut(&Target, Option<Given>),
    ) -> (Vec<Failed>, u32) {
        let (mut failed, mut left) = (Vec::new(), MAX_STEPS_OF_ALL);
        for rule in self.compiled.iter().filter(|rule| rule.of == of) {
            match rule.result(inputs, &mut left, self.takes_list(&rule.target)) {
                // A group is never without a name: a rule that gives none leaves the usual one.
                Ok(None) if of == RuleOf::Groups && rule.target == Target::DisplayName => {}
                Ok(result) => fill(&rule.target, result),
                Err(fault) => failed.push(Failed {
                    target: rule.target.clone(),
                    name: rule.name.clone(),
                    what: fault.to_string(),
                    value: rule.expression.as_ref().map_or_else(|_| String::new(), |read| read.shown(inputs)),
                }),
            }
        }
        (failed, MAX_STEPS_OF_ALL - left)
    }
}

impl Rules {
    /// What each of the rules about users or groups gives.
    pub fn outcomes(&self, of: RuleOf, inputs: &Inputs<'_>) -> Vec<Outcome> {
        let of_kind = self.compiled.iter().filter(|rule| rule.of == of);
        let mut left = MAX_STEPS_OF_ALL;
        let outcome = |rule: &Compiled| {
            let read = rule.expression.as_ref();
            Outcome {
                name: rule.name.clone(),
                reads: read.map_or_else(|_| Vec::new(), |read| read.reads(&self.slots).map(str::to_owned).collect()),
                result: rule
                    .result(inputs, &mut left, self.takes_list(&rule.target))
                    .map(|given| given.map(Given::into_text))
                    .map_err(|fault| fault.to_string()),
                value: read.map_or_else(|_| String::new(), |read| read.shown(inputs)),
            }
        };
        of_kind.map(outcome).collect()
    }
}

impl Compiled {
    fn result(&self, inputs: &Inputs<'_>, left: &mut u32, takes_list: bool) -> Result<Option<Given>, Fault> {
        let value = self.expression.as_ref().map_err(Clone::clone)?.evaluate_within(inputs, left)?;
        if let (Value::List(values), true) = (&value, takes_list) {
            if values.len() > MAX_LIST || bytes(values) > MAX_LIST_BYTES {
                let what = format!("the result has more than {MAX_LIST} values or {MAX_LIST_BYTES} bytes");
                return Err(Fault::new(0, what));
            }
            let texts: Result<Vec<Option<String>>, Fault> = values.iter().map(text).collect();
            let texts: Vec<String> = texts?.into_iter().flatten().collect();
            return Ok((!texts.is_empty()).then_some(Given::List(texts)));
        }
        Ok(text(&value)?.map(Given::Text))
    }
}

/// What a rule gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// One text.
    Text(String),
    /// Several texts, of an attribute that is defined as a list.
    List(Vec<String>),
}

impl Given {
    /// One text of it.
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::List(texts) => texts.join(" | "),
        }
    }
}

/// The bytes of the texts in a list.
fn bytes(values: &[Value]) -> usize {
    values.iter().map(|value| if let Value::Text(text) = value { text.len() } else { 0 }).sum()
}

/// What a target becomes.
fn text(value: &Value) -> Result<Option<String>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = value.to_text().ok_or_else(|| {
        Fault::new(0, format!("the result is {}, and one text is needed; use first or join", value.kind()))
    })?;
    if text.len() > MAX_RESULT {
        let what = format!("the result has {} bytes, and at most {MAX_RESULT} are allowed", text.len());
        return Err(Fault::new(0, what));
    }
    Ok(Some(super::printable::printable(&text).into_owned()))
}

/// The default mapping as rules, to begin with.
pub fn defaults(active_directory: bool) -> Vec<Rule> {
    let users: &[(&str, &str)] = &[
        ("given_name", "givenName"),
        ("family_name", "sn"),
        ("display_name", if active_directory { "any_of(displayName, cn, name)" } else { "any_of(displayName, cn)" }),
        ("email", "mail"),
        ("attributes.title", "title"),
        ("attributes.department", "any_of(department, departmentNumber)"),
        ("attributes.phone_number", "telephoneNumber"),
        ("attributes.mobile_number", "mobile"),
        ("attributes.employee_number", "any_of(employeeNumber, employeeID)"),
        ("attributes.employee_type", "employeeType"),
        ("attributes.location", "l"),
        ("attributes.office", "physicalDeliveryOfficeName"),
        ("attributes.company", "any_of(company, o)"),
        ("attributes.locale", "preferredLanguage"),
    ];
    let groups: &[(&str, &str)] =
        &[("display_name", "any_of(displayName, cn, name, sAMAccountName)"), ("description", "description")];
    let rule = |of: RuleOf| {
        move |(target, expression): &(&str, &str)| Rule {
            of,
            target: (*target).to_owned(),
            expression: (*expression).to_owned(),
        }
    };
    users.iter().map(rule(RuleOf::Users)).chain(groups.iter().map(rule(RuleOf::Groups))).collect()
}
