//! Where the entries of an import belong.

use postern_store::{Directory, DirectoryId, Flavour, OrganizationId};

/// Where entries belong.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The organization.
    pub organization: OrganizationId,
    /// The directory.
    pub directory: DirectoryId,
    /// Its kind.
    pub flavour: Flavour,
    /// Its accounts may join users who are known from other directories.
    pub joins: bool,
}

impl Place {
    /// The place of a directory.
    pub fn of(directory: &Directory, joins: bool) -> Self {
        Self { organization: directory.organization, directory: directory.id, flavour: directory.flavour, joins }
    }
}
