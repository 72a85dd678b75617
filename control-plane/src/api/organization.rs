//! `/api/v1/organization`: what holds for the caller's whole organization.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use postern_engine::records::{Organization, OrganizationId};
use postern_engine::services::organization::RuleChange;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::Body;
use super::problem::Problem;

/// What a user becomes when no directory has the user any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum MissingUsers {
    /// Inactive, at once or after some days.
    Inactive,
    /// What the user was.
    Keep,
}

/// The organization.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Organization)]
pub struct OrganizationView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// What a user becomes when no directory has the user any more.
    pub missing_users: MissingUsers,
    /// After so many days; 0: at once. It says nothing where users are kept.
    pub missing_user_days: u32,
    /// Whether an account joins the user with its name from another directory. The first directory provides the
    /// profile. If not, such accounts are conflicts.
    pub joins_users: bool,
    /// After so many days jobs that have ended are deleted with their reports; 0: never.
    #[serde(default)]
    pub job_retention_days: u32,
    /// After so many days entries of the audit log are deleted; 0: never.
    #[serde(default)]
    pub audit_retention_days: u32,
    /// When it was created.
    pub created_at: Timestamp,
}

impl From<Organization> for OrganizationView {
    fn from(row: Organization) -> Self {
        let missing_users = if row.missing_user_days.is_some() { MissingUsers::Inactive } else { MissingUsers::Keep };
        Self {
            id: row.id,
            name: row.name,
            missing_users,
            missing_user_days: row.missing_user_days.unwrap_or_default(),
            joins_users: row.joins_users,
            job_retention_days: row.job_retention_days,
            audit_retention_days: row.audit_retention_days,
            created_at: row.created_at,
        }
    }
}

/// What to change about the organization. Absent fields stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationPatch {
    /// What a user becomes when no directory has the user any more. It holds for those who go missing from now on; of
    /// those who are missing and still active, some may become inactive within minutes. Nobody becomes active by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_users: Option<MissingUsers>,
    /// After so many days, 0 to 3650; 0: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 3650)]
    pub missing_user_days: Option<u32>,
    /// Whether an account joins the user with its name from another directory. Applies to accounts that are new from
    /// now on, and to conflicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joins_users: Option<bool>,
    /// After how many days jobs that have ended are deleted with their reports, 0 to 3650; 0: never. It holds for those
    /// that have ended already, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 3650)]
    pub job_retention_days: Option<u32>,
    /// After how many days entries of the audit log are deleted, 0 to 3650; 0: never. It holds for those that are there
    /// already, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 3650)]
    pub audit_retention_days: Option<u32>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show, change))
}

/// Shows the organization and its rules
#[utoipa::path(get, path = "/api/v1/organization", tag = "organization", operation_id = "get_organization",
    responses((status = 200, body = OrganizationView)))]
async fn show(State(api): State<Api>, caller: Caller) -> Result<Json<OrganizationView>, Problem> {
    Ok(Json(api.services.rules(&caller.actor)?.get().await?.into()))
}

/// Changes the organization's rules
#[utoipa::path(patch, path = "/api/v1/organization", tag = "organization", operation_id = "change_organization",
    request_body = OrganizationPatch, responses((status = 200, body = OrganizationView)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    body: Body<OrganizationPatch>,
) -> Result<Json<OrganizationView>, Problem> {
    let rules = api.services.change_rules(&caller.actor)?;
    let patch = body.read()?;
    let change = RuleChange {
        deactivates_missing_users: patch.missing_users.map(|becomes| becomes == MissingUsers::Inactive),
        missing_user_days: patch.missing_user_days,
        joins_users: patch.joins_users,
        job_retention_days: patch.job_retention_days,
        audit_retention_days: patch.audit_retention_days,
    };
    Ok(Json(rules.change(change).await?.into()))
}
