//! Groups of the organization, and their members.

use std::collections::HashMap;

use super::access::{Access, Services};
use super::actor::Actor;
use super::error::{Error, Result};
use super::pages::{Listed, listed, uncounted};
use super::resolve;
use super::rights::Right;
use super::search::Search;
use crate::records::{
    Account, DeletedGroup, GroupId, GroupRow, IdentityFilter, Member, Page, PageRequest, PendingChange,
};

/// Read access to groups.
#[derive(Debug)]
pub struct Groups<'s>(Access<'s>);

/// A page of groups.
#[derive(Debug)]
pub struct ListedGroups {
    /// The groups.
    pub listed: Listed<GroupRow>,
    /// The names of the directories that each of them comes from.
    pub directories: HashMap<GroupId, Vec<String>>,
}

impl Services {
    /// Opens the groups.
    pub fn groups<'s>(&'s self, actor: &'s Actor) -> Result<Groups<'s>> {
        self.open(actor, Right::ReadPeople).map(Groups)
    }
}

impl Groups<'_> {
    /// Groups by name, optionally those whose name starts with a text.
    pub async fn list(&self, search: &Search, filter: IdentityFilter, request: &PageRequest) -> Result<ListedGroups> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let page = store.list_groups_where(organization, search.text(), filter, request).await?;
        let listed = listed(request, page, store.total_groups(organization, search.text(), filter)).await?;
        self.with_directories(listed).await
    }

    /// The group of this id or name, with its accounts.
    pub async fn get(&self, named: &str) -> Result<(GroupRow, Vec<Account>)> {
        let group = self.find(named).await?;
        let accounts = self.0.store().accounts_of(self.0.organization(), group.id.as_uuid()).await?;
        Ok((group, accounts))
    }

    /// The group with this id or name. A group of another organization does not exist.
    pub async fn find(&self, named: &str) -> Result<GroupRow> {
        let id = resolve::group(self.0, named).await?;
        let found = self.0.store().get_group(self.0.organization(), id).await?;
        found.ok_or_else(|| Error::no("group"))
    }

    /// The members of a group that [`Groups::find`] has found, directly or through nested groups. A page may be short and
    /// not be the last.
    pub async fn effective_members(&self, group: GroupId, request: &PageRequest) -> Result<Listed<Member>> {
        let page = self.0.store().list_effective_members(self.0.organization(), group, request).await?;
        Ok(uncounted(request, page))
    }

    /// The groups that a user is a member of; with `effective`, also through nested groups.
    pub async fn of_user(&self, user: &str, effective: bool, request: &PageRequest) -> Result<ListedGroups> {
        let id = resolve::user(self.0, user).await?;
        let (store, organization) = (self.0.store(), self.0.organization());
        let user = store.get_owned_user(organization, id).await?.ok_or_else(|| Error::no("user"))?.row;
        let page = if effective {
            store.list_effective_groups(organization, user.id.as_uuid(), request).await?
        } else {
            store.groups_of(organization, user.id.as_uuid(), request).await?
        };
        self.with_directories(uncounted(request, page)).await
    }

    async fn with_directories(&self, listed: Listed<GroupRow>) -> Result<ListedGroups> {
        let ids: Vec<GroupId> = listed.page.items.iter().map(|group| group.id).collect();
        let directories = self.0.store().directories_of_groups(self.0.organization(), &ids).await?;
        Ok(ListedGroups { listed, directories: directories.into_iter().collect() })
    }

    /// The members that a directory was asked to add or to remove, and that it has not changed yet or has refused to.
    pub async fn pending(&self, group: GroupId) -> Result<Vec<PendingChange>> {
        Ok(self.0.store().pending_of(self.0.organization(), group.as_uuid()).await?)
    }

    /// Deleted groups that can be restored.
    pub async fn deleted(&self, request: &PageRequest) -> Result<Page<DeletedGroup>> {
        Ok(self.0.store().list_deleted_groups(self.0.organization(), request).await?)
    }

    /// The direct members of a group that [`Groups::find`] has found.
    pub async fn members(&self, group: GroupId, request: &PageRequest) -> Result<Listed<Member>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let page = store.list_group_members(organization, group, request).await?;
        listed(request, page, store.total_group_members(organization, group)).await
    }
}
