//! The container that an expression names for a user. A value of the user stays one value: what it holds of commas and
//! other characters that mean something in a DN never makes another container of it.

use std::collections::BTreeMap;

use postern_dn::{Dn, Value as Part};
use serde_json::Value;

use crate::identity::mapping::outbound::Outbound;
use crate::identity::mapping::rules::RuleOf;

/// What means something in a DN (RFC 4514 §2.4).
const SPECIAL: &[char] = &[',', '+', '"', '\\', ';', '<', '>', '=', '#', '\0'];
/// The first of the letters that stand for others while the DN is read. They are of private use (planes 15 and 16).
const MASK: u32 = 0xF_0000;

type Fields = BTreeMap<String, Value>;

/// The container, below the site's own, as a DN in text. `None`: the site's own.
pub(super) fn of(expression: &Outbound, fields: &Fields) -> Result<Option<String>, String> {
    let given = |fields: &Fields| expression.wanted(RuleOf::Users, fields).into_iter().next();
    let Some(plain) = given(fields) else { return Ok(None) };
    let Some(text) = single(plain.values?)? else { return Ok(None) };
    let risky: Vec<&String> =
        plain.reads.iter().filter(|field| fields.get(*field).is_some_and(|value| any(value, is_risky))).collect();
    let Some(first) = risky.first() else { return dn(&text, &text).map(|dn| Some(dn.to_string())) };
    let (mut masks, mut masked) = (Masks::default(), fields.clone());
    for field in &risky {
        masked.entry((*field).clone()).and_modify(|value| *value = masks.mask(value));
    }
    let read = given(&masked).map_or(Ok(Vec::new()), |given| given.values).and_then(single).ok().flatten();
    if let Some(read) = read.filter(|read| masks.unmask(read) == text) {
        // What separates the parts is in the expression: no value has such a letter here.
        return masks.unmasked(&dn(&read, &text)?).map(|dn| Some(dn.to_string()));
    }
    // The expression asks about these letters, or makes others of them.
    if is_one_name(&text) || is_literal(&plain.expression, &text) {
        return dn(&text, &text).map(|dn| Some(dn.to_string()));
    }
    let field = risky.iter().find(|field| fields.get(**field).is_some_and(|value| any(value, |it| is_in(it, &text))));
    Err(format!(
        "{} has characters that separate the parts of a DN, or that the expression makes such characters of. It is not \
         known which parts are the rule's",
        field.unwrap_or(first)
    ))
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

fn is_risky(text: &str) -> bool {
    text.chars().any(needs_mask)
}

/// Whether a letter means something in a DN, is one of the masks, or becomes what means something by `ascii`.
fn needs_mask(letter: char) -> bool {
    SPECIAL.contains(&letter)
        || u32::from(letter) >= MASK
        || (!letter.is_ascii() && deunicode::deunicode_char(letter).is_some_and(|letters| letters.contains(SPECIAL)))
}

fn is_in(value: &str, text: &str) -> bool {
    is_risky(value) && text.to_lowercase().contains(&value.to_lowercase())
}

/// Whether a text can only be one name, as `ou=Sales`: nothing in it but one `=` means something.
fn is_one_name(text: &str) -> bool {
    text.matches(SPECIAL).eq(["="])
}

/// Whether the whole text is written in the expression.
fn is_literal(expression: &str, text: &str) -> bool {
    !text.contains(['\'', '"', '\\'])
        && (expression.contains(&format!("'{text}'")) || expression.contains(&format!("\"{text}\"")))
}

/// The letters of values that are masked, each by the letter of its place.
#[derive(Default)]
struct Masks(Vec<char>);

impl Masks {
    fn mask(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => text.chars().map(|letter| self.masked(letter)).collect::<String>().into(),
            Value::Array(values) => values.iter().map(|value| self.mask(value)).collect::<Vec<Value>>().into(),
            other => other.clone(),
        }
    }

    fn masked(&mut self, letter: char) -> char {
        if !needs_mask(letter) {
            return letter;
        }
        let place = self.0.iter().position(|known| *known == letter).unwrap_or_else(|| {
            self.0.push(letter);
            self.0.len() - 1
        });
        let mask = u32::try_from(place).ok().and_then(|place| char::from_u32(MASK + place));
        mask.unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn unmask(&self, text: &str) -> String {
        let plain = |letter: char| {
            let place = u32::from(letter).checked_sub(MASK).and_then(|place| usize::try_from(place).ok());
            place.and_then(|place| self.0.get(place)).copied().unwrap_or(letter)
        };
        text.chars().map(plain).collect()
    }

    /// The same name with its values unmasked. They are escaped when it is written.
    fn unmasked(&self, dn: &Dn) -> Result<Dn, String> {
        let mut whole = Dn::root();
        for rdn in dn.rdns().iter().rev() {
            let [part] = rdn.avas() else {
                return Err("a part of the container has several values".to_owned());
            };
            let Part::Text(value) = part.value() else {
                return Err("a part of the container is no text".to_owned());
            };
            whole = whole.child(part.attribute(), &self.unmask(value));
        }
        Ok(whole)
    }
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
    fn no_function_makes_a_separator_of_what_a_value_has() {
        for (expression, department, one_name) in [
            ("'ou=' + ascii(attributes.department)", "admins，ou＝it", None),
            ("'ou=' + rdn(attributes.department)", "cn=a\\,ou\\=vip", None),
            ("'ou=' + replace(attributes.department, '#', '')", "a#,ou=vip", None),
            ("'ou=' + split(attributes.department, ';')[0]", "a,ou=vip;b", None),
            ("'ou=' + replace(attributes.department, ',', ' ')", "a,b;ou=vip", None),
            ("'ou=' + replace(attributes.department, '#', '') + ',ou=staff'", "vip,ou=x\\#", None),
            ("'ou=' + attributes.department", "admins，ou＝it", Some("ou=admins，ou＝it")),
            ("'ou=' + attributes.department", "a\u{f0000},\u{f0001}", Some("ou=a\u{f0000}\\,\u{f0001}")),
            ("'ou=' + replace(attributes.department, ',', ' ')", "a,b", Some("ou=a b")),
            ("'ou=' + split(attributes.department, ';')[0]", "a;b", Some("ou=a")),
            ("'ou=' + rdn(attributes.department)", "cn=a,dc=x", Some("ou=a")),
            ("'ou=' + ascii(attributes.department)", "Ärzte", Some("ou=Arzte")),
            ("'ou=' + ascii(attributes.department) + ',ou=x'", "Ärzte", Some("ou=Arzte,ou=x")),
        ] {
            let found = container(expression, &json!({"attributes.department": department}));
            if let Some(expected) = one_name {
                assert_eq!(found, Ok(Some(expected.to_owned())), "{expression} {department}");
            } else {
                let refused = found.unwrap_err();
                assert!(refused.starts_with("attributes.department has characters"), "{expression}: {refused}");
            }
        }
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
