//! Finds and reads the directories of an organization, of which there are few.

use super::access::Access;
use super::error::{Error, Message, Result};
use super::resolve;
use crate::records::{Directory, DirectoryId, PageRequest};

/// Directories that are read together.
const PAGE: u32 = 1_000;

/// The directory with this name, display name or id.
pub(super) async fn find(access: Access<'_>, named: &str) -> Result<Directory> {
    let id = resolve::directory(access, named).await?;
    let found = access.store().get_directory(access.organization(), id).await?;
    found.filter(|directory| directory.deleted_at.is_none()).ok_or_else(|| {
        Error::NotFound(
            Message::new(format!("There is no directory {named:?}.")).cure(
                "`postern directories list` shows them; a directory appears when an agent that serves it connects.",
            ),
        )
    })
}

/// The same, for the filter of a list.
pub(super) async fn wanted(access: Access<'_>, named: Option<&str>) -> Result<Option<DirectoryId>> {
    match named {
        Some(named) => Ok(Some(find(access, named).await?.id)),
        None => Ok(None),
    }
}

/// The one directory, or all of the organization.
pub(super) async fn one_or_all(access: Access<'_>, one: Option<DirectoryId>) -> Result<Vec<DirectoryId>> {
    match one {
        Some(one) => Ok(vec![one]),
        None => Ok(all(access).await?.into_iter().map(|directory| directory.id).collect()),
    }
}

/// All directories of the organization.
pub(super) async fn all(access: Access<'_>) -> Result<Vec<Directory>> {
    let (mut request, mut directories) = (PageRequest::first(PAGE), Vec::new());
    loop {
        let page = access.store().list_directories(access.organization(), &request).await?;
        directories.extend(page.items);
        match page.next {
            Some(next) => request = PageRequest::after(next, PAGE),
            None => return Ok(directories),
        }
    }
}
