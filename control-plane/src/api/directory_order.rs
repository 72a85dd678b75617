//! `/api/v1/directory-order`: the order of the directories. Of a user that several directories have, each value comes from
//! the first directory that has one.

use axum::Json;
use axum::extract::State;
use postern_engine::intake::effect::Effect;
use postern_engine::records::DirectoryId;
use postern_engine::services::directory_order::Order;
use postern_engine::services::terms::Terms;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::Body;
use super::problem::Problem;
use super::users::Tag;
use super::versions::{IfMatch, etag};

/// A directory in its place.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OrderedDirectory {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: DirectoryId,
    /// Its name.
    pub name: String,
    /// What people call it.
    pub display_name: String,
}

/// The order of the directories.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DirectoryOrder)]
pub struct OrderView {
    /// The directories. The first provides values before all others. A new directory comes last.
    pub directories: Vec<OrderedDirectory>,
    /// Whether the profiles of all users follow this order by now. After a change they are mapped anew in the background.
    pub applied: bool,
}

/// A new order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// Names or ids of the directories that come first, in this order. All others follow in their present order.
    pub directories: Vec<String>,
    /// `losing` of the effect: so many users may get another name. It is needed where the effect needs a confirmation. Absent:
    /// nothing is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
}

impl From<&Order> for OrderView {
    fn from(order: &Order) -> Self {
        let directories = order.directories.iter().map(|directory| OrderedDirectory {
            id: directory.id,
            name: directory.name.clone(),
            display_name: directory.display_name.clone(),
        });
        Self { directories: directories.collect(), applied: order.applied }
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show, set)).routes(routes!(effect))
}

fn answer(order: &Order) -> (Tag, Json<OrderView>) {
    (etag(&order.version()), Json(order.into()))
}

/// Shows the order of the directories
#[utoipa::path(get, path = "/api/v1/directory-order", tag = "directories", operation_id = "get_directory_order",
    responses((status = 200, body = OrderView)))]
async fn show(State(api): State<Api>, caller: Caller) -> Result<(Tag, Json<OrderView>), Problem> {
    Ok(answer(&api.services.directory_order(&caller.actor)?.get().await?))
}

/// Sets the order of the directories
///
/// Users that several directories have are mapped anew in the background, from what is stored; their names follow, too. An
/// order that would rename more users than a threshold of their directory allows is refused with 409 and its `effect`,
/// unless `confirm` repeats its `losing`.
#[utoipa::path(put, path = "/api/v1/directory-order", tag = "directories", operation_id = "set_directory_order",
    params(("If-Match" = Option<String>, Header, description = "The version (ETag) that the change is based on; 412 if the order has changed since. Absent: any")),
    request_body = OrderRequest, responses((status = 200, body = OrderView)))]
async fn set(
    State(api): State<Api>,
    caller: Caller,
    known: IfMatch,
    body: Body<OrderRequest>,
) -> Result<(Tag, Json<OrderView>), Problem> {
    let order = api.services.change_directory_order(&caller.actor)?;
    let OrderRequest { directories, confirm } = body.read()?;
    Ok(answer(&order.set(&directories, Terms { known: known.known(), confirm }).await?))
}

/// Counts what an order of the directories would change
///
/// Says how many users that several directories have would change or get another name, and whether that must be confirmed.
/// At most 150,000 of them are looked at. Nothing is saved.
#[utoipa::path(post, path = "/api/v1/directory-order/effect", tag = "directories",
    operation_id = "count_directory_order",
    request_body = OrderRequest, responses((status = 200, body = Effect)))]
async fn effect(State(api): State<Api>, caller: Caller, body: Body<OrderRequest>) -> Result<Json<Effect>, Problem> {
    let order = api.services.change_directory_order(&caller.actor)?;
    Ok(Json(order.effect(&body.read()?.directories).await?))
}
