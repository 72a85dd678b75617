//! LDIF (RFC 2849): writing entries, and reading what `ldapsearch` prints.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An entry as the directory returned it. Attribute names are lower-cased; values stay in the server's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Distinguished name.
    pub dn: String,
    /// Attribute name → values.
    pub attributes: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Entry {
    /// The values of an attribute; empty when it has none.
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes.get(&name.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The first value of an attribute as text; empty when it has none.
    pub fn text(&self, name: &str) -> String {
        self.values(name).first().map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }
}

/// Writes `name: value`, in base64 where RFC 2849 asks for it.
pub fn write_value(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    let safe_first = value.bytes().next().is_none_or(|byte| !b" :<".contains(&byte));
    let safe = value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && !value.ends_with(' ');
    if safe && safe_first {
        writeln!(out, "{name}: {value}")
    } else {
        writeln!(out, "{name}:: {}", STANDARD.encode(value))
    }
}

/// Reads the entries of an LDIF text; comments and references are skipped.
pub fn parse(text: &str) -> Result<Vec<Entry>> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "");
    let mut entries = Vec::new();
    for block in unfolded.split("\n\n") {
        let mut entry = Entry::default();
        for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = parse_line(line)?;
            match name.as_str() {
                "version" | "ref" => {}
                "dn" => entry.dn = String::from_utf8(value).context("DN is not text")?,
                _ => entry.attributes.entry(name).or_default().push(value),
            }
        }
        if !entry.dn.is_empty() {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn parse_line(line: &str) -> Result<(String, Vec<u8>)> {
    let Some((name, rest)) = line.split_once(':') else { bail!("not LDIF: {line}") };
    let value = match rest.strip_prefix(':') {
        Some(encoded) => STANDARD.decode(encoded.trim()).with_context(|| format!("bad base64: {line}"))?,
        None => rest.strip_prefix(' ').unwrap_or(rest).as_bytes().to_vec(),
    };
    Ok((name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = b"dn: cn=a,dc=b\n".to_vec();
        for value in ["plain", " leading", "Zoë", "trailing ", ":colon", "a\nb", ""] {
            write_value(&mut out, "cn", value).unwrap();
        }
        let entries = parse(&String::from_utf8(out).unwrap()).unwrap();
        let values: Vec<String> =
            entries[0].values("CN").iter().map(|value| String::from_utf8(value.clone()).unwrap()).collect();
        assert_eq!(values, ["plain", " leading", "Zoë", "trailing ", ":colon", "a\nb", ""]);
        assert_eq!(entries[0].dn, "cn=a,dc=b");
    }

    #[test]
    fn folded_lines_and_references_are_understood() {
        let text = "dn: cn=long,\n dc=b\ncn: x\n\n# refldap://nowhere\n\n";
        let entries = parse(text).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].dn, "cn=long,dc=b");
    }
}
