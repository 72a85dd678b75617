//! One operation under way: the connection, the configuration, and who has a say.

use std::sync::atomic::AtomicBool;

use super::gate::Gate;
use super::session::Session;
use crate::config::{DirectoryConfig, WriteConfig};
use crate::connection::Servers;
use crate::error::{Error, Phase};
use crate::failure::Failure;
use crate::flavour::Flavour;
use crate::sections::{Section, external_id_attributes};
use postern_dn::Dn;

/// One operation under way.
pub(crate) struct Work<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) servers: &'a Servers,
    pub(crate) config: &'a DirectoryConfig,
    pub(crate) write: &'a WriteConfig,
    pub(crate) gate: &'a dyn Gate,
    pub(crate) phase: Phase,
    /// Something of this operation was sent before, and the connection broke.
    pub(crate) again: bool,
    /// The site has permitted the operation; a repetition does not count as another one.
    pub(crate) permitted: &'a AtomicBool,
}

impl<'a> Work<'a> {
    pub(crate) fn flavour(&self) -> Flavour {
        self.session.root.flavour()
    }

    pub(crate) fn is_active_directory(&self) -> bool {
        self.flavour() == Flavour::ActiveDirectory
    }

    /// The section of the configuration in which an import would find entries of this kind.
    pub(crate) fn section(&self, phase: Phase) -> Option<Section<'a>> {
        match phase {
            Phase::Users => Some(Section::users(self.config, self.flavour(), &self.session.names)),
            Phase::Groups => Section::groups(self.config, self.flavour(), &self.session.names, false),
        }
    }

    /// The attributes that may hold the external id.
    pub(crate) fn external_ids(&self, phase: Phase) -> Vec<String> {
        external_id_attributes(self.config, self.flavour(), phase).into_iter().map(str::to_owned).collect()
    }

    /// Where entries of a kind are: the base DNs of the import and the container of new ones.
    pub(crate) fn bases(&self, phase: Phase) -> Vec<String> {
        let (read, new) = match phase {
            Phase::Users => (Some(&self.config.users.base_dns), &self.write.user_container),
            Phase::Groups => (self.config.group_entries().map(|groups| &groups.base_dns), &self.write.group_container),
        };
        let mut bases = read.cloned().unwrap_or_default();
        bases.extend(new.iter().filter(|new| !is_below_one(new, &bases)).cloned().collect::<Vec<_>>());
        bases
    }

    /// The container that an operation means: relative to the configured one, or absolute if it lies in this directory.
    pub(crate) fn container(&self, named: Option<&str>) -> Result<Dn, Error> {
        let (key, configured) = match self.phase {
            Phase::Users => ("user_container", &self.write.user_container),
            Phase::Groups => ("group_container", &self.write.group_container),
        };
        let parsed =
            named.map(|named| Dn::parse(named).map_err(|error| Failure::invalid("container", error.to_string())));
        let parsed = parsed.transpose()?.filter(|dn| !dn.is_root());
        let roots = self.session.root.naming_contexts.iter().chain(self.config.users.base_dns.iter());
        if let Some(dn) = &parsed
            && roots.filter_map(|root| Dn::parse(root).ok()).any(|root| !root.is_root() && dn.is_within(&root))
        {
            return Ok(dn.clone());
        }
        let setting = Failure::Setting { key, cure: "name the container of new entries there, by its DN" };
        let configured = configured.as_ref().and_then(|text| Dn::parse(text).ok()).ok_or(setting)?;
        Ok(parsed.map_or(configured.clone(), |relative| relative.below(&configured)))
    }
}

fn is_below_one(dn: &str, bases: &[String]) -> bool {
    let Ok(dn) = Dn::parse(dn) else { return true };
    bases.iter().any(|base| Dn::parse(base).is_ok_and(|base| dn.is_within(&base)))
}
