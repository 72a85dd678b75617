//! Attribute types and values in the form in which equal ones are equal texts (RFC 4517, RFC 4518).

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

/// More rounds of folding and composing than any text was seen to need.
const MAX_ROUNDS: usize = 4;

/// A value of printable ASCII, prepared.
pub(super) fn write_plain(value: &str, out: &mut String) {
    let value = value.trim_matches(' ');
    let start = out.len();
    if value.as_bytes().windows(2).any(|pair| pair == b"  ") {
        for (place, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
            if place > 0 {
                out.push(' ');
            }
            out.push_str(word);
        }
    } else {
        out.push_str(value);
    }
    out[start..].make_ascii_lowercase();
}

/// An attribute type by its lower-case short name, also where it is written as an OID or by its long name.
pub(super) fn write_attribute(attribute: &str, out: &mut String) {
    let start = out.len();
    out.push_str(attribute);
    out[start..].make_ascii_lowercase();
    let short = match out.get(start..).unwrap_or_default() {
        "2.5.4.3" | "commonname" => "cn",
        "2.5.4.4" | "surname" => "sn",
        "2.5.4.5" => "serialnumber",
        "2.5.4.6" | "countryname" => "c",
        "2.5.4.7" | "localityname" => "l",
        "2.5.4.8" | "stateorprovincename" => "st",
        "2.5.4.9" | "streetaddress" => "street",
        "2.5.4.10" | "organizationname" => "o",
        "2.5.4.11" | "organizationalunitname" => "ou",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.20" => "telephonenumber",
        "2.5.4.31" => "member",
        "2.5.4.42" | "gn" => "givenname",
        "2.5.4.50" => "uniquemember",
        "0.9.2342.19200300.100.1.1" | "userid" => "uid",
        "0.9.2342.19200300.100.1.3" | "rfc822mailbox" => "mail",
        "0.9.2342.19200300.100.1.10" => "manager",
        "0.9.2342.19200300.100.1.25" | "domaincomponent" => "dc",
        "1.2.840.113549.1.9.1" | "email" | "e" => "emailaddress",
        _ => return,
    };
    out.truncate(start);
    out.push_str(short);
}

/// A value as `caseIgnoreMatch` compares it: RFC 4518 preparation (mapping, case folding, NFKC), spaces at the ends
/// dropped and runs of them made one. Characters newer than the tables are lower-cased only.
pub(super) fn prepare(text: &str) -> String {
    let mut prepared = prepare_once(text);
    // What is composed or taken apart may fold once more, for characters newer than the tables.
    for _ in 0..MAX_ROUNDS {
        if is_printable_ascii(&prepared) && !prepared.bytes().any(|byte| byte.is_ascii_uppercase()) {
            break;
        }
        let again = prepare_once(&prepared);
        if again == prepared {
            break;
        }
        prepared = again;
    }
    prepared
}

fn prepare_once(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    if is_printable_ascii(text) {
        write_plain(text, &mut out);
        return out;
    }
    let folded = stringprep::x520prep(text, true).unwrap_or_else(|_| Cow::Owned(text.to_lowercase()));
    // The library folds character by character; what it leaves apart is composed here.
    let folded: String = folded.nfkc().collect();
    for word in folded.split(' ').filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

pub(super) fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
