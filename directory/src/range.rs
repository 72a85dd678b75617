//! Range retrieval: Active Directory returns an attribute with very many values in parts, `member;range=0-1499`, and is
//! asked for the next (MS-ADTS §3.1.1.3.1.3.3).

use bytes::Bytes;

use crate::connection::Connection;
use crate::error::{Error, Step};

/// What to ask for first: the most that Windows returns at once since 2003.
pub(crate) const FIRST: &str = "range=0-1499";

/// An attribute description with a range option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ranged<'a> {
    /// The description without the range option.
    pub(crate) base: &'a str,
    /// Where to go on; `None` when this part is the last.
    pub(crate) next: Option<u64>,
}

/// Reads `member;range=0-1499` or `member;range=1500-*`; `None` where there is no range option.
pub(crate) fn parse(description: &str) -> Option<Ranged<'_>> {
    let (base, option) = description.rsplit_once(';')?;
    if !option.get(..6)?.eq_ignore_ascii_case("range=") {
        return None;
    }
    let (start, end) = option.get(6..)?.split_once('-')?;
    let start: u64 = start.parse().ok()?;
    if end == "*" {
        return Some(Ranged { base, next: None });
    }
    let end: u64 = end.parse().ok()?;
    // An end before its start would send the reader round in circles.
    (end >= start).then(|| Ranged { base, next: end.checked_add(1) })
}

/// Reads the values of `attribute` from `start` to the last and appends them to `values`.
pub(crate) async fn read_rest(
    connection: &mut Connection,
    dn: &str,
    attribute: &str,
    start: u64,
    values: &mut Vec<Bytes>,
) -> Result<(), Error> {
    let mut next = Some(start);
    while let Some(from) = next {
        let asked = format!("{attribute};range={from}-*");
        let message = connection.read_entry(dn, "(objectClass=*)", &[asked], Step::Range).await?;
        let part = message.as_ref().and_then(|message| part(message, attribute));
        let Some((ranged_next, mut part)) = part else {
            // The group shrank or went away under way: what was there has been read.
            return Ok(());
        };
        values.append(&mut part);
        next = ranged_next.filter(|following| *following > from);
    }
    Ok(())
}

fn part(message: &Bytes, attribute: &str) -> Option<(Option<u64>, Vec<Bytes>)> {
    let mut entry = crate::entry::Entry::parse(message).ok()?;
    while let Ok(Some(found)) = entry.next_attribute() {
        if let Some(ranged) = parse(found.description())
            && ranged.base.eq_ignore_ascii_case(attribute)
        {
            return found.values().ok().map(|values| (ranged.next, values));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse("member;range=0-1499"), Some(Ranged { base: "member", next: Some(1500) }));
        assert_eq!(parse("member;Range=1500-*"), Some(Ranged { base: "member", next: None }));
        assert_eq!(parse("cn;lang-de;range=0-1"), Some(Ranged { base: "cn;lang-de", next: Some(2) }));
        for text in [
            "member",
            "member;range=5-1",
            "member;range=x-*",
            "member;binary",
            "member;range=",
            "member;range=0",
            "m;\u{e4}\u{e4}\u{e4}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
