//! The organization and directory of an import.

use postern_store::{Directory, DirectoryId, Flavour, OrganizationId};

/// The organization and directory that entries belong to.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The organization.
    pub organization: OrganizationId,
    /// The directory.
    pub directory: DirectoryId,
    /// Its flavour.
    pub flavour: Flavour,
}

impl Place {
    /// The place of a directory.
    pub fn of(directory: &Directory) -> Self {
        Self { organization: directory.organization, directory: directory.id, flavour: directory.flavour }
    }
}
