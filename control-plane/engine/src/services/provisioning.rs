//! What directories get: the settings, what could not be carried out, and the report.

use std::collections::BTreeMap;

use postern_store::Mark;
use serde_json::json;
use uuid::Uuid;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::known_directories::find;
use super::pages::{Listed, uncounted};
use super::rights::Right;
use super::{resolve, versions};
use crate::provisioning::{sensitive::sensitive_fields, settings::Mode, settings::Settings};
use crate::records::{Directory, GroupId, IdentityId, OperationId, PageRequest, Provisioning, TargetId, UserId};

/// What directories get, for somebody who may see it.
#[derive(Debug)]
pub struct ProvisioningView<'s>(Access<'s>);

/// What directories get, for somebody who may change it.
#[derive(Debug)]
pub struct ProvisioningChanges<'s>(Access<'s>);

/// What directories get, for somebody who may have it carried out.
#[derive(Debug)]
pub struct ProvisioningRuns<'s>(Access<'s>);

/// What a directory gets, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The directory.
    pub directory: Directory,
    /// What it gets. `None`: nothing.
    pub saved: Option<Provisioning>,
    /// The settings; those of a directory that gets nothing are all off.
    pub settings: Settings,
    /// How many operations wait for an administrator.
    pub held: u64,
    /// What else there is to know.
    pub state: State,
}

/// How provisioning to a directory goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// How many accounts of users it has made or adopted.
    pub accounts: u64,
    /// How many users and groups wait after failures, to be tried again.
    pub failing: u64,
    /// Why most of them fail.
    pub most_fail_because: Option<String>,
    /// Whether an agent of the directory is connected.
    pub is_connected: bool,
    /// The names of the groups that the settings name. One that was deleted has none.
    pub group_names: BTreeMap<Uuid, String>,
}

impl Standing {
    /// What identifies this version.
    pub fn version(&self) -> (u32, bool) {
        self.saved.as_ref().map_or((0, false), |saved| (saved.revision, saved.paused))
    }
}

/// A user or group whose account could not be changed.
#[derive(Clone, Debug)]
pub struct Failing {
    /// The user or group.
    pub mark: Mark,
    /// Its name. `None`: it was deleted.
    pub name: Option<String>,
}

impl Services {
    /// Opens what directories get.
    pub fn provisioning<'s>(&'s self, actor: &'s Actor) -> Result<ProvisioningView<'s>> {
        self.open(actor, Right::ReadDirectories).map(ProvisioningView)
    }

    /// Opens what directories get, to change it.
    pub fn change_provisioning<'s>(&'s self, actor: &'s Actor) -> Result<ProvisioningChanges<'s>> {
        self.open(actor, Right::ChangeProvisioning).map(ProvisioningChanges)
    }

    /// Opens what directories get, to compare it again.
    pub fn run_provisioning<'s>(&'s self, actor: &'s Actor) -> Result<ProvisioningRuns<'s>> {
        self.open(actor, Right::RunJobs).map(ProvisioningRuns)
    }
}

async fn standing(access: Access<'_>, directory: Directory) -> Result<Standing> {
    let saved = access.store().get_provisioning(access.organization(), directory.id.into()).await?;
    let settings = match &saved {
        Some(saved) => serde_json::from_value(saved.settings.clone())
            .map_err(|error| Error::Internal(postern_store::Error::corrupt(error.to_string())))?,
        None => Settings::default(),
    };
    let held = access.store().count_held(access.organization(), directory.id.into()).await?;
    let state = state(access, &directory, &settings).await?;
    Ok(Standing { directory, saved, settings, held, state })
}

async fn state(access: Access<'_>, directory: &Directory, settings: &Settings) -> Result<State> {
    let (store, organization, target) = (access.store(), access.organization(), TargetId::from(directory.id));
    let (failing, most_fail_because) = store.count_failing(organization, target).await?.unwrap_or_default();
    let mut group_names = BTreeMap::new();
    for id in settings.assigned_groups().iter().chain(&settings.groups) {
        let group = store.get_group(organization, GroupId::from_uuid(*id)).await?;
        group_names.extend(group.map(|group| (*id, group.display_name)));
    }
    Ok(State {
        accounts: store.count_outbound(organization, target).await?,
        failing,
        most_fail_because,
        is_connected: directory.connected(access.now()).next().is_some(),
        group_names,
    })
}

