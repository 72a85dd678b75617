//! Range retrieval: Active Directory returns an attribute with very many values in parts, `member;range=0-1499`, and is
//! asked for the next (MS-ADTS §3.1.1.3.1.3.3).

use bytes::Bytes;

use crate::connection::Connection;
use crate::error::{Error, Step};
use crate::raw_entry::RawEntry;

/// What to ask for first: the most that Windows returns at once since 2003.
pub(crate) const FIRST: &str = "range=0-1499";

/// noSuchObject
const NO_SUCH_OBJECT: u32 = 32;

/// The local log shows at most this much of a server's answer.
const TOLD_CHARS: usize = 200;

/// An attribute description with a range option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ranged<'a> {
    /// The description without the range option.
    pub(crate) base: &'a str,
    /// Which value this part begins with, counted from 0.
    pub(crate) start: u64,
    /// Where to go on; `None` when this part is the last.
    pub(crate) next: Option<u64>,
}

/// The description without its range option; `None` where there is none. The option itself may be nonsense.
pub(crate) fn base(description: &str) -> Option<&str> {
    let (base, option) = description.rsplit_once(';')?;
    option.get(..6)?.eq_ignore_ascii_case("range=").then_some(base)
}

/// Reads `member;range=0-1499` or `member;range=1500-*`; `None` where there is no such option.
pub(crate) fn parse(description: &str) -> Option<Ranged<'_>> {
    let base = base(description)?;
    let (start, end) = description.get(base.len() + 1 + "range=".len()..)?.split_once('-')?;
    let start: u64 = start.parse().ok()?;
    if end == "*" {
        return Some(Ranged { base, start, next: None });
    }
    let end: u64 = end.parse().ok()?;
    // An end before its start would send the reader round in circles.
    if end < start {
        return None;
    }
    Some(Ranged { base, start, next: Some(end.checked_add(1)?) })
}

/// Reads the values of `attribute` from `start` to the last and appends them to `values`. Whatever is not the part asked
/// for is an error, an entry that is not there under its name too: it may have been renamed, or this server may be behind
/// the one before. Taken for the end, it would cost a group its members in an import that calls itself complete.
pub(crate) async fn read_rest(
    connection: &mut Connection,
    dn: &str,
    attribute: &str,
    start: u64,
    values: &mut Vec<Bytes>,
) -> Result<(), Error> {
    let mut next = Some(start);
    while let Some(from) = next {
        let asked = [format!("{attribute};range={from}-*")];
        let message = match connection.read_entry(dn, "(objectClass=*)", &asked, Step::Range).await {
            Ok(Some(message)) => message,
            Ok(None) | Err(Error::Refused { code: NO_SUCH_OBJECT, .. }) => {
                let [expected] = asked;
                return Err(Error::Range { expected, got: "no such entry".to_owned() });
            }
            Err(error) => return Err(error),
        };
        let [expected] = asked;
        let (following, mut part) =
            part(&message, attribute, from).map_err(|got| Error::Range { expected, got: shortened(got) })?;
        values.append(&mut part);
        next = following;
    }
    Ok(())
}

/// The part that begins at `from`, and where the next one does; otherwise what there is instead.
fn part(message: &Bytes, attribute: &str, from: u64) -> Result<(Option<u64>, Vec<Bytes>), String> {
    let mut entry = RawEntry::parse(message).map_err(|error| error.to_string())?;
    let mut seen = Vec::new();
    while let Some(found) = entry.next_attribute().map_err(|malformed| malformed.to_string())? {
        let description = found.description();
        match parse(description) {
            Some(Ranged { base, start, next }) if start == from && base.eq_ignore_ascii_case(attribute) => {
                let values = found.values().map_err(|malformed| malformed.to_string())?;
                if values.is_empty() && next.is_some() {
                    // Such parts could follow one another for ever.
                    return Err(format!("{description} without values"));
                }
                return Ok((next, values));
            }
            _ => seen.push(description),
        }
    }
    Err(if seen.is_empty() { "no attributes".to_owned() } else { seen.join(", ") })
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TOLD_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw_entry::tests::message;

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse("member;range=0-1499"), Some(Ranged { base: "member", start: 0, next: Some(1500) }));
        assert_eq!(parse("member;Range=1500-*"), Some(Ranged { base: "member", start: 1500, next: None }));
        assert_eq!(parse("cn;lang-de;range=0-1"), Some(Ranged { base: "cn;lang-de", start: 0, next: Some(2) }));
        for text in [
            "member",
            "member;range=5-1",
            "member;range=x-*",
            "member;binary",
            "member;range=",
            "member;range=0",
            "member;range=0-18446744073709551615",
            "m;\u{e4}\u{e4}\u{e4}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    fn values_in(attributes: &[(&str, &[&[u8]])]) -> Result<(Option<u64>, Vec<Bytes>), String> {
        part(&message(b"cn=all", attributes), "member", 1500)
    }

    #[test]
    fn the_part_that_was_asked_for_is_taken() {
        let values = vec![Bytes::from_static(b"cn=a")];
        assert_eq!(values_in(&[("member", &[]), ("Member;range=1500-*", &[b"cn=a"])]), Ok((None, values.clone())));
        assert_eq!(values_in(&[("member;range=1500-1500", &[b"cn=a"])]), Ok((Some(1501), values)));
        assert_eq!(values_in(&[("member;range=1500-*", &[])]), Ok((None, Vec::new())));
    }

    #[test]
    fn no_other_answer_is_the_end_of_the_values() {
        assert_eq!(values_in(&[]), Err("no attributes".to_owned()));
        for instead in ["member", "member;range=0-1499", "member;range=x-*", "cn;range=1500-*"] {
            assert_eq!(values_in(&[(instead, &[b"cn=a"])]), Err(instead.to_owned()));
        }
        assert_eq!(
            values_in(&[("member;range=1500-1501", &[])]),
            Err("member;range=1500-1501 without values".to_owned())
        );
        let whole = message(b"cn=all", &[("member;range=1500-*", &[b"cn=a"])]);
        assert!(part(&whole.slice(..whole.len() - 1), "member", 1500).is_err());
    }

    #[test]
    fn a_long_answer_is_shortened() {
        assert_eq!(shortened("\u{e4}".repeat(TOLD_CHARS)), "\u{e4}".repeat(TOLD_CHARS));
        assert_eq!(shortened("\u{e4}".repeat(9_999)).chars().count(), TOLD_CHARS + 1);
    }
}
