//! Values in the form that a directory's schema asks for, and whether two of them are the same.

use bytes::Bytes;

use super::syntax::{Form, Rule};
use postern_dn::Dn;

/// The values in the form of the attribute, each once. Empty ones are left out: they mean that there is no value.
pub(crate) fn converted(rule: Rule, values: &[Bytes]) -> Result<Vec<Bytes>, String> {
    let mut out: Vec<Bytes> = Vec::with_capacity(values.len());
    for value in values.iter().filter(|value| !value.is_empty()) {
        let value = one(rule.form, value)?;
        if !out.iter().any(|known| same_value(rule.form, known, &value)) {
            out.push(value);
        }
    }
    if rule.single && out.len() > 1 {
        return Err("the directory takes only one value".to_owned());
    }
    Ok(out)
}

/// Whether an attribute has exactly these values, in any order.
pub(crate) fn same(rule: Rule, one: &[Bytes], other: &[Bytes]) -> bool {
    one.len() == other.len() && missing(rule, one, other).is_empty()
}

/// Those of `wanted` that are not in `there`.
pub(crate) fn missing(rule: Rule, wanted: &[Bytes], there: &[Bytes]) -> Vec<Bytes> {
    wanted.iter().filter(|value| !there.iter().any(|known| same_value(rule.form, known, value))).cloned().collect()
}

fn one(form: Form, value: &Bytes) -> Result<Bytes, String> {
    match form {
        Form::Boolean => match value.to_ascii_lowercase().as_slice() {
            b"true" | b"1" | b"yes" => Ok(Bytes::from_static(b"TRUE")),
            b"false" | b"0" | b"no" => Ok(Bytes::from_static(b"FALSE")),
            _ => Err("neither true nor false".to_owned()),
        },
        _ => Ok(value.clone()),
    }
}

fn same_value(form: Form, one: &Bytes, other: &Bytes) -> bool {
    if one == other {
        return true;
    }
    let text = |value: &Bytes| std::str::from_utf8(value).map(str::to_owned).ok();
    let (Some(one), Some(other)) = (text(one), text(other)) else { return false };
    match form {
        Form::Dn => matches!((Dn::parse(&one), Dn::parse(&other)), (Ok(one), Ok(other)) if one == other),
        Form::Boolean => one.eq_ignore_ascii_case(&other),
        _ => false,
    }
}
