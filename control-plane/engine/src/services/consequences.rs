//! What a change of users and groups would do to accounts in directories, counted before it is done.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::access::{Access, Services};
use super::actor::Actor;
use super::assigned_groups::read;
use super::error::{Error, Result};
use super::rights::Right;
use super::{deleted_users, members, resolve};
use crate::provisioning::leaving;
use crate::provisioning::settings::{Leaving, LeavingThen, Settings};
use crate::records::{GroupId, MemberIdentity, PageRequest, Provisioning};

/// The most users of a group that are counted.
const MOST_USERS: usize = 10_000;
/// Members that are read at a time.
const AT_A_TIME: u32 = 1_000;
/// The most groups above a group that are looked at.
const MOST_GROUPS: u32 = 1_000;

/// What somebody is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// Delete a user.
    DeleteUser(String),
    /// Disable a user.
    DisableUser(String),
    /// Delete a group.
    DeleteGroup(String),
    /// Remove members from a group.
    RemoveMembers {
        /// The group.
        group: String,
        /// The members. `None`: any of them.
        members: Option<Vec<String>>,
    },
}

/// What it would do in one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consequence {
    /// The directory, by name.
    pub directory: String,
    /// How many users would lose their accounts there, at most.
    pub accounts: u64,
    /// Whether there are more users than are counted.
    pub more: bool,
    /// What becomes of the accounts.
    pub becomes: Leaving,
    /// What else becomes of them.
    pub then: LeavingThen,
    /// How many of them at once. The others wait for an administrator.
    pub at_once: u64,
    /// Whether the directory gets the group itself.
    pub has_group: bool,
    /// Whether nothing is sent there for now.
    pub paused: bool,
}

/// Consequences, for somebody who may see what directories get.
#[derive(Debug)]
pub struct Consequences<'s>(Access<'s>);

/// Users who may lose their accounts.
#[derive(Default)]
struct Losers {
    users: BTreeSet<Uuid>,
    more: bool,
}

impl Services {
    /// Opens what changes would do in directories.
    pub fn consequences<'s>(&'s self, actor: &'s Actor) -> Result<Consequences<'s>> {
        self.open(actor, Right::ReadDirectories).map(Consequences)
    }
}

impl Consequences<'_> {
    /// What a change would do in each directory that it concerns.
    pub async fn of(&self, planned: &Planned) -> Result<Vec<Consequence>> {
        let (access, organization) = (self.0, self.0.organization());
        let all = access.store().list_provisioning(organization).await?;
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let (group, losers) = match planned {
            Planned::DeleteUser(user) | Planned::DisableUser(user) => (
                None,
                Losers { users: BTreeSet::from([deleted_users::resolve(access, user).await?.as_uuid()]), more: false },
            ),
            Planned::DeleteGroup(group) | Planned::RemoveMembers { group, members: None } => {
                let group = resolve::group(access, group).await?;
                (Some(group), self.users_of(group).await?)
            }
            Planned::RemoveMembers { group, members: Some(named) } => {
                (Some(resolve::group(access, group).await?), self.users_among(named).await?)
            }
        };
        let above = match group {
            Some(group) => self.with_those_above(group).await?,
            None => BTreeSet::new(),
        };
        let mut found = Vec::new();
        for provisioning in all {
            let settings = read(&provisioning)?;
            let concerned = group.is_none() || settings.assigned_groups().iter().any(|group| above.contains(group));
            let has_group = group.is_some_and(|group| settings.groups.contains(&group.as_uuid()));
            if concerned || has_group {
                let losers = if concerned { &losers } else { &Losers::default() };
                found.extend(self.in_one(planned, &provisioning, &settings, losers, has_group).await?);
            }
        }
        Ok(found)
    }

    async fn in_one(
        &self,
        planned: &Planned,
        provisioning: &Provisioning,
        settings: &Settings,
        losers: &Losers,
        has_group: bool,
    ) -> Result<Option<Consequence>> {
        let (store, organization, target) = (self.0.store(), provisioning.organization, provisioning.target);
        let Some(directory) = store.get_directory(organization, target.directory()).await? else { return Ok(None) };
        let disabled = matches!(planned, Planned::DisableUser(_));
        let users: Vec<Uuid> = losers.users.iter().copied().collect();
        let accounts = store.with_account_in(organization, target, &users, !disabled).await?.len() as u64;
        if accounts == 0 && !has_group {
            return Ok(None);
        }
        let (becomes, then, at_once) = if disabled {
            let becomes = if settings.switches.enable_disable_users { Leaving::Disable } else { Leaving::Keep };
            // Who is locked out does not wait.
            (becomes, LeavingThen::default(), u64::MAX)
        } else {
            let (becomes, then) = (settings.becomes(), settings.also_becomes());
            (becomes, then, leaving::room(store, provisioning, settings, self.0.now()).await?)
        };
        Ok(Some(Consequence {
            directory: directory.name,
            accounts,
            more: losers.more,
            becomes,
            then,
            at_once: at_once.min(accounts),
            has_group,
            paused: provisioning.paused,
        }))
    }

    /// The group and those that it is within.
    async fn with_those_above(&self, group: GroupId) -> Result<BTreeSet<Uuid>> {
        let page = PageRequest::first(MOST_GROUPS);
        let above = self.0.store().list_effective_groups(self.0.organization(), group.as_uuid(), &page).await?;
        Ok(above.items.iter().map(|group| group.id.as_uuid()).chain([group.as_uuid()]).collect())
    }

    async fn users_of(&self, group: GroupId) -> Result<Losers> {
        let mut losers = Losers::default();
        let mut page = PageRequest::first(AT_A_TIME);
        loop {
            let found = self.0.store().list_effective_members(self.0.organization(), group, &page).await?;
            losers.users.extend(found.items.iter().filter_map(|member| match &member.identity {
                Some(MemberIdentity::User { id, .. }) => Some(id.as_uuid()),
                _ => None,
            }));
            let Some(next) = found.next else { return Ok(losers) };
            if losers.users.len() >= MOST_USERS {
                losers.more = true;
                return Ok(losers);
            }
            page.after = Some(next);
        }
    }

    /// The users of these names, and those within groups of these names. Names that mean nobody are left out.
    async fn users_among(&self, named: &[String]) -> Result<Losers> {
        if named.len() > members::MAX_CHANGES {
            return Err(Error::field("members", format!("at most {} can be named", members::MAX_CHANGES)));
        }
        let mut losers = Losers::default();
        for text in named {
            let id = match members::member(self.0, text).await {
                Ok(id) => id,
                Err(Error::NotFound(_) | Error::Ambiguous { .. }) => continue,
                Err(error) => return Err(error),
            };
            losers.users.insert(id);
            if self.0.store().get_group(self.0.organization(), GroupId::from_uuid(id)).await?.is_some() {
                let within = self.users_of(GroupId::from_uuid(id)).await?;
                losers.more |= within.more || losers.users.len() >= MOST_USERS;
                losers.users.extend(within.users.into_iter().take(MOST_USERS));
            }
        }
        Ok(losers)
    }
}