impl ProvisioningView<'_> {
    /// What a directory gets.
    pub async fn get(&self, directory: &str) -> Result<Standing> {
        standing(self.0, find(self.0, directory).await?).await
    }

    /// The users and groups whose accounts in a directory could not be changed, and that are tried again.
    pub async fn failing(&self, directory: &str, page: &PageRequest) -> Result<Listed<Failing>> {
        let directory = find(self.0, directory).await?;
        let (store, organization) = (self.0.store(), self.0.organization());
        let marks = store.failed_marks(organization, directory.id.into(), page).await?;
        let mut items = Vec::with_capacity(marks.items.len());
        for mark in marks.items {
            let name = match mark.identity {
                IdentityId::User(id) => store.get_user(organization, id).await?.map(|user| user.user_name),
                IdentityId::Group(id) => store.get_group(organization, id).await?.map(|group| group.display_name),
            };
            items.push(Failing { mark, name });
        }
        Ok(uncounted(page, postern_store::Page { items, next: marks.next }))
    }
}

impl ProvisioningChanges<'_> {
    /// Saves what a directory gets. `known` is the version that the change is based on.
    pub async fn save(
        &self,
        directory: &str,
        settings: Settings,
        paused: bool,
        known: Option<&str>,
    ) -> Result<Standing> {
        let before = standing(self.0, find(self.0, directory).await?).await?;
        if known.is_some_and(|known| !versions::fits(known, &versions::of(&before.version()))) {
            return Err(outdated(&before));
        }
        let sensitive = sensitive_fields(&self.0.store().attribute_definitions(self.0.organization()).await?);
        let checked = settings.check().and_then(|()| settings.compile()?.knowing(sensitive.into_iter().collect()));
        if let Err((field, reason)) = checked {
            return Err(Error::field(field, reason));
        }
        self.groups(&settings, &before.settings).await?;
        if before.saved.as_ref().is_some_and(|saved| saved.paused == paused) && before.settings == settings {
            return Ok(before);
        }
        let now = self.0.now();
        let revision = before.saved.as_ref().map_or(0, |saved| saved.revision);
        let change = Change::new("provisioning.changed", before.directory.id.as_uuid(), &before.directory.name);
        let change = match &before.saved {
            Some(saved) => change.before(&json!({ "settings": before.settings, "paused": saved.paused })),
            None => change,
        };
        let change = change.after(&json!({ "settings": settings, "paused": paused }));
        let new = Provisioning {
            target: before.directory.id.into(),
            organization: self.0.organization(),
            settings: json!(settings),
            paused,
            revision,
            updated_at: now,
            updated_by: self.0.actor().who.name().to_owned(),
        };
        match self.0.recording(change).save_provisioning(&new, revision).await {
            Ok(saved) => {
                tracing::info!(organization = %saved.organization, by = %self.0.actor().who, target = %saved.target,
                    "provisioning.changed");
                standing(self.0, before.directory).await
            }
            Err(postern_store::Error::Conflict { .. }) => Err(outdated(&before)),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that the groups that settings name newly exist. One that was deleted since stays named, and is nobody.
    async fn groups(&self, settings: &Settings, before: &Settings) -> Result<()> {
        let known = [before.assigned_groups(), before.groups.as_slice()].concat();
        let named = [("assignment.groups", settings.assigned_groups()), ("groups", settings.groups.as_slice())];
        for (field, groups) in named {
            for id in groups.iter().filter(|id| !known.contains(id)) {
                let found = self.0.store().get_group(self.0.organization(), GroupId::from_uuid(*id)).await?;
                if found.is_none() {
                    return Err(Error::field(field, format!("there is no group {id}")));
                }
            }
        }
        Ok(())
    }

    /// Ends provisioning to a directory. Its accounts stay as they are.
    pub async fn remove(&self, directory: &str) -> Result<()> {
        let before = standing(self.0, find(self.0, directory).await?).await?;
        let change = Change::new("provisioning.removed", before.directory.id.as_uuid(), &before.directory.name);
        let change = change.before(&json!({ "settings": before.settings }));
        let store = self.0.recording(change);
        store.remove_provisioning(self.0.organization(), before.directory.id.into()).await?;
        Ok(())
    }
}

impl ProvisioningRuns<'_> {
    /// Compares all users and groups with their accounts in a directory, in the background, and carries out what differs.
    pub async fn compare(&self, directory: &str) -> Result<Standing> {
        let directory = find(self.0, directory).await?;
        self.enforced(&directory).await?;
        let change = Change::new("provisioning.compared", directory.id.as_uuid(), &directory.name);
        let store = self.0.recording(change);
        if !store.compare_all(self.0.organization(), directory.id.into()).await? {
            return Err(off(&directory));
        }
        standing(self.0, directory).await
    }

    /// Refuses where nothing is provisioned, or only plans are carried out.
    async fn enforced(&self, directory: &Directory) -> Result<()> {
        let Some(saved) = standing(self.0, directory.clone()).await?.saved else { return Err(off(directory)) };
        let settings: Settings = serde_json::from_value(saved.settings).unwrap_or_default();
        if settings.mode == Mode::Enforce {
            return Ok(());
        }
        let name = &directory.name;
        let message = Message::new(format!("{name} is in the mode report: only plans are carried out there."));
        Err(Error::Conflict(message.cure(format!("Make a plan, and apply it: `postern provisioning plan {name}`."))))
    }

    /// Lets held operations of a directory be sent, or drops them. `None`: all that are held. Returns how many there were.
    pub async fn decide(&self, directory: &str, operations: Option<&[OperationId]>, approve: bool) -> Result<u64> {
        let directory = find(self.0, directory).await?;
        if approve {
            self.enforced(&directory).await?;
        }
        let mut tx = self.0.store().begin_identities(self.0.organization(), self.0.now()).await?;
        let by = self.0.actor().who.name();
        let named = match operations {
            Some(operations) => operations.iter().take(100).copied().collect(),
            None => tx.held_operations(directory.id.into(), 100).await?,
        };
        let decided = tx.decide_held(directory.id.into(), operations, (approve, by)).await?;
        if decided == 0 {
            tx.rollback().await?;
            let message = Message::new(format!("None of these operations is held in {}.", directory.name));
            return Err(Error::Conflict(
                message.cure("`postern provisioning report --state held` lists those that are."),
            ));
        }
        let action = if approve { "operations.approved" } else { "operations.rejected" };
        let change = Change::new(action, directory.id.as_uuid(), &directory.name);
        tx.note(self.0.note(change.after(&json!({ "count": decided, "operations": named }))));
        tx.commit().await?;
        Ok(decided)
    }

    /// Compares one user with the account in a directory at once, even after failures.
    pub async fn provision_user(&self, user: &str, directory: &str) -> Result<UserId> {
        let directory = find(self.0, directory).await?;
        let id = resolve::user(self.0, user).await?;
        let target = TargetId::from(directory.id);
        self.enforced(&directory).await?;
        let mut tx = self.0.store().begin_identities(self.0.organization(), self.0.now()).await?;
        tx.mark(target, &[IdentityId::User(id)]).await?;
        let change = Change::new("user.provisioned", id.as_uuid(), user).after(&json!({ "target": directory.name }));
        tx.note(self.0.note(change));
        tx.commit().await?;
        Ok(id)
    }
}

/// Nothing is provisioned there.
pub(super) fn off(directory: &Directory) -> Error {
    let message = Message::new(format!("Nothing is provisioned to {}.", directory.name));
    Error::Conflict(message.cure(format!("Set it up first: `postern provisioning set {}`.", directory.name)))
}

fn outdated(before: &Standing) -> Error {
    let name = &before.directory.name;
    let by = before
        .saved
        .as_ref()
        .map_or_else(String::new, |saved| format!(" {} changed them at {}.", saved.updated_by, saved.updated_at));
    let message = Message::new(format!("What is provisioned to {name} has changed since you read it.{by}"));
    Error::Outdated(
        message.cure(format!("Read it again (`postern provisioning show {name}`), and change what it is now.")),
    )
}
