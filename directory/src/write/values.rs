//! Values in the form that a directory's schema asks for, and whether two of them are the same.

use bytes::Bytes;

use super::syntax::{Form, Rule};
use crate::flavour::generalized_time;
use postern_dn::Dn;

/// Active Directory's times that are numbers: tenths of microseconds since 1601 (MS-DTYP §2.3.3).
const FILE_TIMES: &[&str] = &["accountExpires", "msDS-UserPasswordExpiryTimeComputed"];
const SECONDS_FROM_1601_TO_1970: i64 = 11_644_473_600;
const TICKS: i64 = 10_000_000;
/// Never, beside 0 (MS-ADA1 §2.3).
const NEVER: &str = "9223372036854775807";

/// Whether Active Directory keeps a time as a number in this attribute.
pub(crate) fn is_file_time(name: &str) -> bool {
    FILE_TIMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether these values of such an attribute mean that the time never comes.
pub(crate) fn never(values: &[Bytes]) -> bool {
    values.iter().all(|value| value.as_ref() == b"0" || value.as_ref() == NEVER.as_bytes())
}

/// The values in the form of the attribute, each once. Empty ones are left out: they mean that there is no value.
pub(crate) fn converted(rule: Rule, is_file_time: bool, values: &[Bytes]) -> Result<Vec<Bytes>, String> {
    let mut out: Vec<Bytes> = Vec::with_capacity(values.len());
    for value in values.iter().filter(|value| !value.is_empty()) {
        let value = if is_file_time { file_time(value)? } else { one(rule.form, value)? };
        if !out.iter().any(|known| same_value(rule.form, known, &value)) {
            out.push(value);
        }
    }
    // It cannot be removed (53).
    if is_file_time && out.is_empty() {
        out.push(Bytes::from_static(NEVER.as_bytes()));
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
        Form::Integer => match std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<i128>().ok()) {
            // Without a plus sign and leading zeros, which OpenLDAP refuses.
            Some(number) => Ok(Bytes::from(number.to_string())),
            None => Err("not a whole number".to_owned()),
        },
        Form::Time => generalized(value).map(Bytes::from),
        Form::Dn => match std::str::from_utf8(value).map(Dn::parse) {
            Ok(Ok(dn)) if !dn.is_root() => Ok(value.clone()),
            _ => Err("not a distinguished name".to_owned()),
        },
        Form::Text | Form::Bytes => Ok(value.clone()),
    }
}

/// `20261128100000.0Z`, from this form, from `2026-11-28T10:00:00Z` or from a date, which is the beginning of that day in
/// UTC. Active Directory asks for the fraction, and others take it.
fn generalized(value: &Bytes) -> Result<String, String> {
    let wrong = || "not a time as 2026-11-28T10:00:00Z or 2026-11-28".to_owned();
    let mut text = std::str::from_utf8(value).map_err(|_| wrong())?.trim().to_owned();
    let is_date = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if is_date {
        text.push_str("T00:00:00Z");
    }
    let whole = text.strip_suffix(['Z', 'z']).ok_or_else(wrong)?;
    let whole = whole.split(['.', ',']).next().unwrap_or_default();
    let digits: String = whole.chars().filter(|character| !matches!(character, '-' | ':' | 'T' | 't' | ' ')).collect();
    generalized_time(&format!("{digits}Z")).map(|_| format!("{digits}.0Z")).ok_or_else(wrong)
}

/// A number of ticks, a time, or `never`.
fn file_time(value: &Bytes) -> Result<Bytes, String> {
    if value.iter().all(u8::is_ascii_digit) && value.len() < 20 && value.len() != 14 {
        return Ok(value.clone());
    }
    if value.eq_ignore_ascii_case(b"never") {
        return Ok(Bytes::from_static(NEVER.as_bytes()));
    }
    let time = generalized(value)?;
    let seconds = generalized_time(&time).ok_or_else(|| "not a time".to_owned())?;
    let ticks = seconds.saturating_add(SECONDS_FROM_1601_TO_1970).saturating_mul(TICKS);
    // 0 would mean never.
    if ticks <= 0 {
        return Err("Active Directory knows no time before 1601-01-02".to_owned());
    }
    Ok(Bytes::from(ticks.to_string()))
}

