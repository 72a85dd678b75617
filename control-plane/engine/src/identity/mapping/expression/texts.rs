//! Functions that make text. There is room for what they make before they make it.

use std::sync::Arc;

use super::evaluate::{Evaluation, Result};
use super::fault::Fault;
use crate::identity::values::Value;

impl Evaluation<'_> {
    pub(super) fn replace(&mut self, text: &str, from: &str, to: &str) -> Result {
        if from.is_empty() {
            return Err(Fault::new(0, "replace needs something to look for"));
        }
        let count = text.matches(from).count();
        self.room(text.len() + count * to.len())?;
        Ok(Value::text(text.replace(from, to)))
    }

    pub(super) fn split(&mut self, text: &str, separator: &str) -> Result {
        if separator.is_empty() {
            return Err(Fault::new(0, "split needs a separator"));
        }
        self.spend(text.matches(separator).count())?;
        Ok(Value::List(Arc::new(text.split(separator).map(Value::text).collect())))
    }

    /// What is missing or blank is left out.
    pub(super) fn join(&mut self, list: &Value, separator: Option<&Value>) -> Result {
        let single;
        let list = match list {
            Value::List(list) => list.as_slice(),
            Value::Null => return Ok(Value::Null),
            other => {
                single = [other.clone()];
                &single
            }
        };
        let separator = match separator {
            None => "",
            Some(Value::Text(separator)) => separator,
            Some(other) => return Err(Fault::new(0, format!("the separator of join is {}", other.kind()))),
        };
        let mut joined = String::new();
        for value in list {
            if self.is_empty(value)? {
                continue;
            }
            let text = value.to_text().ok_or_else(|| Fault::new(0, format!("join cannot join {}", value.kind())))?;
            self.room(text.len() + separator.len())?;
            if !joined.is_empty() {
                joined.push_str(separator);
            }
            joined.push_str(&text);
        }
        Ok(if joined.is_empty() { Value::Null } else { Value::text(joined) })
    }

    /// By characters: from the first to before the second, the first character is 0. What is beyond the end is left out.
    pub(super) fn substring(text: &str, from: i64, to: Option<i64>) -> Result {
        let place = |place: i64| usize::try_from(place).map_err(|_| Fault::new(0, "a place in a text is below 0"));
        let from = place(from)?;
        let length = to.map(place).transpose()?.map_or(usize::MAX, |to| to.saturating_sub(from));
        Ok(Value::text(text.chars().skip(from).take(length).collect::<String>()))
    }

    /// Letters beyond ASCII become the usual ones in their place.
    pub(super) fn ascii(&mut self, text: &str) -> Result {
        let mut made = String::with_capacity(text.len());
        for letter in text.chars() {
            let letters = deunicode::deunicode_char(letter).unwrap_or("");
            if made.len() + letters.len() > text.len() {
                self.room(letters.len())?;
            }
            made.push_str(letters);
        }
        Ok(Value::text(made))
    }
}

/// The value of the first part of a DN.
pub(super) fn rdn(dn: &str) -> Option<String> {
    let parsed = postern_dn::Dn::parse(dn).ok()?;
    let first = parsed.rdns().first()?.avas().first()?;
    String::from_utf8(first.value().as_bytes().to_vec()).ok()
}
