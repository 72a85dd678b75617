//! The report of what was done in directories.

use std::collections::{BTreeMap, BTreeSet};

use postern_runtime::plain::quoted;

use super::access::{Access, Services};
use super::actor::Actor;
use super::error::{Error, Result};
use super::known_directories::find;
use super::pages::{Listed, uncounted};
use super::rights::Right;
use super::{deleted_users, resolve};
use crate::provisioning::change::Change;
use crate::records::{Operation, OperationFilter, OperationId, OperationState, PageRequest, PlanId, TargetId, UserId};

/// The report of all operations, for somebody who may read it.
#[derive(Debug)]
pub struct ProvisioningReport<'s>(Access<'s>);

/// Which operations of the report are wanted, as somebody asks. Unset: all.
#[derive(Clone, Debug, Default)]
pub struct ReportRequest {
    /// Name or id of a user.
    pub user: Option<String>,
    /// Name or id of a group.
    pub group: Option<String>,
    /// Name or id of a directory.
    pub target: Option<String>,
    /// What is done.
    pub action: Option<String>,
    /// What has become of it.
    pub state: Option<OperationState>,
    /// Only of this plan.
    pub plan: Option<PlanId>,
    /// Not decided before this time.
    pub from: Option<jiff::Timestamp>,
    /// Decided before this time.
    pub until: Option<jiff::Timestamp>,
}

/// An operation with the name of its directory.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRow {
    /// The operation.
    pub operation: Operation,
    /// The name of the directory.
    pub target: String,
}

impl Services {
    /// Opens the report of what was done in targets.
    pub fn provisioning_report<'s>(&'s self, actor: &'s Actor) -> Result<ProvisioningReport<'s>> {
        self.open(actor, Right::ReadReports).map(ProvisioningReport)
    }
}

impl ProvisioningReport<'_> {
    /// The filter of a report.
    pub async fn filter(&self, asked: &ReportRequest) -> Result<OperationFilter> {
        let identity = match (&asked.user, &asked.group) {
            (Some(_), Some(_)) => return Err(Error::field("group", "give either a user or a group")),
            // A deleted user can still be named: by the id, and as long as it can be restored by the name that it had.
            (Some(user), None) => match user.parse::<UserId>() {
                Ok(id) => Some(id.as_uuid()),
                Err(_) => Some(deleted_users::resolve_all(self.0, user).await?.as_uuid()),
            },
            (None, Some(group)) => Some(resolve::group(self.0, group).await?.as_uuid()),
            (None, None) => None,
        };
        let target = match &asked.target {
            Some(target) => Some(find(self.0, target).await?.id.into()),
            None => None,
        };
        if let Some(action) = asked.action.as_deref().filter(|action| !Change::ACTIONS.contains(action)) {
            let known = Change::ACTIONS.join(", ");
            return Err(Error::field("action", format!("there is no action {}; there are {known}", quoted(action))));
        }
        let (action, state) = (asked.action.clone(), asked.state);
        let plan = asked.plan;
        Ok(OperationFilter { identity, target, action, state, plan, from: asked.from, until: asked.until })
    }

    /// The operations, the latest first.
    pub async fn list(&self, filter: &OperationFilter, page: &PageRequest) -> Result<Listed<ReportRow>> {
        let found = self.0.store().list_operations(self.0.organization(), filter, page).await?;
        let targets: BTreeSet<TargetId> = found.items.iter().map(|operation| operation.target).collect();
        let mut names = BTreeMap::new();
        for target in targets {
            names.insert(target, name_of(self.0, target).await?);
        }
        let row = |operation: Operation| {
            let target = names.get(&operation.target).cloned().unwrap_or_default();
            ReportRow { operation, target }
        };
        Ok(uncounted(page, found.map(row)))
    }

    /// One operation.
    pub async fn get(&self, id: OperationId) -> Result<ReportRow> {
        let found = self.0.store().get_operation(self.0.organization(), id).await?;
        let operation = found.ok_or_else(|| Error::no("operation"))?;
        let target = name_of(self.0, operation.target).await?;
        Ok(ReportRow { operation, target })
    }
}

/// The name of a directory, also of one that is deleted.
pub(super) async fn name_of(access: Access<'_>, target: TargetId) -> Result<String> {
    let found = access.store().get_directory(access.organization(), target.directory()).await?;
    Ok(found.map_or_else(String::new, |directory| directory.name))
}
