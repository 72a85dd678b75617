//! `/api/v1/agents`: the agents of an organization. Revoking one cuts its live session at once.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use postern_engine::records::{Agent, AgentId, Directory, DirectoryId, Flavour};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::directories::{DirectoryProblem, DirectoryView};
use super::extract::{Body, Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;

/// An agent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// Its id, which its certificate carries.
    #[schema(value_type = Uuid)]
    pub id: AgentId,
    /// What people call it.
    pub name: String,
    /// Version of its software. `null`: not yet known.
    pub version: Option<String>,
    /// Its operating system. `null`: not yet known.
    pub os: Option<String>,
    /// The directories that it serves.
    pub directories: Vec<ServedView>,
    /// Names of the directories that it may serve.
    pub allowed_directories: Vec<String>,
    /// It may also serve directories that nobody has announced before.
    pub takes_new_directories: bool,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// It has a session with the control plane.
    #[serde(default)]
    pub connected: bool,
    /// Since when it is connected. `null`: it is not.
    #[serde(default)]
    pub connected_since: Option<Timestamp>,
    /// Why its last session broke or was refused. `null`: none did.
    #[serde(default)]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(default)]
    pub last_error_at: Option<Timestamp>,
    /// When it last gave a sign of life. `null`: not yet.
    pub last_seen_at: Option<Timestamp>,
    /// When its certificate ends; it renews it before.
    pub certificate_expires_at: Timestamp,
    /// When its identity was last seen in use on two machines. `null`: never. If it should not be, revoke the agent and
    /// enroll its machine again.
    #[serde(default)]
    pub identity_shared_at: Option<Timestamp>,
    /// When it was revoked. `null`: it was not.
    pub revoked_at: Option<Timestamp>,
}

/// A directory that an agent serves.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServedView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: DirectoryId,
    /// Its name.
    pub name: String,
    /// What kind of server it is.
    pub flavour: Flavour,
    /// What is wrong with it at this agent, and what to do. Empty: nothing is known to be wrong.
    #[serde(default)]
    pub problems: Vec<DirectoryProblem>,
}

impl AgentView {
    fn new(directories: Vec<ServedView>, agent: Agent, now: Timestamp) -> Self {
        let connected_since = agent.connected_since(now).filter(|_| agent.revoked_at.is_none());
        Self {
            id: agent.id,
            name: agent.name,
            version: agent.version,
            os: agent.os,
            directories,
            allowed_directories: agent.allowed_directories,
            takes_new_directories: agent.takes_new_directories,
            enrolled_at: agent.enrolled_at,
            connected: connected_since.is_some(),
            connected_since,
            last_error: agent.last_error,
            last_error_at: agent.last_error_at,
            last_seen_at: agent.last_seen_at,
            certificate_expires_at: agent.not_after,
            identity_shared_at: agent.identity_shared_at,
            revoked_at: agent.revoked_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AgentQuery {
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, revoke)).routes(routes!(allow))
}

/// What each agent of an organization serves, as its directories say.
fn served(directories: Vec<Directory>, now: Timestamp) -> HashMap<AgentId, Vec<ServedView>> {
    let mut served: HashMap<AgentId, Vec<ServedView>> = HashMap::new();
    for directory in directories {
        let DirectoryView { id, name, flavour, agents, problems, .. } = DirectoryView::new(directory, now);
        for agent in agents {
            let problems = problems.iter().filter(|problem| problem.agent == Some(agent)).cloned().collect();
            served.entry(agent).or_default().push(ServedView { id, name: name.clone(), flavour, problems });
        }
    }
    served
}

fn view((agent, directories): (Agent, Vec<Directory>), now: Timestamp) -> AgentView {
    let served = served(directories, now).remove(&agent.id).unwrap_or_default();
    AgentView::new(served, agent, now)
}

/// Lists the agents
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", operation_id = "list_agents", params(AgentQuery),
    responses((status = 200, body = Listing<AgentView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<AgentQuery>,
) -> Result<Json<Listing<AgentView>>, Problem> {
    let agents = api.services.agents(&caller.actor)?;
    let list = List::new("agents", &[]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let ((listed, directories), now) = (agents.list(&request).await?, api.now());
    let mut served = served(directories, now);
    let view = |agent: Agent| AgentView::new(served.remove(&agent.id).unwrap_or_default(), agent, now);
    Ok(Json(list.answer(listed, view)))
}

/// Shows an agent
#[utoipa::path(get, path = "/api/v1/agents/{id}", tag = "agents", operation_id = "get_agent",
    params(("id" = String, Path, description = "Id of the agent, its beginning, or name of the agent")), responses((status = 200, body = AgentView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<AgentView>, Problem> {
    let found = api.services.agents(&caller.actor)?.get(&id).await?;
    Ok(Json(view(found, api.now())))
}

/// A directory to allow an agent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowRequest {
    /// Its name.
    #[serde(default)]
    #[schema(required = true)]
    pub directory: String,
}

/// Lets an agent serve a directory
///
/// Needed if the directory exists already and the agent's enrollment token did not name it, because the agents of a
/// directory decide who its users are. The agent serves it at once.
#[utoipa::path(post, path = "/api/v1/agents/{id}/directories", tag = "agents", operation_id = "allow_directory",
    params(("id" = String, Path, description = "Id of the agent, its beginning, or name of the agent")), request_body = AllowRequest,
    responses((status = 200, body = AgentView)))]
async fn allow(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<AllowRequest>,
) -> Result<Json<AgentView>, Problem> {
    let allowed = api.services.allow_directories(&caller.actor)?;
    let found = allowed.allow(&id, &body.read()?.directory).await?;
    Ok(Json(view(found, api.now())))
}

/// Revokes an agent
///
/// Its session is cut at once, and it is refused from now on. It stays in the list. To let the machine in again, enroll
/// it anew.
#[utoipa::path(delete, path = "/api/v1/agents/{id}", tag = "agents", operation_id = "revoke_agent",
    params(("id" = String, Path, description = "Id of the agent, its beginning, or name of the agent")), responses((status = 204)))]
async fn revoke(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<StatusCode, Problem> {
    api.services.revoke_agents(&caller.actor)?.revoke(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
