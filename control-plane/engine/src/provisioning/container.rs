//! The container that an expression names for a user. A value of the user stays one value: what it holds of commas and
//! other characters that mean something in a DN never makes another container of it.

use std::collections::BTreeMap;

use postern_dn::{Dn, Value as Part};
use serde_json::Value;

use crate::identity::mapping::outbound::Outbound;
use crate::identity::mapping::rules::RuleOf;

/// What means something in a DN (RFC 4514 §2.4).
const SPECIAL: &[char] = &[',', '+', '"', '\\', ';', '<', '>', '=', '#'];
/// Stands for a special character while the DN is read: this and the character's own number. No text has such a letter
/// (they are of private use).
const MASK: u32 = 0xF_0000;

type Fields = BTreeMap<String, Value>;

/// The container, below the site's own, as a DN in text. `None`: the site's own.
pub(super) fn of(expression: &Outbound, fields: &Fields) -> Result<Option<String>, String> {
    let given = |fields: &Fields| expression.wanted(RuleOf::Users, fields).into_iter().next();
    let Some(plain) = given(fields) else { return Ok(None) };
    let Some(text) = single(plain.values?)? else { return Ok(None) };
    let risky: Vec<&String> =
        plain.reads.iter().filter(|field| fields.get(*field).is_some_and(|value| any(value, is_special))).collect();
    if risky.is_empty() {
        return dn(&text, &text).map(|dn| Some(dn.to_string()));
    }
    let mut masked = fields.clone();
    for field in &risky {
        masked.entry((*field).clone()).and_modify(|value| *value = mask(value));
    }
    let read = given(&masked).map_or(Ok(Vec::new()), |given| given.values).and_then(single).ok().flatten();
    match read.filter(|read| unmask(read) == text) {
        Some(read) => unmasked(&dn(&read, &text)?).map(|dn| Some(dn.to_string())),
        // The expression asks about these characters. Then the values themselves must not be in the result.
        None => {
            match risky.iter().find(|field| fields.get(**field).is_some_and(|value| any(value, |it| is_in(it, &text))))
            {
                Some(field) => Err(format!("{field} has characters that separate the parts of a DN")),
                None => dn(&text, &text).map(|dn| Some(dn.to_string())),
            }
        }
    }
}

fn single(values: Vec<String>) -> Result<Option<String>, String> {
    match values.len() {
        0 | 1 => Ok(values.into_iter().next()),
        many => Err(format!("{many} containers, and one is needed")),
    }
}

/// Reads a DN; `shown` is how people see it.
fn dn(text: &str, shown: &str) -> Result<Dn, String> {
    Dn::parse(text).map_err(|error| format!("{shown:?} is no container, as ou=Sales: {error}"))
}

/// Whether something is true of a text, or of one in a list.
fn any(value: &Value, is: impl Fn(&str) -> bool + Copy) -> bool {
    match value {
        Value::String(text) => is(text),
        Value::Array(values) => values.iter().any(|value| any(value, is)),
        _ => false,
    }
}

fn is_special(text: &str) -> bool {
    text.contains(SPECIAL)
}

fn is_in(value: &str, text: &str) -> bool {
    is_special(value) && text.to_lowercase().contains(&value.to_lowercase())
}

fn mask(value: &Value) -> Value {
    let masked = |letter: char| {
        if SPECIAL.contains(&letter) { char::from_u32(MASK + u32::from(letter)).unwrap_or(letter) } else { letter }
    };
    match value {
        Value::String(text) => text.chars().map(masked).collect::<String>().into(),
        Value::Array(values) => values.iter().map(mask).collect::<Vec<Value>>().into(),
        other => other.clone(),
    }
}

fn unmask(text: &str) -> String {
    let plain = |letter: char| {
        let masked = u32::from(letter).checked_sub(MASK).and_then(char::from_u32);
        masked.filter(|letter| SPECIAL.contains(letter)).unwrap_or(letter)
    };
    text.chars().map(plain).collect()
}

/// The same name with its values unmasked. They are escaped when it is written.
fn unmasked(dn: &Dn) -> Result<Dn, String> {
    let mut whole = Dn::root();
    for rdn in dn.rdns().iter().rev() {
        let [part] = rdn.avas() else {
            return Err("a part of the container has several values".to_owned());
        };
        let Part::Text(value) = part.value() else {
            return Err("a part of the container is no text".to_owned());
        };
        whole = whole.child(part.attribute(), &unmask(value));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::settings::Settings;
    use super::*;

    fn container(expression: &str, fields: &Value) -> Result<Option<String>, String> {
        let settings = Settings { user_container: Some(expression.to_owned()), ..Settings::default() };
        let compiled = settings.compile().unwrap().container.unwrap();
        of(&compiled, &serde_json::from_value(fields.clone()).unwrap())
    }

    #[test]
    fn a_value_stays_one_value_whatever_characters_it_has() {
        let of = |department: &str, expression| container(expression, &json!({"attributes.department": department}));
        for (department, expression, expected) in [
            ("Sales", "'ou=' + attributes.department", "ou=Sales"),
            ("people,dc=evil", "'ou=' + attributes.department", "ou=people\\,dc\\=evil"),
            ("a+cn=b", "'ou=' + lower(attributes.department) + ',ou=x'", "ou=a\\+cn\\=b,ou=x"),
            ("R\\2CD", "'ou=' + attributes.department", "ou=R\\\\2CD"),
            ("#04024869", "'ou=' + attributes.department", "ou=\\#04024869"),
            ("a,b", "attributes.department == 'a,b' ? 'ou=c,ou=d' : 'ou=e'", "ou=c,ou=d"),
            ("a,b", "'ou=' + attributes.department.split(',')[1]", "ou=b"),
        ] {
            assert_eq!(of(department, expression), Ok(Some(expected.to_owned())), "{department} {expression}");
        }
        assert_eq!(of("", "attributes.department"), Ok(None));
    }

    #[test]
    fn what_would_be_another_container_is_refused_by_name() {
        let evil = json!({"attributes.department": "people,dc=evil", "attributes.kind": "a,b"});
        let both = "attributes.kind == 'a,b' ? 'ou=' + attributes.department : 'ou=x'";
        let refused = container(both, &evil).unwrap_err();
        assert!(refused.starts_with("attributes.department has characters"), "{refused}");
        let refused = container("attributes.department", &evil).unwrap_err();
        assert!(refused.contains("is no container"), "{refused}");
        let refused = container("attributes.list", &json!({"attributes.list": ["ou=a", "ou=b"]})).unwrap_err();
        assert!(refused.contains("2 containers"), "{refused}");
    }
}
