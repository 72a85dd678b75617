//! What serde says about a value that does not fit, in words for people: which kind of value is expected, and what came.

/// Puts one of serde's sentences into plain words. `came` is the value where only the caller knows it. A sentence that
/// is not known here stays as it is, which is better than none.
pub(super) fn plain(detail: &str, came: Option<&str>) -> String {
    let came = || came.map_or_else(String::new, |came| format!(", and {came:?} came"));
    if let Some(rest) = detail.strip_prefix("unknown field ") {
        return unknown("there is no", rest).unwrap_or_else(|| detail.to_owned());
    }
    if let Some(rest) = detail.strip_prefix("unknown variant ") {
        return unknown("it cannot be", rest).unwrap_or_else(|| detail.to_owned());
    }
    if let Some(name) = detail.strip_prefix("missing field ") {
        return format!("{} is missing", unticked(name));
    }
    if let Some(name) = detail.strip_prefix("duplicate field ") {
        return format!("{} is given more than once", unticked(name));
    }
    if let Some(rest) = detail.strip_prefix("invalid type: ").or_else(|| detail.strip_prefix("invalid value: ")) {
        return unfitting(rest).unwrap_or_else(|| detail.to_owned());
    }
    match detail {
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => format!("a whole number from 0 is expected{}", came()),
        "provided string was not `true` or `false`" => format!("true or false is expected{}", came()),
        _ if detail.starts_with("EOF while parsing") => "it ends too early".to_owned(),
        _ if detail.starts_with("UUID parsing failed") => format!("an id is expected{}", came()),
        "expected value" | "expected ident" => "there is no JSON value here".to_owned(),
        "trailing characters" => "something follows after its end".to_owned(),
        "key must be a string" => "the name of a field must stand in double quotes".to_owned(),
        _ => detail.to_owned(),
    }
}

/// `` `nmae`, expected one of `a`, `b` ``
fn unknown(what: &str, rest: &str) -> Option<String> {
    let (name, expected) = rest.split_once(", ")?;
    let name = unticked(name);
    let Some(known) = expected.strip_prefix("expected ") else { return Some(format!("{what} {name}")) };
    let known = known.strip_prefix("one of ").unwrap_or(known);
    let known: Vec<String> = known.split(", ").flat_map(|one| one.split(" or ")).map(unticked).collect();
    Some(format!("{what} {name}; known: {}", known.join(", ")))
}

/// `string "two", expected u8`
fn unfitting(rest: &str) -> Option<String> {
    // What came is quoted from outside, and may hold anything.
    let (came, expected) = rest.rsplit_once(", expected ")?;
    Some(format!("{} is expected, and {} came", kind(expected), value(came)))
}

/// What serde and its derives call a type.
fn kind(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" | "a character" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "string or map" => "one of its names as a text",
        _ if expected.starts_with("struct ") => "an object",
        _ if expected.starts_with("enum ") => "one of its names as a text",
        _ => expected,
    }
}

fn value(came: &str) -> String {
    match came.split_once(' ') {
        Some(("integer" | "floating" | "boolean", rest)) => unticked(rest.trim_start_matches("point ")),
        Some(("string", text)) => format!("the text {text}"),
        _ => match came {
            "sequence" => "a list".to_owned(),
            "map" => "an object".to_owned(),
            "null" | "unit value" | "Option value" => "null".to_owned(),
            other => other.to_owned(),
        },
    }
}

fn unticked(name: &str) -> String {
    name.trim_matches('`').to_owned()
}

/// What a JSON document begins as, where it is no object.
pub(super) fn no_object(document: &[u8]) -> Option<&'static str> {
    match document.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'[' => Some("a list"),
        b'"' => Some("a text"),
        b'n' => Some("null"),
        b't' | b'f' => Some("true or false"),
        b'-' | b'0'..=b'9' => Some("a number"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_speaks_plainly() {
        let table = [
            ("unknown field `nmae`, expected `name` or `role`", "there is no nmae; known: name, role"),
            ("unknown field `x`, expected one of `a`, `b`, `c`", "there is no x; known: a, b, c"),
            ("unknown field `x`, there are no fields", "there is no x"),
            ("unknown variant `dance`, expected one of `import`, `test`", "it cannot be dance; known: import, test"),
            ("missing field `directory`", "directory is missing"),
            ("UUID parsing failed: invalid length: found 3", "an id is expected"),
            ("duplicate field `limit`", "limit is given more than once"),
            (
                "invalid type: string \"two\", expected u8",
                "a whole number from 0 is expected, and the text \"two\" came",
            ),
            ("invalid value: integer `-1`, expected u32", "a whole number from 0 is expected, and -1 came"),
            ("invalid type: floating point `1.5`, expected u32", "a whole number from 0 is expected, and 1.5 came"),
            ("invalid type: sequence, expected struct JobRequest", "an object is expected, and a list came"),
            ("invalid type: null, expected a string", "a text is expected, and null came"),
            (
                "invalid type: string \"a, expected b\", expected a boolean",
                "true or false is expected, and the text \"a, expected b\" came",
            ),
            ("EOF while parsing a value", "it ends too early"),
            ("a sentence of another crate", "a sentence of another crate"),
        ];
        for (serde, plainly) in table {
            assert_eq!(plain(serde, None), plainly);
        }
        assert_eq!(
            plain("invalid digit found in string", Some("x")),
            "a whole number from 0 is expected, and \"x\" came"
        );
    }
}
