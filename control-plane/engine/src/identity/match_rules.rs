//! Rules by which a new account of a directory finds its user. They are tried in their order; the first that finds somebody
//! counts.

use std::sync::Arc;

use jiff::Timestamp;
use postern_store::{Flavour, UserRow, match_key};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::mapping::rules::{Rule, RuleOf, Rules};
use super::profile::{FURTHER, named};
use super::stored::StoredAccount;

/// The most rules of a directory.
pub const MAX_RULES: usize = 10;
/// The field of the user name.
pub const USER_NAME: &str = "user_name";
/// The field of the e-mail address.
pub const EMAIL: &str = "email";

/// A rule, as administrators write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchRule {
    /// The field of users that is compared: `user_name`, `email`, or `attributes.` and a name, such as
    /// `attributes.employee_number`.
    pub field: String,
    /// What of the account it is compared with, in CEL. Absent: what the mapping makes of the same field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// Compiled rules of a directory.
#[derive(Debug)]
pub struct MatchRules {
    rules: Vec<MatchRule>,
    expressions: Arc<Rules>,
}

impl MatchRules {
    /// Compiles rules. What is wrong with them is returned all at once.
    pub fn compile(rules: &[MatchRule]) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        if rules.len() > MAX_RULES {
            return Err(vec![format!("there are {} rules, and a directory may have {MAX_RULES}", rules.len())]);
        }
        for (place, rule) in rules.iter().enumerate() {
            let is_known = matches!(rule.field.as_str(), USER_NAME | EMAIL)
                || rule.field.strip_prefix(FURTHER).is_some_and(|name| named(name).is_ok());
            if !is_known {
                let known = "the fields are user_name, email, and attributes.NAME";
                faults.push(format!("rule {} ({}): {known}", place + 1, rule.field));
            }
            if rules.iter().take(place).any(|earlier| earlier == rule) {
                faults.push(format!("rule {} ({}): it is the same as an earlier one", place + 1, rule.field));
            }
        }
        let sources = sources(rules);
        let expressions = Rules::compile(0, &sources).unwrap_or_else(|wrong| {
            faults.extend(wrong.into_iter().map(|wrong| {
                let target = sources.get(wrong.rule).map_or("", |rule| rule.target.as_str());
                let place: usize = target.trim_start_matches("attributes.m").parse().unwrap_or_default();
                let field = rules.get(place).map_or("", |rule| rule.field.as_str());
                format!("rule {} ({field}): {}", place + 1, wrong.fault)
            }));
            Rules::default()
        });
        if faults.is_empty() {
            Ok(Self { rules: rules.to_vec(), expressions: Arc::new(expressions) })
        } else {
            Err(faults)
        }
    }

    /// The saved rules of a directory. `None`: it has none. Rules that do not compile any more find nobody.
    pub fn saved(rules: Option<&Value>) -> Option<Self> {
        let rules: Vec<MatchRule> = serde_json::from_value(rules?.clone()).unwrap_or_default();
        Some(Self::compile(&rules).unwrap_or_else(|_| Self { rules: Vec::new(), expressions: Arc::default() }))
    }

    /// The compared fields, in the order of the rules.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.field.as_str())
    }

    /// For each rule, what it looks for: the compared form of the value. `None`: the account has no value, or the
    /// expression fails, and the rule finds nobody.
    pub fn keys(
        &self,
        wanted: &UserRow,
        account: &StoredAccount<'_>,
        flavour: Flavour,
        now: Timestamp,
    ) -> Vec<Option<String>> {
        let computed = if self.rules.iter().any(|rule| rule.expression.is_some()) {
            let mapping = account.mapping(flavour, Some(&self.expressions));
            further(&mapping.user(account, now).0.attributes)
        } else {
            Map::new()
        };
        let mapped = further(&wanted.attributes);
        let value = |(place, rule): (usize, &MatchRule)| {
            if rule.expression.is_some() {
                return match_key(computed.get(&slot(place))?.as_str()?);
            }
            match rule.field.as_str() {
                USER_NAME => match_key(&wanted.user_name),
                EMAIL => match_key(wanted.email.as_deref()?),
                field => match_key(mapped.get(field.strip_prefix(FURTHER)?)?.as_str()?),
            }
        };
        self.rules.iter().enumerate().map(value).collect()
    }
}

/// The name under which the result of an expression is found.
fn slot(place: usize) -> String {
    format!("m{place}")
}

/// The expressions as mapping rules.
fn sources(rules: &[MatchRule]) -> Vec<Rule> {
    let source = |(place, rule): (usize, &MatchRule)| {
        let expression = rule.expression.clone()?;
        Some(Rule { of: RuleOf::Users, target: format!("{FURTHER}{}", slot(place)), expression })
    };
    rules.iter().enumerate().filter_map(source).collect()
}

fn further(attributes: &str) -> Map<String, Value> {
    serde_json::from_str(attributes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(field: &str, expression: Option<&str>) -> MatchRule {
        MatchRule { field: field.to_owned(), expression: expression.map(str::to_owned) }
    }

    #[test]
    fn what_is_wrong_with_rules_is_said_with_their_place() {
        let wrong = [
            rule("email", None),
            rule("nickname", None),
            rule("attributes.Bad", None),
            rule("email", Some("lower(")),
            rule("email", None),
        ];
        let faults = MatchRules::compile(&wrong).unwrap_err();
        let begins = ["rule 2 (nickname)", "rule 3 (attributes.Bad)", "rule 5 (email)", "rule 4 (email)"];
        assert_eq!(faults.len(), begins.len(), "{faults:?}");
        for (fault, begin) in faults.iter().zip(begins) {
            assert!(fault.starts_with(begin), "{fault}");
        }
        assert!(MatchRules::compile(&vec![rule("email", None); MAX_RULES + 1]).is_err());
    }

    #[test]
    fn rules_that_cannot_be_read_find_nobody() {
        assert!(MatchRules::saved(None).is_none());
        for unreadable in [serde_json::json!("x"), serde_json::json!([{"field": "nickname"}])] {
            assert_eq!(MatchRules::saved(Some(&unreadable)).unwrap().fields().count(), 0);
        }
    }
}