/// Servers keep DNs apart that RFC 4518 compares as equal, such as those with `ß` and `ss`: only case and the way of
/// writing make no difference.
fn same_value(form: Form, one: &Bytes, other: &Bytes) -> bool {
    if one == other {
        return true;
    }
    let (Ok(one), Ok(other)) = (std::str::from_utf8(one), std::str::from_utf8(other)) else { return false };
    match form {
        Form::Dn => {
            matches!((Dn::parse(one), Dn::parse(other)), (Ok(one), Ok(other)) if one.case_folded() == other.case_folded())
        }
        Form::Boolean => one.eq_ignore_ascii_case(other),
        Form::Time => {
            matches!((generalized_time(one), generalized_time(other)), (Some(one), Some(other)) if one == other)
        }
        Form::Text | Form::Integer | Form::Bytes => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(form: Form) -> Rule {
        Rule { form, single: false, comparable: true }
    }

    fn bytes(texts: &[&str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
    }

    fn convert(form: Form, texts: &[&str]) -> Result<Vec<Bytes>, String> {
        converted(rule(form), false, &bytes(texts))
    }

    #[test]
    fn values_get_the_form_of_their_syntax() {
        assert_eq!(convert(Form::Boolean, &["true"]), Ok(bytes(&["TRUE"])));
        assert_eq!(convert(Form::Integer, &["007", "+7"]), Ok(bytes(&["7"])));
        assert_eq!(convert(Form::Time, &["2026-11-28T10:00:00Z"]), Ok(bytes(&["20261128100000.0Z"])));
        assert_eq!(convert(Form::Text, &["", " a "]), Ok(bytes(&[" a "])), "an empty value counts as no value");
        assert_eq!(convert(Form::Dn, &["cn=a,dc=x", "CN=A, DC=x"]), Ok(bytes(&["cn=a,dc=x"])), "each once");
        for (form, wrong) in [(Form::Boolean, "maybe"), (Form::Integer, "7a"), (Form::Time, "soon"), (Form::Dn, "anna")]
        {
            assert!(convert(form, &[wrong]).is_err(), "{wrong}");
        }
        assert!(converted(Rule { single: true, ..rule(Form::Text) }, false, &bytes(&["a", "b"])).is_err());
    }

    #[test]
    fn the_same_time_in_two_forms_is_no_change() {
        assert!(same(rule(Form::Time), &bytes(&["20261128100000Z"]), &bytes(&["20261128100000.0Z"])));
        assert!(!same(rule(Form::Text), &bytes(&["anna"]), &bytes(&["Anna"])));
        assert!(same(rule(Form::Dn), &bytes(&["cn=A,dc=x"]), &bytes(&["CN=a, DC=x"])));
        assert!(!same(rule(Form::Dn), &bytes(&["cn=stra\u{df}e,dc=x"]), &bytes(&["cn=strasse,dc=x"])), "two entries");
        assert!(same(rule(Form::Text), &bytes(&["a", "b"]), &bytes(&["b", "a"])), "values have no order");
    }

    #[test]
    fn an_end_of_an_account_is_a_number_in_active_directory() {
        let of = |text: &str| converted(rule(Form::Integer), true, &bytes(&[text]));
        assert_eq!(of("1970-01-01T00:00:01Z"), Ok(bytes(&["116444736010000000"])));
        assert_eq!(of("116444736010000000"), Ok(bytes(&["116444736010000000"])));
        assert_eq!((of("never"), of("")), (Ok(bytes(&[NEVER])), Ok(bytes(&[NEVER]))));
        assert!(never(&bytes(&["0"])) && never(&bytes(&[NEVER])) && !never(&bytes(&["1"])));
        assert_eq!(of("2020-06-30"), Ok(bytes(&["132379488000000000"])), "a date is its beginning");
        assert!(
            of("1601-01-01").is_err() && of("1600-12-31").is_err() && of("0001-01-01").is_err(),
            "no such time there"
        );
        assert_eq!(of("1601-01-02"), Ok(bytes(&["864000000000"])));
        assert!(of("soon").is_err() && of("2020-13-30").is_err() && of("2020/06/30").is_err());
    }
}
