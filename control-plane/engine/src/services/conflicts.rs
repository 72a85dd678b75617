//! Conflicts: accounts that claim a user name which another user has, and decisions about them.

use serde_json::json;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::pages::{Listed, chained, listed};
use super::rights::Right;
use super::{known_directories, resolve};
use crate::intake::resolve::{self as decisions, Choice};
use crate::records::{Conflict, DirectoryId, PageRequest, UserRow};

/// Read access to conflicts.
#[derive(Debug)]
pub struct Conflicts<'s>(Access<'s>);

/// Access to decide conflicts.
#[derive(Debug)]
pub struct ConflictDecisions<'s>(Access<'s>);

/// Which conflicts to list. Unset: all.
#[derive(Clone, Copy, Debug)]
pub struct ConflictFilter {
    directory: Option<DirectoryId>,
}

impl Services {
    /// Opens the conflicts.
    pub fn conflicts<'s>(&'s self, actor: &'s Actor) -> Result<Conflicts<'s>> {
        self.open(actor, Right::ReadPeople).map(Conflicts)
    }

    /// Opens the conflicts, to decide them.
    pub fn decide_conflicts<'s>(&'s self, actor: &'s Actor) -> Result<ConflictDecisions<'s>> {
        self.open(actor, Right::DecideConflicts).map(ConflictDecisions)
    }
}

impl Conflicts<'_> {
    /// A filter by the name or id of a directory.
    pub async fn filter(&self, directory: Option<&str>) -> Result<ConflictFilter> {
        Ok(ConflictFilter { directory: known_directories::wanted(self.0, directory).await? })
    }

    /// Conflicts, directory by directory.
    pub async fn list(&self, filter: ConflictFilter, request: &PageRequest) -> Result<Listed<Conflict>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let directories = known_directories::one_or_all(self.0, filter.directory).await?;
        let names: Vec<_> = directories.iter().map(ToString::to_string).collect();
        let page = chained(&names, request, |number, request| {
            let directory = directories[number];
            async move { store.list_conflicts(organization, directory, &request).await }
        });
        listed(request, page.await?, store.total_conflicts(organization, &directories)).await
    }

    /// The conflict of the account of this id, or the only one about this user name.
    pub async fn get(&self, named: &str) -> Result<Conflict> {
        let id = resolve::conflict(self.0, named).await?;
        let found = self.0.store().get_conflict(self.0.organization(), id).await?;
        found.ok_or_else(|| refused(decisions::Error::NoConflict))
    }
}

impl ConflictDecisions<'_> {
    /// Decides a conflict, and returns the account's user.
    pub async fn decide(&self, named: &str, choice: Choice) -> Result<UserRow> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let id = resolve::conflict(self.0, named).await?;
        let account = store.get_account(organization, id).await?;
        let change =
            Change::new("conflict.decided", id.as_uuid(), account.map(|account| account.dn).unwrap_or_default());
        let recording = self.0.recording(change.after(&json!({ "choice": choice.as_str() })));
        let user = decisions::run(&recording, organization, id, choice, self.0.now()).await.map_err(refused)?;
        tracing::info!(%organization, by = %self.0.actor().who, account = %id, user = %user, ?choice,
            "conflict.decided");
        store.get_user(organization, user).await?.ok_or_else(|| Error::no("user"))
    }
}

fn refused(error: decisions::Error) -> Error {
    match error {
        decisions::Error::Store(error) => error.into(),
        decisions::Error::NoConflict => Error::NotFound(
            Message::new("There is no conflict about this account.")
                .cure("`postern conflicts list` shows those that there are."),
        ),
        decisions::Error::HasUser => Error::Conflict(
            Message::new("The account has a user of its own, who only waits for the name.")
                .cure("Change the login of one of the two in the directory, then import."),
        ),
        decisions::Error::Present { dn } => Error::Conflict(
            Message::new(format!("The user who has the name is there: {dn}."))
                .cure("Change the login of one of the two in the directory, then import."),
        ),
        decisions::Error::Own => Error::Conflict(
            Message::new("The organization made the user who has the name.")
                .cure("Link the account to that user, or rename or delete the user first."),
        ),
        decisions::Error::PresentElsewhere => Error::Conflict(
            Message::new("Another directory has the user who has the name.")
                .cure("Link the account to that user, or change the login of one of the two, then import."),
        ),
    }
}
