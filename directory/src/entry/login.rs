//! Which of several values of the login attribute is the login: servers return them in any order.

use crate::raw_entry::Attribute;
use postern_dn::ber::Malformed;
use postern_dn::{Dn, Value};

/// The value that is part of the entry's name, else the first one. `is_login` says whether a name is this attribute's.
pub(super) fn value(
    mut values: Attribute<'_>,
    is_login: impl Fn(&str) -> bool,
    dn: &str,
) -> Result<Option<String>, Malformed> {
    let text = |value| std::str::from_utf8(value).ok().filter(|text| !text.is_empty());
    let Some(first) = values.next_value()? else { return Ok(None) };
    let Some(mut other) = values.next_value()? else { return Ok(text(first).map(str::to_owned)) };
    let named = in_name(dn, is_login);
    let is_named = |value| text(value).is_some_and(|text| named.as_deref().is_some_and(|named| same(named, text)));
    if is_named(first) {
        return Ok(text(first).map(str::to_owned));
    }
    loop {
        if is_named(other) {
            return Ok(text(other).map(str::to_owned));
        }
        match values.next_value()? {
            Some(next) => other = next,
            None => return Ok(text(first).map(str::to_owned)),
        }
    }
}

fn same(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

/// The value that the leaf of a DN has of the attribute.
fn in_name(dn: &str, names: impl Fn(&str) -> bool) -> Option<String> {
    let dn = Dn::parse(dn).ok()?;
    let own = dn.rdns().first()?.avas().iter().find(|ava| names(ava.attribute()))?;
    match own.value() {
        Value::Text(text) => Some(text.clone()),
        Value::Octets(_) | Value::Encoded(_) => None,
    }
}
