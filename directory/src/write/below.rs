//! What goes along when an entry gets another name or container: the entries below it. Nobody is carried along who may not
//! be moved.

use tokio_util::sync::CancellationToken;

use super::attributes::Values;
use super::facts;
use super::protected::protection;
use super::target::Target;
use super::work::Work;
use crate::config::Scope;
use crate::error::Error;
use crate::failure::Failure;
use crate::filter;
use crate::guard::is_reference;
use crate::raw_entry::RawEntry;
use crate::search::{PagedSearch, Query};
use postern_dn::Dn;

/// Entries below one that are looked at. A user or group has hardly any.
const MOST_BELOW: usize = 500;

/// Entries below another one.
#[derive(Debug, Default)]
struct Below {
    dns: Vec<Dn>,
    /// Conditions for groups that list them by `uid`.
    by_uid: Vec<String>,
}

impl Work<'_> {
    /// The first protected group that an entry below this one is a member of, through any number of groups. Fails where one
    /// of them is never written.
    pub(crate) async fn protected_below(&mut self, target: &Target) -> Result<Option<Dn>, Error> {
        let Below { dns, by_uid } = self.below(target).await?;
        let members: Vec<&Dn> = dns.iter().collect();
        self.protected_entries(&members, by_uid).await
    }

    /// The DNs of the entries below this one.
    pub(crate) async fn dns_below(&mut self, target: &Target) -> Result<Vec<Dn>, Error> {
        Ok(self.below(target).await?.dns)
    }

    async fn below(&mut self, target: &Target) -> Result<Below, Error> {
        let attributes: Vec<String> = facts::names(self.flavour()).iter().map(|name| (*name).to_owned()).collect();
        let query = Query {
            base_dn: &target.text,
            scope: Scope::Subtree,
            filter: "(objectClass=*)",
            attributes: &attributes,
            page_size: 100,
        };
        let never = CancellationToken::new();
        let mut found: Vec<(Dn, Values)> = Vec::new();
        let mut search = PagedSearch::new(&mut self.session.connection, query, &never);
        while let Some(batch) = search.next().await? {
            for message in batch.iter().filter(|message| !is_reference(message)) {
                let Ok(entry) = RawEntry::parse(message) else { continue };
                let Ok(dn) = Dn::parse(entry.dn()) else { continue };
                if dn != target.dn && found.len() <= MOST_BELOW {
                    found.push((dn, Values::read(entry)?));
                }
            }
        }
        drop(search);
        if found.len() > MOST_BELOW {
            return Err(Failure::Protected { reason: "more than 500 entries lie below it" }.into());
        }
        let mut below = Below::default();
        for (dn, values) in found {
            if protection(&self.facts(&dn, &values)).is_some() {
                return Err(Failure::Protected { reason: "an entry below it is never written" }.into());
            }
            below.by_uid.extend(values.text("uid").map(|uid| filter::equals("memberUid", uid.as_bytes())));
            below.dns.push(dn);
        }
        Ok(below)
    }
}
