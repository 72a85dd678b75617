//! `/api/v1/attributes`: attributes that the organization defines for its users.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use postern_engine::records::{AttributeDefinition, AttributeType, Page, Total};
use postern_engine::services::Listed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id};
use super::page::{List, Listing};
use super::problem::Problem;

/// An attribute that the organization has defined.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Attribute)]
pub struct AttributeView {
    /// Its name: 1 to 64 of the characters a to z, 0 to 9 and _, the first a letter.
    pub name: String,
    /// What values it takes.
    #[serde(rename = "type")]
    pub kind: AttributeType,
    /// Every user that an administrator makes must have it. Absent: no.
    #[serde(default)]
    #[schema(required = false)]
    pub required: bool,
    /// No two users have the same value, without regard to letter case. Absent: no.
    #[serde(default)]
    #[schema(required = false)]
    pub unique: bool,
    /// Its values are masked in the audit log and in reports. Absent: no.
    #[serde(default)]
    #[schema(required = false)]
    pub sensitive: bool,
}

impl From<AttributeDefinition> for AttributeView {
    fn from(row: AttributeDefinition) -> Self {
        let AttributeDefinition { name, kind, required, unique, sensitive } = row;
        Self { name, kind, required, unique, sensitive }
    }
}

impl From<AttributeView> for AttributeDefinition {
    fn from(view: AttributeView) -> Self {
        let AttributeView { name, kind, required, unique, sensitive } = view;
        Self { name, kind, required, unique, sensitive }
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, define)).routes(routes!(forget))
}

/// Lists the defined attributes, two hundred at most
#[utoipa::path(get, path = "/api/v1/attributes", tag = "attributes", operation_id = "list_attributes",
    responses((status = 200, body = Listing<AttributeView>)))]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Listing<AttributeView>>, Problem> {
    let items = api.services.attributes(&caller.actor)?.list().await?;
    let total = Some(Total { count: items.len() as u64, more: false });
    let listed = Listed { page: Page { items, next: None }, total };
    Ok(Json(List::new("attributes", &[]).answer(listed, AttributeView::from)))
}

/// Defines an attribute
///
/// 409 if users have values of this name already: define an attribute before it is used.
#[utoipa::path(post, path = "/api/v1/attributes", tag = "attributes", operation_id = "define_attribute",
    request_body = AttributeView, responses((status = 201, body = AttributeView)))]
async fn define(
    State(api): State<Api>,
    caller: Caller,
    body: Body<AttributeView>,
) -> Result<(StatusCode, Json<AttributeView>), Problem> {
    let attributes = api.services.change_attributes(&caller.actor)?;
    Ok((StatusCode::CREATED, Json(attributes.define(body.read()?.into()).await?.into())))
}

/// Takes a definition away; values that users have stay
///
/// A sensitive attribute is refused (409) while users or deleted users have values of it, which nothing would mask any more.
#[utoipa::path(delete, path = "/api/v1/attributes/{id}", tag = "attributes", operation_id = "remove_attribute",
    params(("id" = String, Path, description = "Name of the attribute")), responses((status = 204)))]
async fn forget(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<StatusCode, Problem> {
    api.services.change_attributes(&caller.actor)?.forget(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
