//! Whether the bind account may do more than it needs: the directory's root, or an administrator of the domain.

use std::sync::Arc;

use postern_dn::Dn;
use tokio_util::sync::CancellationToken;

use super::{CheckState, Diagnosis, Finding, administrators};
use crate::config::Scope;
use crate::connection::{Connection, Servers};
use crate::error::{Error, Step};
use crate::filter;
use crate::flavour::Flavour;
use crate::guard::is_reference;
use crate::names::Names;
use crate::raw_entry::RawEntry;
use crate::root_dse::RootDse;
use crate::search::{PagedSearch, Query};
use crate::sections::Section;

const NO_SUCH_OBJECT: u32 = 32;
/// Accounts of one name that are looked at: more than one only where two have the name in different attributes.
const MOST_ACCOUNTS: usize = 10;
const CURE: &str = "bind with a separate account that may only read users and groups";

impl Diagnosis<'_> {
    pub(super) async fn rights(&mut self, servers: &Servers, root: &RootDse, names: &Arc<Names>) -> Option<()> {
        // The sample of users may have left its search in the middle.
        let connection = servers.open().await;
        let mut connection = self.need("rights", connection)?;
        let too_many = if root.flavour() == Flavour::ActiveDirectory {
            self.is_domain_administrator(&mut connection, root).await
        } else {
            self.sees_passwords(&mut connection, root.flavour(), names).await
        };
        let finding = match too_many {
            // Not to be allowed to ask is as it should be.
            Ok(None) | Err(_) => Finding::passed("no excessive rights found"),
            Ok(Some(found)) => Finding::new(CheckState::Warned, found).cured_by(CURE),
        };
        self.note("rights", finding);
        Some(())
    }

    async fn sees_passwords(
        &self,
        connection: &mut Connection,
        flavour: Flavour,
        names: &Arc<Names>,
    ) -> Result<Option<&'static str>, Error> {
        let name = self.config.bind_dn.as_deref().unwrap_or_default();
        if name.eq_ignore_ascii_case("cn=Directory Manager") {
            return Ok(Some("the bind account is the directory's root, which no access rule limits"));
        }
        let own_name = Dn::parse(name).ok().filter(|_| flavour == Flavour::OpenLdap);
        if let Some(own_name) = own_name
            && is_missing(connection, name, &own_name).await?
        {
            let found = "the bind account has no entry in the directory: it is the directory's root (rootdn), which \
            no access rule limits";
            return Ok(Some(found));
        }
        let section = Section::users(self.config, flavour, names);
        let filter = filter::and(&section.filter, "(userPassword=*)");
        for base_dn in section.base_dns {
            if is_found(connection, base_dn, section.scope, &filter).await? {
                let found = "the bind account may search the users' passwords: it is the directory's root (rootdn), \
                or has similar rights";
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Members of protected groups are marked by `adminCount` (MS-ADTS §3.1.1.6.1.2), but not by every server and not at
    /// once. So the groups count too.
    async fn is_domain_administrator(
        &self,
        connection: &mut Connection,
        root: &RootDse,
    ) -> Result<Option<&'static str>, Error> {
        let (Some(name), Some(domain)) = (&self.config.bind_dn, &root.default_naming_context) else { return Ok(None) };
        for dn in accounts(connection, name, domain).await? {
            if is_found(connection, &dn, Scope::Base, "(adminCount=1)").await? {
                return Ok(Some("the bind account is, or was, a member of an administrators' group of the domain"));
            }
            if administrators::is_one(connection, &dn).await? {
                return Ok(Some("the bind account is a member of an administrators' group of the domain"));
            }
        }
        Ok(None)
    }
}

/// The DNs of the accounts that a bind name means. It may be a DN, `DOMAIN\account` or `account@domain`.
async fn accounts(connection: &mut Connection, name: &str, domain: &str) -> Result<Vec<String>, Error> {
    if name.contains('=') {
        return Ok(vec![name.to_owned()]);
    }
    let plain = name.rsplit('\\').next().unwrap_or(name);
    let account = plain.split('@').next().unwrap_or(plain);
    let names =
        [filter::equals("userPrincipalName", plain.as_bytes()), filter::equals("sAMAccountName", account.as_bytes())];
    find(connection, (domain, Scope::Subtree), &format!("(|{}{})", names[0], names[1]), MOST_ACCOUNTS).await
}

/// Whether nothing stands at the DN, by a server that lets its parent be read. A server that hides an entry names nothing
/// above it (RFC 4511 §4.1.9, `matchedDN`).
async fn is_missing(connection: &mut Connection, base_dn: &str, dn: &Dn) -> Result<bool, Error> {
    let nothing = ["1.1".to_owned()];
    let query = Query { base_dn, scope: Scope::Base, filter: "(objectClass=*)", attributes: &nothing, page_size: 1 };
    let (_, result) = connection.answer(query, None, Step::Search).await?;
    let matched = Dn::parse(&result.matched).ok().filter(|matched| result.rc == NO_SUCH_OBJECT && !matched.is_root());
    Ok(matched.is_some_and(|matched| dn.parent().is_some_and(|parent| parent.normalized() == matched.normalized())))
}

async fn is_found(connection: &mut Connection, base_dn: &str, scope: Scope, filter: &str) -> Result<bool, Error> {
    Ok(!find(connection, (base_dn, scope), filter, 1).await?.is_empty())
}

/// The DNs of the first entries that match.
async fn find(
    connection: &mut Connection,
    (base_dn, scope): (&str, Scope),
    filter: &str,
    most: usize,
) -> Result<Vec<String>, Error> {
    let never = CancellationToken::new();
    let attributes = ["1.1".to_owned()];
    let query = Query { base_dn, scope, filter, attributes: &attributes, page_size: 1 };
    let mut search = PagedSearch::new(connection, query, &never);
    let mut found = Vec::new();
    while let Some(batch) = search.next().await? {
        let entries = batch.iter().filter(|message| !is_reference(message));
        found.extend(entries.filter_map(|message| Some(RawEntry::parse(message).ok()?.dn().to_owned())));
        if found.len() >= most {
            break;
        }
    }
    Ok(found)
}
