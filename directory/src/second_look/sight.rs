//! What is looked for a second time, and what is found.

use crate::error::Phase;
use crate::flavour::external_id;
use crate::raw_entry::RawEntry;

/// An entry that was known and did not come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sought {
    /// What it was.
    pub phase: Phase,
    /// Its external id.
    pub external_id: String,
    /// Its last known DN; may be empty.
    pub last_dn: String,
}

/// What the second look found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    /// It is there and should have come: the enumeration was cut.
    InScope,
    /// It is there, outside of base DN, scope or filter.
    LeftScope,
    /// The same, and the directory does not let the user in.
    LeftScopeDisabled,
    /// It is not there, and its last place can be read.
    Absent,
    /// Unknown: it cannot be seen whether it is there.
    NotVisible(NotVisible),
}

/// Why it cannot be seen whether an entry is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotVisible {
    /// An entry has its name, and which one it is cannot be read.
    NoExternalId,
    /// A referral stands in its place.
    Referral,
    /// Its container is there and cannot be read.
    ContainerUnreadable,
    /// Its container is not found. This server does not distinguish deleted containers from hidden ones.
    ContainerNotFound,
    /// Its container has more entries than can be seen.
    HiddenChildren,
    /// The server does not answer for this part of the directory.
    Unavailable,
}

pub(super) fn external_id_of(entry: &RawEntry<'_>, attributes: &[&str]) -> Option<String> {
    attributes.iter().find_map(|attribute| external_id(attribute, entry.values_of(attribute).ok()?.first()?))
}
