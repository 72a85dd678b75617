//! The values that a target and the organization had last in common, as they are kept beside an account.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::Attributes;

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
        if shown.keys().any(|shown| shown.eq_ignore_ascii_case(name)) {
            self.delivered.insert(key);
        } else if !values.is_empty() {
            self.delivered.remove(&key);
        }
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
        assert_eq!(Agreed::read(&json!({"mail": 7, "values": 7})), Agreed::default());
    }
}
