//! Values of further attributes: what a definition allows, and the one form in which a value is kept.

use jiff::Timestamp;
use postern_store::{AttributeDefinition, AttributeType};
use serde_json::Value;

/// Longest text, in bytes.
const MAX_BYTES: usize = 4 << 10;
/// Most texts of a list.
const MAX_TEXTS: usize = 100;
/// The most bytes of all values of a user together, with their names, as JSON.
pub const MAX_ALL_BYTES: usize = 256 << 10;
/// What is written in the place of a sensitive value.
pub const MASK: &str = "***";

/// A value in its one form. An attribute that nobody has defined takes texts. The error says what it must be.
pub fn checked(defined: Option<&AttributeDefinition>, value: &Value) -> Result<Value, String> {
    let kind = defined.map_or(AttributeType::String, |defined| defined.kind);
    match (kind, value) {
        (AttributeType::String, Value::String(given)) => text(given),
        (AttributeType::Boolean, Value::Bool(_)) => Ok(value.clone()),
        (AttributeType::Integer, Value::Number(number)) if number.is_i64() => Ok(value.clone()),
        (AttributeType::DateTime, Value::String(given)) => match given.parse::<Timestamp>() {
            Ok(at) => Ok(Value::String(at.to_string())),
            Err(_) => Err(rule(kind)),
        },
        (AttributeType::StringList, Value::Array(given)) if given.len() <= MAX_TEXTS && !given.is_empty() => {
            given.iter().map(|item| item.as_str().ok_or_else(|| rule(kind)).and_then(text)).collect()
        }
        _ => Err(rule(kind)),
    }
}

/// What is wrong if all values of a user together, as JSON, are too large, and what to do about it. `None`: they fit.
pub fn too_large(all: &str) -> Option<String> {
    (all.len() > MAX_ALL_BYTES).then(|| {
        format!(
            "all values of a user together must be at most {} KiB, and these would be {} KiB; \
             take some away or make them shorter",
            MAX_ALL_BYTES >> 10,
            all.len().div_ceil(1 << 10)
        )
    })
}

/// The value of a unique attribute as it is compared.
pub fn compared(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads a value from text, as a file has it. Texts of a list are separated by `|`.
pub fn from_text(defined: Option<&AttributeDefinition>, text: &str) -> Value {
    match defined.map(|defined| defined.kind) {
        Some(AttributeType::Boolean) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" => Value::Bool(true),
            "false" | "no" => Value::Bool(false),
            _ => Value::String(text.to_owned()),
        },
        Some(AttributeType::Integer) => {
            text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from)
        }
        Some(AttributeType::StringList) => text.split('|').map(|item| Value::String(item.trim().to_owned())).collect(),
        _ => Value::String(text.to_owned()),
    }
}

fn text(given: &str) -> Result<Value, String> {
    let fits = (1..=MAX_BYTES).contains(&given.len()) && !given.contains('\0');
    if fits {
        Ok(Value::String(given.to_owned()))
    } else {
        Err(format!("it must be 1 to {MAX_BYTES} bytes without NUL"))
    }
}

fn rule(kind: AttributeType) -> String {
    match kind {
        AttributeType::String => "it must be a text".to_owned(),
        AttributeType::Boolean => "it must be true or false".to_owned(),
        AttributeType::Integer => "it must be a whole number of at most 64 bits".to_owned(),
        AttributeType::DateTime => "it must be a time like 2026-01-31T08:00:00Z".to_owned(),
        AttributeType::StringList => format!("it must be a list of 1 to {MAX_TEXTS} texts"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn defined(kind: AttributeType) -> AttributeDefinition {
        AttributeDefinition { name: "x".to_owned(), kind, required: false, unique: false, sensitive: false }
    }

    #[test]
    fn each_type_takes_its_values_and_no_others() {
        use AttributeType as T;
        let values = [
            (json!("a"), vec![T::String]),
            (json!(true), vec![T::Boolean]),
            (json!(7), vec![T::Integer]),
            (json!("2026-01-31T08:00:00Z"), vec![T::String, T::DateTime]),
            (json!(["a", "b"]), vec![T::StringList]),
            (json!([]), vec![]),
            (json!(["a", 1]), vec![]),
            (json!(""), vec![]),
            (json!("a\u{0}b"), vec![]),
            (json!(1.5), vec![]),
            (json!(18_446_744_073_709_551_615_u64), vec![]),
            (json!({}), vec![]),
            (json!(null), vec![]),
            (json!("x".repeat(5_000)), vec![]),
        ];
        for (value, kinds) in values {
            for kind in T::ALL {
                let taken = checked(Some(&defined(*kind)), &value);
                assert_eq!(taken.is_ok(), kinds.contains(kind), "{kind} {value}: {taken:?}");
            }
        }
        assert_eq!(checked(None, &json!("a")), Ok(json!("a")));
        assert!(checked(None, &json!(7)).is_err());
    }

    #[test]
    fn one_time_has_one_form() {
        let time = defined(AttributeType::DateTime);
        let taken = checked(Some(&time), &json!("2026-01-31T10:00:00+02:00"));
        assert_eq!(taken, Ok(json!("2026-01-31T08:00:00Z")));
    }

    #[test]
    fn a_file_says_values_as_text() {
        use AttributeType as T;
        for (kind, text, value) in [
            (T::Boolean, "Yes", json!(true)),
            (T::Boolean, "maybe", json!("maybe")),
            (T::Integer, "-7", json!(-7)),
            (T::Integer, "seven", json!("seven")),
            (T::StringList, "a| b", json!(["a", "b"])),
            (T::String, "7", json!("7")),
        ] {
            assert_eq!(from_text(Some(&defined(kind)), text), value, "{kind} {text}");
        }
    }
}
