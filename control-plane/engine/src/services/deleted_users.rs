//! The answer about a user that was deleted: when, by whom, and how to restore it.

use postern_runtime::plain::quoted;

use super::access::Access;
use super::error::{Error, Message, Result};
use super::resolve;
use crate::records::UserId;

/// The user that this text means.
pub(super) async fn resolve(access: Access<'_>, text: &str) -> Result<UserId> {
    match resolve::user(access, text).await {
        Err(Error::NotFound(message)) => Err(explained(access, text.trim(), message).await?),
        found => found,
    }
}

/// The user that this text means, or the deleted one that had this name.
pub(super) async fn resolve_all(access: Access<'_>, text: &str) -> Result<UserId> {
    match resolve::user(access, text).await {
        Err(Error::NotFound(message)) => {
            let deleted = access.store().find_deleted_user(access.organization(), text.trim()).await?;
            deleted.map(|deleted| deleted.id).ok_or(Error::NotFound(message))
        }
        found => found,
    }
}

/// Why there is no such user.
pub(super) async fn explained(access: Access<'_>, text: &str, message: Message) -> Result<Error> {
    let (store, organization) = (access.store(), access.organization());
    let found = match text.parse::<UserId>() {
        Ok(id) => store.get_deleted_user(organization, id).await?,
        Err(_) => store.find_deleted_user(organization, text).await?,
    };
    let Some(deleted) = found else { return Ok(Error::NotFound(message)) };
    let text = format!(
        "The user {} was deleted at {} by {}.",
        quoted(&deleted.user_name),
        deleted.deleted_at,
        deleted.deleted_by
    );
    Ok(Error::NotFound(Message::new(text).cure(format!("`postern users restore {}` restores it.", deleted.id))))
}
