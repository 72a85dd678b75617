//! What a server's subschema says of attributes (RFC 4512 §4.2): their OIDs, names and syntaxes.

/// One attribute of a schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AttributeType {
    /// Its OID, or what stands in its place.
    pub(crate) oid: String,
    /// Its name and aliases, in lower case.
    pub(crate) names: Vec<String>,
    /// OID of the syntax of its values, without a length.
    pub(crate) syntax: Option<String>,
    /// Name or OID of the attribute that it is derived from, in lower case: it has its syntax, unless it has one of its own.
    pub(crate) superior: Option<String>,
    /// It takes one value at most.
    pub(crate) single_value: bool,
    /// It says how its values are compared. Active Directory says so of none.
    pub(crate) equality: bool,
}

/// The syntaxes (RFC 4517 §3.3, RFC 4523 §2, MS-ADTS §3.1.1.2.2.2) whose values are bytes.
const BINARY_SYNTAXES: [&str; 11] = [
    "1.3.6.1.4.1.1466.115.121.1.4",
    "1.3.6.1.4.1.1466.115.121.1.5",
    "1.3.6.1.4.1.1466.115.121.1.8",
    "1.3.6.1.4.1.1466.115.121.1.9",
    "1.3.6.1.4.1.1466.115.121.1.10",
    "1.3.6.1.4.1.1466.115.121.1.13",
    "1.3.6.1.4.1.1466.115.121.1.23",
    "1.3.6.1.4.1.1466.115.121.1.28",
    "1.3.6.1.4.1.1466.115.121.1.40",
    "1.3.6.1.4.1.1466.115.121.1.49",
    "1.2.840.113556.1.4.907",
];

/// No attribute is derived through more levels.
const MOST_LEVELS: usize = 16;

/// Whether the values of an attribute are bytes by the schema.
pub(crate) fn is_binary(schema: &[AttributeType], kind: &AttributeType) -> bool {
    syntax_of(schema, kind).is_some_and(is_binary_syntax)
}

/// Whether values of this syntax are bytes.
pub(crate) fn is_binary_syntax(syntax: &str) -> bool {
    BINARY_SYNTAXES.contains(&syntax)
}

/// The syntax of an attribute: its own, or that of the nearest superior that has one.
pub(crate) fn syntax_of<'a>(schema: &'a [AttributeType], kind: &'a AttributeType) -> Option<&'a str> {
    nearest(schema, kind, |kind| kind.syntax.as_deref())
}

/// Whether the values of an attribute can be compared, so that a single one can be deleted.
pub(crate) fn is_comparable(schema: &[AttributeType], kind: &AttributeType) -> bool {
    nearest(schema, kind, |kind| kind.equality.then_some(())).is_some()
}

/// What an attribute or the nearest superior says.
fn nearest<'a, T>(
    schema: &'a [AttributeType],
    kind: &'a AttributeType,
    says: impl Fn(&'a AttributeType) -> Option<T>,
) -> Option<T> {
    let mut at = kind;
    for _ in 0..MOST_LEVELS {
        if let Some(said) = says(at) {
            return Some(said);
        }
        let superior = at.superior.as_ref()?;
        at = schema.iter().find(|kind| kind.oid == *superior || kind.names.contains(superior))?;
    }
    None
}

/// `AttributeTypeDescription`: `( 2.5.4.4 NAME ( 'sn' 'surname' ) SUP name )`.
pub(crate) fn parse(text: &str) -> Option<AttributeType> {
    let mut words = Words(text.trim().strip_prefix('(')?);
    let oid = words.next()?.trim_matches('\'').to_ascii_lowercase();
    let (mut names, mut syntax, mut superior) = (Vec::new(), None, None);
    let (mut single_value, mut equality) = (false, false);
    // A description may hold these words too, but within quotes.
    while let Some(word) = words.next() {
        match word {
            "NAME" if names.is_empty() => match words.next()? {
                "(" => names.extend(words.by_ref().take_while(|word| *word != ")").map(unquoted)),
                name => names.push(unquoted(name)),
            },
            "SUP" => superior = words.next().map(unquoted),
            "SYNTAX" => {
                let said = words.next().map(unquoted);
                syntax = said.and_then(|said| Some(said.split('{').next()?.to_owned()));
            }
            "SINGLE-VALUE" => single_value = true,
            "EQUALITY" => equality = words.next().is_some(),
            _ => {}
        }
    }
    Some(AttributeType { oid, names, syntax, superior, single_value, equality })
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

    #[test]
    fn the_form_of_values_follows_the_syntax_or_that_of_the_superior() {
        let schema: Vec<AttributeType> = [
            "( 1.1 NAME 'key' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40{128} X-ORIGIN 'SYNTAX 1.2' )",
            "( 1.2 NAME 'badgeKey' SUP key )",
            "( 1.3 NAME 'badge' DESC 'SYNTAX 1.3.6.1.4.1.1466.115.121.1.40' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' )",
            "( 1.4 NAME 'ring' SUP 1.5 )",
            "( 1.5 NAME 'ring2' SUP ring )",
            "( 1.6 NAME 'orphan' SUP nowhere )",
        ]
        .into_iter()
        .filter_map(parse)
        .collect();
        let binary: Vec<bool> = schema.iter().map(|kind| is_binary(&schema, kind)).collect();
        assert_eq!(binary, [true, true, false, false, false, false]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[( )'NAMEü\\t0-9.a]{0,60}") {
            let _ = parse(&text);
        }
    }
}
