//! Entries that have what a new one is to have. They are searched before the new one is sent: most directories keep no
//! attribute unique by themselves, and those that do refuse without saying by whom.

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::new_entry::{NewEntry, PRINCIPAL};
use super::target::Target;
use super::work::Work;
use crate::config::Scope;
use crate::error::Error;
use crate::failure::{Failure, Refusal};
use crate::filter;
use crate::guard::is_reference;
use crate::raw_entry::RawEntry;
use crate::search::{PagedSearch, Query};

/// entryAlreadyExists
const EXISTS: u32 = 68;
/// Read of an entry that may be the one that was to be created, to see whether it is finished.
const STATE: &[&str] = &["userAccountControl", "pwdLastSet"];

impl Work<'_> {
    /// The entry that has the attribute by which a new one would be known.
    pub(crate) async fn with_unique(&mut self, new: &NewEntry) -> Result<Option<Target>, Error> {
        for (place, (attribute, value)) in new.unique.iter().enumerate() {
            let found = self.search(&filter::equals(attribute, value), 2).await?;
            match (place, found.as_slice()) {
                (_, []) => {}
                (0, [dn]) => {
                    let names: Vec<&str> = new.names().into_iter().chain(STATE.iter().copied()).collect();
                    return self.read(dn, &names).await;
                }
                (0, _) => return Err(Failure::Ambiguous { attribute: attribute.clone() }.into()),
                _ => return Err(Failure::Taken { what: attribute.clone() }.into()),
            }
        }
        Ok(None)
    }

    /// What a new entry was refused for, where nobody is found who has one of its unique values.
    pub(crate) async fn clash(&mut self, new: &NewEntry, refusal: Refusal) -> Result<Failure, Error> {
        let what = match refusal.taken() {
            Some(attribute) => attribute,
            None if refusal.code != EXISTS => return Ok(Failure::Refused(refusal)),
            // Every login is a principal name too, by its domain: somebody else's may be meant.
            None if self.read(&new.dn.to_string(), &[]).await?.is_none() && new.has(PRINCIPAL) => PRINCIPAL,
            None => "name",
        };
        Ok(Failure::Taken { what: what.to_owned() })
    }

    /// Whether an entry is in every way what was to be created.
    pub(crate) fn is_equal(&self, new: &NewEntry, existing: &Target) -> bool {
        let schema = &self.session.schema;
        let of = |name: &str| existing.values.of(schema, name);
        let has = |(name, wanted): &(String, Vec<Bytes>)| {
            if name.eq_ignore_ascii_case("objectClass") {
                // Servers add the superior classes.
                wanted.iter().all(|class| of(name).iter().any(|known| known.eq_ignore_ascii_case(class)))
            } else {
                self.is_same(name, schema.rule(name), of(name), wanted)
            }
        };
        existing.dn.case_folded() == new.dn.case_folded() && new.attributes.iter().all(has)
    }

    /// The DNs of entries that match, where entries of this kind are. Active Directory keeps names unique in the whole
    /// domain.
    pub(crate) async fn search(&mut self, filter: &str, limit: usize) -> Result<Vec<String>, Error> {
        let bases = match &self.session.root.default_naming_context {
            Some(domain) if self.is_active_directory() => vec![domain.clone()],
            _ => self.bases(self.phase),
        };
        let attributes = ["1.1".to_owned()];
        let never = CancellationToken::new();
        let mut found = Vec::new();
        for base_dn in &bases {
            let query = Query { base_dn, scope: Scope::Subtree, filter, attributes: &attributes, page_size: 100 };
            let mut search = PagedSearch::new(&mut self.session.connection, query, &never);
            while let Some(batch) = search.next().await? {
                for message in batch.iter().filter(|message| !is_reference(message)) {
                    let entry = RawEntry::parse(message).ok();
                    found.extend(entry.filter(|_| found.len() < limit).map(|entry| entry.dn().to_owned()));
                }
            }
        }
        Ok(found)
    }
}
