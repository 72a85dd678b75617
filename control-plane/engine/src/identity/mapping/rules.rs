//! The rules of a directory: `target ← expression`. What they name they override; all else stays with the default mapping.

use postern_store::AccountKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::expression::{Expression, Fault, Inputs, Slots};
use crate::identity::values::Value;

/// The most rules of a directory.
pub const MAX_RULES: usize = 100;
/// The longest result of a rule, in bytes.
const MAX_RESULT: usize = 1_024;
/// The longest name of a further attribute.
const MAX_NAME: usize = 64;
/// Targets beside the fields begin like this.
const FURTHER: &str = "attributes.";

/// A rule, as administrators write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whether it is about users or groups.
    #[serde(default = "of_users")]
    pub of: RuleOf,
    /// What it fills. Of users: `given_name`, `family_name`, `display_name`, `email`, or `attributes.` and a name of lower
    /// case letters, digits and `_`. Of groups: `display_name` or `description`.
    pub target: String,
    /// The expression, in CEL.
    pub expression: String,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleOf {
    /// Users.
    Users,
    /// Groups.
    Groups,
}

const fn of_users() -> RuleOf {
    RuleOf::Users
}

impl RuleOf {
    /// The kind of account that it maps.
    pub const fn kind(self) -> AccountKind {
        match self {
            Self::Users => AccountKind::User,
            Self::Groups => AccountKind::Group,
        }
    }
}

/// What a rule fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// First name.
    GivenName,
    /// Last name.
    FamilyName,
    /// How people see the user or group.
    DisplayName,
    /// Address of the first mailbox.
    Email,
    /// What a group is for.
    Description,
    /// A further attribute of this name.
    Further(String),
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
}

#[derive(Debug)]
struct Compiled {
    of: RuleOf,
    target: Target,
    name: String,
    /// Rules are saved only if they compile. A later release may know better.
    expression: Result<Expression, Fault>,
}

/// A rule that failed on an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The target of the rule.
    pub target: Target,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// What it read, cut.
    pub value: String,
}

impl Rules {
    /// Compiles rules. What is wrong with them is told all at once.
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
            all.compiled.push(Compiled { of: source.of, target, name: source.target.clone(), expression });
        }
        (all, faults)
    }

    /// The version of the rules. Accounts that another one has mapped are mapped anew.
    pub fn version(&self) -> u32 {
        self.version
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
    /// fails does not stop the others.
    pub fn apply(&self, of: RuleOf, inputs: &Inputs<'_>, mut fill: impl FnMut(&Target, Option<String>)) -> Vec<Failed> {
        let mut failed = Vec::new();
        for rule in self.compiled.iter().filter(|rule| rule.of == of) {
            match rule.result(inputs) {
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
        failed
    }
}

impl Compiled {
    fn result(&self, inputs: &Inputs<'_>) -> Result<Option<String>, Fault> {
        let value = self.expression.as_ref().map_err(Clone::clone)?.evaluate(inputs)?;
        text(&value)
    }
}

/// What a target becomes.
pub(super) fn text(value: &Value) -> Result<Option<String>, Fault> {
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

impl Target {
    fn named(of: RuleOf, name: &str) -> Result<Self, String> {
        Ok(match (of, name) {
            (RuleOf::Users, "given_name") => Self::GivenName,
            (RuleOf::Users, "family_name") => Self::FamilyName,
            (_, "display_name") => Self::DisplayName,
            (RuleOf::Users, "email") => Self::Email,
            (RuleOf::Groups, "description") => Self::Description,
            (RuleOf::Users, "user_name") => {
                return Err(
                    "the user name is always the login that the agent reads; set it in the agent's configuration"
                        .into(),
                );
            }
            (RuleOf::Users, name) if name.strip_prefix(FURTHER).is_some_and(is_name) => {
                Self::Further(name.trim_start_matches(FURTHER).to_owned())
            }
            (RuleOf::Users, _) => {
                return Err(
                    "users have the targets given_name, family_name, display_name, email, and attributes.NAME, \
                            where NAME is of lower case letters, digits and _"
                        .into(),
                );
            }
            (RuleOf::Groups, _) => return Err("groups have the targets display_name and description".into()),
        })
    }
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(letter)
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
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
