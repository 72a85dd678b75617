//! The external id as an import uses it: two users who have the same one would overwrite each other, and who is missing
//! is searched for by it.

use super::sample::Sample;
use super::{CheckState, Diagnosis, Finding};
use crate::connection::Servers;
use crate::error::Error;
use crate::flavour::external_id_filter;
use crate::judge::Judge;
use crate::names::Names;
use crate::root_dse::RootDse;
use crate::second_look::{everywhere, index_cure, is_refused_as_costly};
use crate::sections::{Section, external_id_attribute};
use crate::{filter, lookup};

impl Diagnosis<'_> {
    /// What is wrong where some of the users looked at share their external id with others; `None`: nothing.
    pub(super) async fn twins(
        &self,
        servers: &Servers,
        section: &Section<'_>,
        root: &RootDse,
        names: &Names,
        sample: &Sample,
    ) -> Result<Option<Finding>, Error> {
        let Some((_, first)) = sample.ids.first() else { return Ok(None) };
        let mut connection = servers.open().await?;
        let attribute = external_id_attribute(self.config, root.flavour());
        let condition = external_id_filter(attribute, first);
        let bases = &self.config.users.base_dns;
        if let Err(error) = everywhere(&mut connection, root, bases, &condition, &[attribute]).await {
            if !is_refused_as_costly(&error) {
                return Err(error);
            }
            let detail = format!("the server refuses to search for an external id ({attribute})");
            return Ok(Some(
                Finding::new(CheckState::Warned, detail).locally(error.to_string()).cured_by(index_cure(attribute)),
            ));
        }
        // An attribute of the server's own making has no value twice.
        if self.config.external_id_attribute.is_none() {
            return Ok(None);
        }
        let mut judge = Judge::new(self.config, root.flavour(), names);
        for (dn, id) in &sample.ids {
            let condition = filter::equals(attribute, id.as_bytes());
            if lookup::count(&mut connection, &mut judge, section, &condition, 2).await? > 1 {
                let detail = format!("several users have the same external id ({attribute})");
                let local = format!("{detail}: {id} of {dn} and of others");
                let cure = "make the values of that attribute unique, or leave external_id_attribute out";
                return Ok(Some(Finding::new(CheckState::Failed, detail).locally(local).cured_by(cure)));
            }
        }
        Ok(None)
    }
}
