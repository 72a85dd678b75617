//! The attributes that an organization has defined, as values from directories are checked against them. A wrong value
//! fails like a rule: it stops nothing, is counted, and the user keeps the last good value.

use postern_store::{AttributeDefinition, AttributeType};
use serde_json::{Map, Value};

use super::target::{Failed, Target};
use crate::identity::attributes::{self, MASK};
use crate::identity::profile::further;

/// The most characters of a value that are shown with what is wrong with it.
const MAX_SHOWN: usize = 100;

/// In place of a rule's error about a sensitive attribute: errors may contain values.
pub const HIDDEN: &str = "the rule fails on this value, which is sensitive";

/// All definitions of an organization, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definitions(Vec<AttributeDefinition>);

impl Definitions {
    /// `None`: the organization has defined nothing, so nothing is checked.
    pub fn of(defined: Vec<AttributeDefinition>) -> Option<Self> {
        (!defined.is_empty()).then_some(Self(defined))
    }

    /// The names of the attributes of which no two users have the same value.
    pub fn unique(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|defined| defined.unique).map(|defined| defined.name.as_str())
    }

    /// Whether an attribute is a list of texts.
    pub fn is_list(&self, name: &str) -> bool {
        self.find(name).is_some_and(|defined| defined.kind == AttributeType::StringList)
    }

    /// Checks further attributes, and gives each value the form of its type. What is wrong is taken away.
    pub fn check(&self, attributes: &mut String, failed: &mut Vec<Failed>) {
        for failed in failed.iter_mut().filter(|failed| self.hides(failed)) {
            HIDDEN.clone_into(&mut failed.what);
        }
        let mut values: Map<String, Value> = serde_json::from_str(attributes).unwrap_or_default();
        for defined in &self.0 {
            let wrong = match values.get_mut(&defined.name) {
                Some(value) => match attributes::checked(Some(defined), &typed(defined, value)) {
                    Ok(checked) => {
                        *value = checked;
                        None
                    }
                    Err(rule) => Some((rule, shown(value))),
                },
                None if defined.required => Some(("every user must have it".to_owned(), String::new())),
                None => None,
            };
            if let Some((what, value)) = wrong {
                values.remove(&defined.name);
                let known = failed.iter().any(|failed| is_of(failed, &defined.name));
                failed.extend((!known).then(|| fault(&defined.name, what, value)));
            }
        }
        *attributes = Value::Object(values).to_string();
        self.hide(failed);
    }

    /// Why a user does not get the value of a unique attribute.
    pub fn taken(&self, name: &str, value: &Value) -> Failed {
        let mut failed =
            [fault(name, "another user has this value, and no two users have the same".to_owned(), shown(value))];
        self.hide(&mut failed);
        let [failed] = failed;
        failed
    }

    /// Takes the values of sensitive attributes out of what failed.
    fn hide(&self, failed: &mut [Failed]) {
        for failed in failed.iter_mut().filter(|failed| self.hides(failed)) {
            MASK.clone_into(&mut failed.value);
        }
    }

    /// Whether it is about a sensitive attribute.
    fn hides(&self, failed: &Failed) -> bool {
        matches!(&failed.target, Target::Further(name) if self.find(name).is_some_and(|defined| defined.sensitive))
    }

    fn find(&self, name: &str) -> Option<&AttributeDefinition> {
        self.0.iter().find(|defined| defined.name == name)
    }
}

/// A value from a directory, which is text, as its type has it.
fn typed(defined: &AttributeDefinition, value: &Value) -> Value {
    match value {
        Value::String(text) if defined.kind == AttributeType::StringList => Value::from(vec![text.trim()]),
        Value::String(text) if defined.kind != AttributeType::String => {
            attributes::from_text(Some(defined), text.trim())
        }
        other => other.clone(),
    }
}

fn is_of(failed: &Failed, name: &str) -> bool {
    matches!(&failed.target, Target::Further(of) if of == name)
}

fn fault(name: &str, what: String, value: String) -> Failed {
    Failed { target: Target::Further(name.to_owned()), name: further(name), what, value }
}

fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn defined(name: &str, kind: AttributeType) -> AttributeDefinition {
        AttributeDefinition { name: name.to_owned(), kind, required: false, unique: false, sensitive: false }
    }

    fn checked(definitions: Vec<AttributeDefinition>, values: &Value) -> (Value, Vec<(String, String)>) {
        let (mut attributes, mut failed) = (values.to_string(), Vec::new());
        Definitions::of(definitions).unwrap().check(&mut attributes, &mut failed);
        let failed = failed.into_iter().map(|failed| (failed.name, failed.value));
        (serde_json::from_str(&attributes).unwrap(), failed.collect())
    }

    #[test]
    fn texts_of_directories_become_values_of_the_defined_types() {
        use AttributeType as T;
        for (kind, given, taken) in [
            (T::String, json!("7"), json!("7")),
            (T::Integer, json!(" 7"), json!(7)),
            (T::Boolean, json!("TRUE"), json!(true)),
            (T::DateTime, json!("2026-01-31T10:00:00+02:00"), json!("2026-01-31T08:00:00Z")),
            (T::StringList, json!("a|b"), json!(["a|b"])),
            (T::StringList, json!(["a", "b"]), json!(["a", "b"])),
        ] {
            let found = checked(vec![defined("level", kind)], &json!({"level": given, "title": "Dr"}));
            assert_eq!(found, (json!({"level": taken, "title": "Dr"}), Vec::new()), "{kind}");
        }
    }

    #[test]
    fn a_wrong_value_is_taken_away_and_named_and_a_sensitive_one_is_not_shown() {
        let level = defined("level", AttributeType::Integer);
        let secret = AttributeDefinition { sensitive: true, ..defined("secret", AttributeType::Boolean) };
        let badge = AttributeDefinition { required: true, ..defined("badge", AttributeType::String) };
        let (left, failed) =
            checked(vec![level, secret, badge], &json!({"level": "seven", "secret": "maybe", "l": "Rom"}));
        assert_eq!(left, json!({"l": "Rom"}));
        let failed: Vec<(&str, &str)> = failed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(failed, [("attributes.level", "seven"), ("attributes.secret", "***"), ("attributes.badge", "")]);
    }

    #[test]
    fn what_a_rule_failed_to_give_counts_once_and_its_value_is_hidden_too() {
        let required =
            AttributeDefinition { required: true, sensitive: true, ..defined("badge", AttributeType::String) };
        let definitions = Definitions::of(vec![required]).unwrap();
        let mut failed = vec![fault("badge", "no time: 4711".to_owned(), "sn=4711".to_owned())];
        definitions.check(&mut "{}".to_owned(), &mut failed);
        assert_eq!(failed, [fault("badge", HIDDEN.to_owned(), MASK.to_owned())]);
    }
}
