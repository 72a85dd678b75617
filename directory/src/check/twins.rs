//! Two users of one external id: an import would take them for one, so that each overwrote the other.

use super::sample::Sample;
use super::{Diagnosis, Finding, State};
use crate::connection::Servers;
use crate::error::Error;
use crate::flavour::Flavour;
use crate::judge::Judge;
use crate::names::Names;
use crate::sections::Section;
use crate::{filter, lookup};

impl Diagnosis<'_> {
    /// What is wrong where some of the users looked at share their external id with others; `None`: nothing.
    pub(super) async fn twins(
        &self,
        servers: &Servers,
        section: &Section<'_>,
        flavour: Flavour,
        names: &Names,
        sample: &Sample,
    ) -> Result<Option<Finding>, Error> {
        // An attribute of the server's own making has no value twice.
        let Some(attribute) = self.config.external_id_attribute.as_deref() else { return Ok(None) };
        let mut connection = servers.open().await?;
        let mut judge = Judge::new(self.config, flavour, names);
        for (dn, id) in &sample.ids {
            let condition = filter::equals(attribute, id.as_bytes());
            if lookup::count(&mut connection, &mut judge, section, &condition, 2).await? > 1 {
                let detail = format!("several users have the same external id ({attribute})");
                let local = format!("{detail}: {id} of {dn} and of others");
                let cure = "make the values of that attribute unique, or leave external_id_attribute out";
                return Ok(Some(Finding::new(State::Failed, detail).locally(local).cured_by(cure)));
            }
        }
        Ok(None)
    }
}
