//! A server that has no index for the external id may refuse every search for it. Then the bases are read once more, for
//! the external ids alone: who is in them should have come, and who is not is looked for by its last DN.

use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::session::Session;
use super::sight::external_id_of;
use crate::config::DirectoryConfig;
use crate::connection::Connection;
use crate::error::{Error, Phase, Step};
use crate::guard::is_reference;
use crate::kinds::{self, Kind};
use crate::raw_entry::RawEntry;
use crate::search::{PagedSearch, Query};
use crate::sections::{Section, external_id_attributes};

/// Ids that are remembered, eight bytes each. With more, nobody can be said to be gone.
const MOST_IDS: usize = 2_000_000;

/// Whether a search was refused for the work that it makes: the limits of time, size and administration, and unwilling.
pub(crate) fn is_refused_as_costly(error: &Error) -> bool {
    matches!(error, Error::Refused { code: 3 | 4 | 11 | 53, .. } | Error::Timeout { step: Step::Search, .. })
}

/// What to do about it. The names of attributes are no secret.
pub(crate) fn index_cure(attribute: &str) -> String {
    format!(
        "add an equality index for {attribute} (OpenLDAP: index {attribute} eq, then slapindex; 389 Directory Server: \
         dsconf INSTANCE backend index add --attr {attribute} --index-type eq --reindex BACKEND; Active Directory: bit 1 of \
         searchFlags in the attribute's schema entry)"
    )
}

/// The external ids in the bases.
pub(super) struct SecondReading {
    /// In order.
    ids: Vec<u64>,
    hasher: RandomState,
    /// Whether nothing points to entries that were not read.
    whole: bool,
}

impl SecondReading {
    /// Reads the bases of a kind of entries. An import just had `expected` of them: with fewer, the reading was cut.
    pub(super) async fn of(
        session: &mut Session,
        config: &DirectoryConfig,
        phase: Phase,
        expected: u64,
    ) -> Result<Self, Error> {
        let Session { connection, root, names, .. } = session;
        let flavour = root.flavour();
        let mut reading = Self { ids: Vec::new(), hasher: RandomState::new(), whole: true };
        let section = match phase {
            Phase::Users => Some(Section::users(config, flavour, names)),
            Phase::Groups => Section::groups(config, flavour, names, false),
        };
        // Groups are not read any more: none of them is in scope.
        let Some(section) = section else { return Ok(reading) };
        let ids = external_id_attributes(config, flavour, phase);
        let kinds = kinds::attributes(flavour, phase).iter();
        let attributes: Vec<String> = ids.iter().chain(kinds).map(|name| (*name).to_owned()).collect();
        for base_dn in section.base_dns {
            let query = Query {
                base_dn,
                scope: section.scope,
                filter: &section.filter,
                attributes: &attributes,
                page_size: config.page_size,
            };
            let external_id = |message: &Bytes| {
                let Ok(entry) = RawEntry::parse(message) else { return Some(None) };
                let left_out = Kind::of(flavour, message, entry.dn()).left_out(config.include_builtin);
                left_out.is_none().then(|| external_id_of(&entry, &ids))
            };
            reading.read(connection, query, external_id).await?;
        }
        for base_dn in section.base_dns {
            match connection.read_object(base_dn, "(objectClass=*)", &["1.1".to_owned()], Step::Search).await {
                Ok(_) => {}
                Err(Error::Refused { .. }) => reading.whole = false,
                Err(error) => return Err(error),
            }
        }
        reading.whole &= reading.ids.len() as u64 >= expected;
        reading.ids.sort_unstable();
        Ok(reading)
    }

    /// Reads one base. `external_id` says nothing of an entry that an import leaves out.
    async fn read(
        &mut self,
        connection: &mut Connection,
        query: Query<'_>,
        external_id: impl Fn(&Bytes) -> Option<Option<String>>,
    ) -> Result<(), Error> {
        let never = CancellationToken::new();
        let mut search = PagedSearch::new(connection, query, &never);
        loop {
            match search.next().await {
                Ok(Some(batch)) => {
                    let entries = batch.iter().filter(|message| !is_reference(message));
                    entries.filter_map(&external_id).for_each(|id| self.note(id));
                }
                Ok(None) => return Ok(()),
                Err(Error::Refused { .. } | Error::NoPaging) => {
                    self.whole = false;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn note(&mut self, external_id: Option<String>) {
        match external_id {
            Some(id) if self.ids.len() < MOST_IDS => self.ids.push(self.hasher.hash_one(&id)),
            _ => self.whole = false,
        }
    }

    /// Whether it has this external id.
    pub(super) fn has(&self, external_id: &str) -> bool {
        self.ids.binary_search(&self.hasher.hash_one(external_id)).is_ok()
    }

    /// Whether who is not in it can be somewhere else only.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }
}
