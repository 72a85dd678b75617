//! What the directory holds at first.

use std::fmt::Write as _;

use anyhow::Result;

use super::options::{self, Options, READER_PASSWORD, SUFFIX};

/// The main backend's entries.
pub(super) fn main(options: &Options) -> Result<Vec<u8>> {
    let mut text = format!("dn: {SUFFIX}\nobjectClass: top\nobjectClass: domain\ndc: corp\n");
    for aci in &options.acis {
        writeln!(text, "aci: {aci}")?;
    }
    write!(
        text,
        "\ndn: ou=services,{SUFFIX}\nobjectClass: top\nobjectClass: organizationalUnit\nou: services\n\n\
         dn: {reader}\nobjectClass: top\nobjectClass: account\nobjectClass: simpleSecurityObject\nuid: reader\n\
         userPassword: {READER_PASSWORD}\n{limits}\n",
        reader = options::reader_dn(),
        limits = options.reader_ldif,
    )?;
    let mut content = text.into_bytes();
    options.population.write_ldif(SUFFIX, &mut content)?;
    content.extend_from_slice(options.extra_ldif.as_bytes());
    Ok(content)
}

/// The second backend's entries.
pub(super) fn branch(ldif: &str) -> Vec<u8> {
    let top = "objectClass: top\nobjectClass: organizationalUnit\nou: branch\n";
    format!("dn: {}\n{top}\n{ldif}", options::branch_dn()).into_bytes()
}
