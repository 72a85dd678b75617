//! `POST /api/v1/provisioning/consequences`: what a change of users and groups would do in directories.

use axum::Json;
use axum::extract::State;
use postern_engine::provisioning::settings::{Leaving, LeavingThen};
use postern_engine::services::consequences::{Consequence, Planned};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::Body;
use super::problem::Problem;

/// A change that somebody is about to make.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum PlannedChange {
    /// Delete a user.
    DeleteUser {
        /// Name or id of the user.
        user: String,
    },
    /// Disable a user.
    DisableUser {
        /// Name or id of the user.
        user: String,
    },
    /// Delete a group.
    DeleteGroup {
        /// Name or id of the group.
        group: String,
    },
    /// Remove members from a group.
    RemoveMembers {
        /// Name or id of the group.
        group: String,
        /// Names or ids of the members, at most 1,000. Absent: any of them.
        #[serde(default)]
        members: Option<Vec<String>>,
    },
}

/// What a change would do in one directory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Consequence)]
pub struct ConsequenceView {
    /// Name of the directory.
    pub directory: String,
    /// How many users would lose their accounts there, at most.
    pub accounts: u64,
    /// Whether there are more users than are counted.
    pub more: bool,
    /// What becomes of the accounts.
    pub becomes: Leaving,
    /// What else becomes of them: the container that they are moved to, whether they leave groups, and after how many days
    /// they are deleted.
    #[serde(default)]
    pub then: LeavingThen,
    /// How many of them at once. The others wait for an administrator.
    pub at_once: u64,
    /// Whether the directory gets the group itself.
    pub has_group: bool,
    /// Whether nothing is sent there for now.
    pub paused: bool,
}

/// What a change would do in directories, or does.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Consequences)]
pub struct ConsequencesView {
    /// Each directory that is concerned.
    pub directories: Vec<ConsequenceView>,
}

impl From<PlannedChange> for Planned {
    fn from(change: PlannedChange) -> Self {
        match change {
            PlannedChange::DeleteUser { user } => Self::DeleteUser(user),
            PlannedChange::DisableUser { user } => Self::DisableUser(user),
            PlannedChange::DeleteGroup { group } => Self::DeleteGroup(group),
            PlannedChange::RemoveMembers { group, members } => Self::RemoveMembers { group, members },
        }
    }
}

impl From<Consequence> for ConsequenceView {
    fn from(consequence: Consequence) -> Self {
        let Consequence { directory, accounts, more, becomes, then, at_once, has_group, paused } = consequence;
        Self { directory, accounts, more, becomes, then, at_once, has_group, paused }
    }
}

impl From<Vec<Consequence>> for ConsequencesView {
    fn from(all: Vec<Consequence>) -> Self {
        Self { directories: all.into_iter().map(ConsequenceView::from).collect() }
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(consequences))
}

/// Says what a change would do to accounts in directories
///
/// Nothing is changed. Directories that are not concerned are left out.
#[utoipa::path(post, path = "/api/v1/provisioning/consequences", tag = "provisioning", operation_id = "get_consequences",
    request_body = PlannedChange, responses((status = 200, body = ConsequencesView)))]
async fn consequences(
    State(api): State<Api>,
    caller: Caller,
    body: Body<PlannedChange>,
) -> Result<Json<ConsequencesView>, Problem> {
    let consequences = api.services.consequences(&caller.actor)?;
    Ok(Json(consequences.of(&body.read()?.into()).await?.into()))
}
