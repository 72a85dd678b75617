//! Whether two lists are the same values of an attribute.

use std::collections::BTreeSet;

use super::change::Attributes;
use crate::identity::values::{Syntax, Value, written_time};

/// The values of an attribute, whose name may be written in other case.
pub(super) fn of<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a Vec<String>> {
    attributes
        .get(name)
        .or_else(|| attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, values)| values))
}

/// Whether two lists are the same values of an attribute. Their order means nothing, nor that one is there twice, and a time
/// may be written in several ways: what a rule gives as a date comes back as a number.
pub(super) fn same(attribute: &str, one: &[String], other: &[String]) -> bool {
    let within = |one: &[String], other: &[String]| one.iter().all(|value| other.contains(value));
    if within(one, other) && within(other, one) {
        return true;
    }
    let syntax = Syntax::of(&attribute.to_ascii_lowercase());
    matches!((times(syntax, one), times(syntax, other)), (Some(one), Some(other)) if one == other)
}

/// The times of an attribute that has times, in whole seconds, as they are written; those that never come left out. `None`:
/// one of the values is no time.
fn times(syntax: Syntax, values: &[String]) -> Option<BTreeSet<i64>> {
    if !matches!(syntax, Syntax::Time | Syntax::FileTime) {
        return None;
    }
    let mut times = BTreeSet::new();
    for text in values {
        match syntax.read(text.as_bytes()) {
            Some(Value::Time(time)) => drop(times.insert(time.as_second())),
            Some(Value::Null) => {}
            _ if text.eq_ignore_ascii_case("never") => {}
            _ => drop(times.insert(written_time(text)?.as_second())),
        }
    }
    Some(times)
}
