//! One operation under way: the connection, the configuration, and who has a say.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::container::container;
use super::gate::Gate;
use super::session::Session;
use crate::config::{DirectoryConfig, WriteConfig};
use crate::connection::Servers;
use crate::error::{Error, Phase};
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
    /// The place of the name that was tried last, if a new entry has several.
    pub(crate) chosen: &'a AtomicUsize,
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

    /// The container that an operation means.
    pub(crate) fn container(&self, named: Option<&str>) -> Result<Dn, Error> {
        Ok(container(self.write, self.phase, named)?)
    }
}

fn is_below_one(dn: &str, bases: &[String]) -> bool {
    let Ok(dn) = Dn::parse(dn) else { return true };
    bases.iter().any(|base| Dn::parse(base).is_ok_and(|base| dn.is_within(&base)))
}
