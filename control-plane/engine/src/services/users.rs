//! Users of the organization.

use super::access::{Access, Services};
use super::actor::Actor;
use super::deleted_users;
use super::error::{Error, Message, Result};
use super::managers::{self, Manager};
use super::pages::{Listed, listed, uncounted};
use super::resolve;
use super::rights::Right;
use super::search::Search;
use super::sources::{self, Sources};
use crate::records::{
    Account, DeletedUser, GroupId, GroupRow, OwnedUser, Page, PageRequest, PendingChange, UserFilter, UserId, UserRow,
    UserSource,
};

/// Names the organization itself as the source of users.
const ORGANIZATION: &str = "organization";
/// Most groups shown with a user.
const MAX_GROUPS: u32 = 1_000;

/// Read access to users.
#[derive(Debug)]
pub struct Users<'s>(Access<'s>);

/// A user with accounts and groups.
#[derive(Clone, Debug)]
pub struct WholeUser {
    /// The user.
    pub user: OwnedUser,
    /// Which of its values come from a directory.
    pub sources: Sources,
    /// Their accounts.
    pub accounts: Vec<Account>,
    /// Their manager.
    pub manager: Option<Manager>,
    /// The groups that they are a direct member of; at most a thousand.
    pub groups: Vec<GroupRow>,
    /// The fields that a directory was asked to change and has not changed yet, or has refused to.
    pub pending: Vec<PendingChange>,
}

impl Services {
    /// Opens the users.
    pub fn users<'s>(&'s self, actor: &'s Actor) -> Result<Users<'s>> {
        self.open(actor, Right::ReadPeople).map(Users)
    }
}

impl Users<'_> {
    /// Users whose user name, display name or address starts with a text, and that a filter selects; see
    /// [`Store::filter_users`](postern_store::Store::filter_users) for their order.
    pub async fn list(&self, search: &Search, filter: &UserFilter, request: &PageRequest) -> Result<Listed<UserRow>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let page = store.filter_users(organization, search.text(), filter, request).await?;
        if !filter.is_by_fields() {
            return Ok(uncounted(request, page));
        }
        listed(request, page, store.total_users(organization, search.text(), filter.fields)).await
    }

    /// The source that this text names: `organization`, or a directory.
    pub async fn source(&self, text: &str) -> Result<UserSource> {
        if text == ORGANIZATION {
            return Ok(UserSource::Organization);
        }
        resolve::directory(self.0, text).await.map(UserSource::Directory)
    }

    /// The group that this text names.
    pub async fn group(&self, text: &str) -> Result<GroupId> {
        resolve::group(self.0, text).await
    }

    /// Deleted users that can be restored.
    pub async fn deleted(&self, request: &PageRequest) -> Result<Page<DeletedUser>> {
        Ok(self.0.store().list_deleted_users(self.0.organization(), request).await?)
    }

    /// The user with this id, user name, display name or address.
    pub async fn get(&self, named: &str) -> Result<WholeUser> {
        let id = deleted_users::resolve(self.0, named).await?;
        let (store, organization) = (self.0.store(), self.0.organization());
        // First: if nothing is pending, the values that are read next are those after the change.
        let pending = store.pending_of(organization, id.as_uuid()).await?;
        let Some(user) = store.get_owned_user(organization, id).await? else {
            return Err(match no_user(self.0, id).await? {
                Error::NotFound(message) => deleted_users::explained(self.0, named, message).await?,
                other => other,
            });
        };
        let sources = sources::of(self.0, id).await?;
        let groups = store.groups_of(organization, id.as_uuid(), &PageRequest::first(MAX_GROUPS)).await?;
        let accounts = store.accounts_of(organization, id.as_uuid()).await?;
        let manager = managers::of(self.0, &accounts).await?;
        Ok(WholeUser { user, sources, accounts, manager, groups: groups.items, pending })
    }
}

/// There is no such user; says so if it was merged into another.
pub(super) async fn no_user(access: Access<'_>, id: UserId) -> Result<Error> {
    let Some(merged) = access.store().merged_user(access.organization(), id).await? else {
        return Ok(Error::no("user"));
    };
    let text =
        format!("The user {} was merged into {} at {}, by {}.", merged.user_name, merged.into, merged.at, merged.by);
    let message = Message::new(text).cure(format!("Use the id {} instead.", merged.into));
    Ok(Error::Merged { message, into: merged.into })
}
