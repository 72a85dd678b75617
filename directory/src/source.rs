//! Where entries come from: which server, how far it was in the changes of each server that it knows, and by what
//! configuration it was read. Nothing of it can be read back: ids and numbers of the directory's own, and digests under a
//! key that only the site knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::DirectoryConfig;
use crate::connection::Connection;
use crate::error::{Error, Phase, Step};
use crate::flavour::Flavour;
use crate::raw_entry::RawEntry;
use crate::root_dse::RootDse;
use crate::search::Object;
use crate::sections::{Section, external_id_attribute};
use postern_dn::Dn;

const ANY: &str = "(objectClass=*)";
/// Digits of the largest counter, so that the order of texts is that of numbers.
const DIGITS: usize = 20;
/// A server knows of fewer others.
const MOST_MARKS: usize = 1_000;

/// Where entries come from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Source {
    /// The server; empty if it has no id that may leave the site, or if all servers share their marks.
    pub server: String,
    /// How far it was in the changes of each server.
    pub marks: Vec<Mark>,
    /// Digest of the users' section; `None` where there is no key.
    pub users_digest: Option<[u8; 32]>,
    /// The same of the groups' section.
    pub groups_digest: Option<[u8; 32]>,
    /// The listed attributes whose values are bytes by the server's schema.
    pub binary_attributes: Vec<String>,
}

/// What kind of server a directory is, and by what configuration it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The kind of server.
    pub flavour: Flavour,
    /// Digest of the users' section; `None` where there is no key.
    pub users_digest: Option<[u8; 32]>,
    /// The same of the groups' section.
    pub groups_digest: Option<[u8; 32]>,
}

/// How far a server was in the changes that were made at one server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mark {
    /// Where they were made.
    pub server: String,
    /// Grows with each change, compared as text.
    pub value: String,
}

