//! The values that a target and the organization had last in common, as they are kept beside an account.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::Attributes;
use super::same::{of, same};

/// What both ends had last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// The values, of attributes that were sent.
    #[serde(default)]
    pub values: Attributes,
    /// Those of them that the target delivered when they were written, in lower case: where such a one is missing later, the
    /// target has taken it away. Of the others nothing is seen.
    #[serde(default)]
    pub delivered: BTreeSet<String>,
    /// What the target has made of a value that it keeps in another form, by the attribute's name in lower case. As long as it
    /// is so, there is nothing to write.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub became: Attributes,
}

impl Agreed {
    /// As it was kept. What cannot be read says nothing.
    pub fn read(kept: &Value) -> Self {
        Self::deserialize(kept).unwrap_or_default()
    }

    /// As it is kept.
    pub fn kept(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Notes that an attribute was written. `shown`: what the target delivers of the entry now; unset: nobody knows.
    pub fn note(&mut self, name: &str, values: &[String], shown: Option<&Attributes>) {
        self.values.insert(name.to_owned(), values.to_vec());
        let Some(shown) = shown else { return };
        let key = name.to_ascii_lowercase();
        self.became.remove(&key);
        if let Some(found) = of(shown, name) {
            if !same(name, found, values) {
                self.became.insert(key.clone(), found.clone());
            }
            self.delivered.insert(key);
        } else if !values.is_empty() {
            self.delivered.remove(&key);
        }
    }

    /// Whether these values are what the target has made of those that were sent last.
    pub fn is_form_of(&self, name: &str, values: &[String]) -> bool {
        self.became.get(&name.to_ascii_lowercase()).is_some_and(|became| same(name, became, values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_came_back_when_it_was_written_is_delivered() {
        let (value, none) = (vec!["7".to_owned()], Vec::new());
        let shown = Attributes::from([("Title".to_owned(), value.clone())]);
        let mut agreed = Agreed::default();
        agreed.note("title", &value, Some(&shown));
        agreed.note("roomNumber", &value, Some(&shown));
        assert_eq!(agreed.delivered, BTreeSet::from(["title".to_owned()]));
        // What is taken away is not shown any more; that says nothing.
        agreed.note("title", &none, Some(&Attributes::new()));
        assert!(agreed.delivered.contains("title"));
        // Nor does an entry that nobody has read.
        agreed.note("title", &value, None);
        assert!(agreed.delivered.contains("title"));
        agreed.note("title", &value, Some(&Attributes::new()));
        assert_eq!(agreed.delivered, BTreeSet::new());
        assert_eq!(Agreed::read(&agreed.kept()), agreed);
        // It keeps the value in another form.
        let other = vec!["007".to_owned()];
        agreed.note("Title", &value, Some(&Attributes::from([("title".to_owned(), other.clone())])));
        assert!(agreed.is_form_of("title", &other) && !agreed.is_form_of("title", &value));
        assert_eq!(Agreed::read(&agreed.kept()), agreed);
        agreed.note("title", &value, Some(&shown));
        assert!(!agreed.is_form_of("title", &other));
        assert_eq!(Agreed::read(&json!({"mail": 7, "values": 7})), Agreed::default());
    }
}
