//! What a server's subschema says of attributes (RFC 4512 §4.2): their OIDs and names.

use bytes::Bytes;

use crate::connection::Connection;
use crate::entry::Entry;
use crate::error::{Error, Step};
use crate::range::{self, Ranged};

const ATTRIBUTE_TYPES: &str = "attributeTypes";

/// One attribute of a schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AttributeType {
    /// Its OID, or what stands in its place.
    pub(crate) oid: String,
    /// Its name and aliases, in lower case.
    pub(crate) names: Vec<String>,
}

/// Reads the attributes of the subschema entry; `None` where the server does not show it.
pub(crate) async fn read(connection: &mut Connection, dn: &str) -> Result<Option<Vec<AttributeType>>, Error> {
    let asked = [ATTRIBUTE_TYPES.to_owned()];
    let message = match connection.read_entry(dn, "(objectClass=*)", &asked, Step::Schema).await {
        Ok(Some(message)) => message,
        Ok(None) | Err(Error::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((mut values, next)) = values(&message) else { return Ok(None) };
    if let Some(next) = next {
        range::read_rest(connection, dn, ATTRIBUTE_TYPES, next, &mut values).await?;
    }
    let kinds: Vec<_> = values.iter().filter_map(|value| parse(std::str::from_utf8(value).ok()?)).collect();
    Ok((!kinds.is_empty()).then_some(kinds))
}

/// The values of `attributeTypes`, and where the next ones begin.
fn values(message: &Bytes) -> Option<(Vec<Bytes>, Option<u64>)> {
    let mut entry = Entry::parse(message).ok()?;
    while let Some(attribute) = entry.next_attribute().ok()? {
        let description = attribute.description();
        let next = match range::parse(description) {
            Some(Ranged { start: 0, next, .. }) => next,
            _ => None,
        };
        let name = range::base(description).unwrap_or(description);
        let values = attribute.values().ok()?;
        if name.eq_ignore_ascii_case(ATTRIBUTE_TYPES) && !values.is_empty() {
            return Some((values, next));
        }
    }
    None
}

/// `AttributeTypeDescription`: `( 2.5.4.4 NAME ( 'sn' 'surname' ) SUP name )`.
fn parse(text: &str) -> Option<AttributeType> {
    let mut words = Words(text.trim().strip_prefix('(')?);
    let oid = words.next()?.trim_matches('\'').to_ascii_lowercase();
    let mut names = Vec::new();
    while let Some(word) = words.next() {
        // A description may hold the word too, but within quotes.
        if word != "NAME" {
            continue;
        }
        match words.next()? {
            "(" => names.extend(words.by_ref().take_while(|word| *word != ")").map(unquoted)),
            name => names.push(unquoted(name)),
        }
        break;
    }
    Some(AttributeType { oid, names })
}

fn unquoted(word: &str) -> String {
    word.trim_matches('\'').to_ascii_lowercase()
}

/// The words of a description: parentheses, quoted texts with their quotes, and all else up to a blank.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start();
        let end = match rest.chars().next()? {
            '(' | ')' => 1,
            '\'' => rest.get(1..)?.find('\'').map_or(rest.len(), |end| end + 2),
            _ => rest.find([' ', '(', ')', '\t', '\n']).unwrap_or(rest.len()),
        };
        let (word, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_descriptions_of_all_servers_are_read() {
        let read = |text| parse(text).map(|kind| (kind.oid, kind.names.join(" ")));
        let expected = |oid: &str, names: &str| Some((oid.to_owned(), names.to_owned()));
        assert_eq!(
            read("( 0.9.2342.19200300.100.1.3 NAME ( 'mail' 'rfc822Mailbox' ) DESC 'RFC1274: NAME of' SUP x )"),
            expected("0.9.2342.19200300.100.1.3", "mail rfc822mailbox")
        );
        assert_eq!(read("( 2.5.4.12 NAME 'title' SUP name )"), expected("2.5.4.12", "title"));
        assert_eq!(
            read("( 1.2.840.113556.1.4.8 NAME 'userAccountControl' SYNTAX '1.3' SINGLE-VALUE )"),
            expected("1.2.840.113556.1.4.8", "useraccountcontrol")
        );
        assert_eq!(read("(badge-oid NAME('badge' 'b2')SUP name)"), expected("badge-oid", "badge b2"));
        assert_eq!(read("( 1.2.3 DESC 'a NAME in quotes' )"), expected("1.2.3", ""));
        assert_eq!(read("nonsense"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[( )'NAMEü\\t0-9.a]{0,60}") {
            let _ = parse(&text);
        }
    }
}