/// Asks a server before its first page is read. What it does not say stays unset.
pub(crate) async fn read(
    connection: &mut Connection,
    config: &DirectoryConfig,
    root: &RootDse,
    sections: &[Section<'_>],
) -> Result<Source, Error> {
    let flavour = root.flavour();
    let key = key(connection, config, flavour).await?;
    let mut source = Source::default();
    (source.users_digest, source.groups_digest) = digests(key.as_ref(), config, flavour, sections);
    match flavour {
        Flavour::ActiveDirectory => active_directory(connection, root, &mut source).await?,
        Flavour::OpenLdap => source.marks = context_marks(connection, config, root).await?,
        Flavour::Ds389 | Flavour::Generic => {}
    }
    // With one address there is no other server to distinguish.
    if source.server.is_empty()
        && source.marks.is_empty()
        && (flavour == Flavour::Ds389 || config.urls.len() > 1)
        && let Some(key) = &key
    {
        source.server = own_id(connection, key, flavour).await?;
    }
    source.marks.truncate(MOST_MARKS);
    Ok(source)
}

/// Asks a server what kind it is, and under its key digests the configuration by which it is read.
pub(crate) async fn identify(
    connection: &mut Connection,
    config: &DirectoryConfig,
    root: &RootDse,
) -> Result<Identity, Error> {
    let flavour = root.flavour();
    let key = key(connection, config, flavour).await?;
    // A digest does not depend on the schema's names.
    let sections = Section::all(config, flavour, &Arc::default());
    let (users_digest, groups_digest) = digests(key.as_ref(), config, flavour, &sections);
    Ok(Identity { flavour, users_digest, groups_digest })
}

fn digests(
    key: Option<&[u8; 32]>,
    config: &DirectoryConfig,
    flavour: Flavour,
    sections: &[Section<'_>],
) -> (Option<[u8; 32]>, Option<[u8; 32]>) {
    let of = |phase: Phase| {
        let section = sections.iter().find(|section| section.phase == phase)?;
        Some(digest(key?, config, section, flavour))
    };
    (of(Phase::Users), of(Phase::Groups))
}

/// A key that all agents of a directory find and nobody else knows: the external id of the users' first base, which is
/// no user and so never leaves. Without one, a filter could be guessed from its digest.
async fn key(
    connection: &mut Connection,
    config: &DirectoryConfig,
    flavour: Flavour,
) -> Result<Option<[u8; 32]>, Error> {
    let mut bases: Vec<&String> = config.users.base_dns.iter().collect();
    bases.sort_by_key(|base| normalized(base));
    let Some(base) = bases.first() else { return Ok(None) };
    // Not a configured attribute: such a one may be short, and a base has none.
    let attribute = flavour.external_id_attribute();
    let value = first_value(connection, base, attribute).await?;
    Ok(value.filter(|value| value.len() >= 16).map(|value| blake3::derive_key("postern 2026 directory source", &value)))
}

/// A digest over everything that decides which entries come and what of them.
fn digest(key: &[u8; 32], config: &DirectoryConfig, section: &Section<'_>, flavour: Flavour) -> [u8; 32] {
    let mut parts: Vec<String> = section.base_dns.iter().map(|base| normalized(base)).collect();
    parts.sort_unstable();
    parts.push(section.scope.to_string());
    parts.push(section.filter.trim().to_owned());
    parts.push(external_id_attribute(config, flavour).to_ascii_lowercase());
    let (own, attributes) = match (section.phase, config.group_entries()) {
        (Phase::Groups, Some(groups)) => (groups.member_attribute.as_deref(), &groups.attributes),
        _ => (Some(config.users.unique_attribute.as_str()), &config.users.attributes),
    };
    parts.push(own.unwrap_or_default().to_ascii_lowercase());
    parts.push(config.include_builtin.to_string());
    if section.phase == Phase::Users {
        parts.push(config.group_attribute().unwrap_or_default().to_ascii_lowercase());
    }
    let mut attributes: Vec<String> = attributes.iter().map(|name| name.to_ascii_lowercase()).collect();
    attributes.sort_unstable();
    attributes.dedup();
    parts.append(&mut attributes);
    let mut excluded: Vec<String> = config.excluded_attributes.iter().map(|name| name.to_ascii_lowercase()).collect();
    excluded.sort_unstable();
    parts.append(&mut excluded);
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn normalized(dn: &str) -> String {
    Dn::parse(dn).map_or_else(|_| dn.to_owned(), |dn| dn.normalized())
}

/// Active Directory: the server's invocation id with its own counter, and how far it is with each other server's
/// (MS-ADTS §3.1.1.1.9, MS-DRSR §5.166).
async fn active_directory(connection: &mut Connection, root: &RootDse, source: &mut Source) -> Result<(), Error> {
    let said = attributes(connection, "", &["dsServiceName", "highestCommittedUSN"]).await?;
    let text = |name: &str| said.get(name).and_then(|value| String::from_utf8(value.clone()).ok());
    let (Some(service), Some(counter)) = (text("dsServiceName"), text("highestCommittedUSN")) else { return Ok(()) };
    let Some(own) = first_value(connection, &service, "invocationId").await?.and_then(|id| guid(&id)) else {
        return Ok(());
    };
    if let Some(domain) = &root.default_naming_context
        && let Some(vector) = first_value(connection, domain, "replUpToDateVector").await?
    {
        source.marks = cursors(&vector).into_iter().filter(|mark| mark.server != own).collect();
    }
    if let Ok(counter) = counter.parse::<u64>() {
        source.marks.insert(0, Mark { server: own.clone(), value: padded(counter) });
    }
    source.server = own;
    Ok(())
}

/// OpenLDAP: the latest change of each server, by its number. Each server says how far it is with all of them.
pub(crate) async fn context_marks(
    connection: &mut Connection,
    config: &DirectoryConfig,
    root: &RootDse,
) -> Result<Vec<Mark>, Error> {
    let base = config.users.base_dns.first().and_then(|base| Dn::parse(base).ok());
    let holds = |context: &&String| match (&base, Dn::parse(context)) {
        (Some(base), Ok(context)) => base.is_within(&context),
        _ => false,
    };
    let Some(context) = root.naming_contexts.iter().find(holds) else { return Ok(Vec::new()) };
    let values = values(connection, context, "contextCSN").await?;
    // time # count # number of the server # count
    let mut marks: Vec<Mark> = values
        .iter()
        .filter_map(|value| {
            let value = std::str::from_utf8(value).ok()?;
            Some(Mark { server: value.split('#').nth(2)?.to_owned(), value: value.to_owned() })
        })
        .collect();
    marks.sort_unstable();
    Ok(marks)
}

/// A server that does not say how far it is: its own name, or the address that it was reached at, under the key.
async fn own_id(connection: &mut Connection, key: &[u8; 32], flavour: Flavour) -> Result<String, Error> {
    let name = match flavour {
        // It holds the host and port.
        Flavour::Ds389 => first_value(connection, "", "netscapemdsuffix").await?,
        _ => None,
    };
    let name = name.unwrap_or_else(|| connection.url.as_bytes().to_vec());
    Ok(blake3::keyed_hash(key, &name).to_hex().to_string())
}

/// The cursors of a `replUpToDateVector`: versions 1 and 2 (MS-DRSR §5.205 and §5.206).
fn cursors(vector: &[u8]) -> Vec<Mark> {
    let size = match vector.first() {
        Some(1) => 24,
        Some(2) => 32,
        _ => return Vec::new(),
    };
    let Some(cursors) = vector.get(16..) else { return Vec::new() };
    cursors
        .chunks_exact(size)
        .filter_map(|cursor| {
            let (id, rest) = cursor.split_at_checked(16)?;
            let counter = u64::from_le_bytes(*rest.first_chunk()?);
            Some(Mark { server: guid(id)?, value: padded(counter) })
        })
        .take(MOST_MARKS)
        .collect()
}

fn guid(bytes: &[u8]) -> Option<String> {
    Some(uuid::Uuid::from_bytes_le(bytes.try_into().ok()?).to_string())
}

fn padded(counter: u64) -> String {
    format!("{counter:0DIGITS$}")
}

async fn first_value(connection: &mut Connection, dn: &str, attribute: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(values(connection, dn, attribute).await?.into_iter().next())
}

async fn values(connection: &mut Connection, dn: &str, attribute: &str) -> Result<Vec<Vec<u8>>, Error> {
    let names = [attribute.to_owned()];
    match connection.read_object(dn, ANY, &names, Step::Search).await {
        Ok(Object::Entry(message)) => {
            let values = RawEntry::parse(&message).ok().and_then(|entry| entry.values_of(attribute).ok());
            Ok(values.unwrap_or_default().iter().map(|value| value.to_vec()).collect())
        }
        // What a server does not say is unknown.
        Ok(Object::Reference | Object::Nothing) | Err(Error::Refused { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn attributes(
    connection: &mut Connection,
    dn: &str,
    names: &[&'static str],
) -> Result<BTreeMap<&'static str, Vec<u8>>, Error> {
    let mut found = BTreeMap::new();
    for name in names {
        if let Some(value) = first_value(connection, dn, name).await? {
            found.insert(*name, value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scope;
    use crate::config::tests::corp;

    #[test]
    fn an_up_to_dateness_vector_of_active_directory_is_read() {
        let id: Vec<u8> = (0..16).collect();
        let text = "03020100-0504-0706-0809-0a0b0c0d0e0f";
        for (version, rest) in [(1_u32, 0), (2, 8)] {
            let mut vector = [version.to_le_bytes(), [0; 4], 1_u32.to_le_bytes(), [0; 4]].concat();
            vector.extend(&id);
            vector.extend(4_711_u64.to_le_bytes());
            vector.extend(vec![0; rest]);
            let value = "00000000000000004711".to_owned();
            assert_eq!(cursors(&vector), [Mark { server: text.to_owned(), value }]);
        }
        assert!(cursors(b"").is_empty() && cursors(&[9; 100]).is_empty() && cursors(&[2; 20]).is_empty());
    }

    #[test]
    fn a_digest_tells_another_configuration_and_not_another_spelling() {
        let digests = |config: &DirectoryConfig| -> Vec<[u8; 32]> {
            let flavour = Flavour::OpenLdap;
            Section::all(config, flavour, &Arc::default())
                .iter()
                .map(|section| digest(&[7; 32], config, section, flavour))
                .collect()
        };
        let before = digests(&corp());
        let mut same = corp();
        same.users.base_dns = vec!["OU=People, DC=corp,dc=example".to_owned()];
        same.users.attributes = vec!["CN".to_owned(), "uid".to_owned()];
        same.urls = vec!["ldaps://elsewhere".to_owned()];
        same.page_size = 7;
        assert_eq!(digests(&same), before);
        let mut other = corp();
        other.users.filter = Some("(&(objectClass=inetOrgPerson)(title=in))".to_owned());
        let changed = digests(&other);
        assert!(changed[0] != before[0] && changed[1] == before[1]);
        let mut other = corp();
        other.users.scope = Scope::One;
        assert_ne!(digests(&other)[0], before[0]);
        let other_key =
            digest(&[8; 32], &corp(), &Section::users(&corp(), Flavour::OpenLdap, &Arc::default()), Flavour::OpenLdap);
        assert_ne!(other_key, before[0]);
    }
}
