//! `/api/v1/directories`: the directories that agents have announced. A path names one by its name or its id.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use postern_engine::records::{
    AgentId, ChangeKind, Directory, DirectoryChange, DirectoryId, Flavour, ThresholdChange, TroubledJob,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;
use postern_engine::intake::configuration::differences;

/// A directory. Its configuration stays with its agents.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DirectoryView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: DirectoryId,
    /// Its name in the agents' configuration, unique in the organization.
    pub name: String,
    /// What people call it.
    pub display_name: String,
    /// What kind of server it is.
    pub flavour: Flavour,
    /// No job may use it: new ones are refused, and those under way have ended with the error `disabled`.
    pub disabled: bool,
    /// An import that would mark more than this share of the accounts missing is held, percent.
    pub missing_threshold_percent: u32,
    /// Fewer missing accounts than this never hold an import.
    pub missing_threshold_minimum: u32,
    /// An import in which more than this share of the users would become active is held, percent.
    pub activated_threshold_percent: u32,
    /// Fewer such users than this never hold an import.
    pub activated_threshold_minimum: u32,
    /// An import in which more than this share of the users would become inactive is held, percent.
    pub deactivated_threshold_percent: u32,
    /// Fewer such users than this never hold an import.
    pub deactivated_threshold_minimum: u32,
    /// An import in which more than this share of the users would get another user name is held, percent.
    pub renamed_threshold_percent: u32,
    /// Fewer such users than this never hold an import.
    pub renamed_threshold_minimum: u32,
    /// An import in which more than this share of the accounts that had an attribute would lose it is held, percent.
    pub vanished_threshold_percent: u32,
    /// Fewer such accounts than this never hold an import.
    pub vanished_threshold_minimum: u32,
    /// An import that would remove more than this share of all memberships of groups is held, percent.
    pub removed_threshold_percent: u32,
    /// Fewer removed memberships than this never hold an import.
    pub removed_threshold_minimum: u32,
    /// The agents that serve it.
    #[schema(value_type = Vec<Uuid>)]
    pub agents: Vec<AgentId>,
    /// Those of them that are connected.
    #[serde(default)]
    #[schema(value_type = Vec<Uuid>)]
    pub connected_agents: Vec<AgentId>,
    /// What is wrong with it until somebody mends it, and what to do. Empty: nothing is known to be wrong.
    #[serde(default)]
    pub problems: Vec<DirectoryProblem>,
    /// When an import of it last succeeded. `null`: none has.
    #[serde(default)]
    pub last_import_at: Option<Timestamp>,
    /// When an agent first announced it.
    pub created_at: Timestamp,
}

/// What is wrong with a directory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DirectoryProblem {
    /// Names the kind of problem; programs decide by it.
    pub kind: ProblemKind,
    /// The agent that it is about. `null`: none in particular.
    #[schema(value_type = Option<Uuid>)]
    pub agent: Option<AgentId>,
    /// What is wrong, and what to do about it.
    pub text: String,
}

/// Kinds of problems of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// An agent cannot use it.
    Unusable,
    /// An agent reads it by another configuration than the last import or another agent.
    Configuration,
    /// The last import found something to be mended: entries that cannot be used, or something that cannot be read.
    Import,
    /// Mapping rules failed when the stored accounts were mapped anew.
    Mapping,
    /// An import is held until somebody decides. Further imports wait for it.
    Held,
    /// The last import failed.
    Failed,
}

/// Everything that is wrong with a directory.
fn problems(directory: &Directory) -> Vec<DirectoryProblem> {
    let import = directory.import_problem.iter().map(|text| (ProblemKind::Import, None, text.clone()));
    let unusable = directory.problems.iter().map(|(agent, text)| (ProblemKind::Unusable, Some(*agent), text.clone()));
    let configurations = differences(directory)
        .into_iter()
        .map(|difference| (ProblemKind::Configuration, Some(difference.agent), difference.to_string()));
    let troubled = directory.troubled.as_ref().map(|job| {
        let kind = if job.held { ProblemKind::Held } else { ProblemKind::Failed };
        (kind, None, trouble(job))
    });
    let mapping = (directory.mapping_failures > 0).then(|| (ProblemKind::Mapping, None, mapping_problem(directory)));
    let all = troubled.into_iter().chain(import).chain(mapping).chain(unusable).chain(configurations);
    all.map(|(kind, agent, text)| DirectoryProblem { kind, agent, text }).collect()
}

/// That rules failed on stored accounts, in a sentence.
fn mapping_problem(directory: &Directory) -> String {
    let (name, times) = (&directory.name, directory.mapping_failures);
    format!("mapping rules failed {times} times on stored accounts (postern mapping show {name})")
}

/// Why an import is held or failed, in a sentence.
fn trouble(job: &TroubledJob) -> String {
    let said = |key: &str| job.reason.as_ref().and_then(|reason| reason[key].as_str()).unwrap_or_default().to_owned();
    let id = job.id;
    if job.held {
        format!("the import {id} is held: {} (postern jobs show {id})", said("reason"))
    } else {
        format!("the last import failed: {} (postern jobs show {id})", said("message"))
    }
}

impl DirectoryView {
    /// The directory as it is now.
    pub(crate) fn new(directory: Directory, now: Timestamp) -> Self {
        let connected_agents = directory.connected(now).collect();
        let thresholds = directory.thresholds;
        let problems = problems(&directory);
        Self {
            id: directory.id,
            name: directory.name,
            display_name: directory.display_name,
            flavour: directory.flavour,
            disabled: directory.disabled,
            missing_threshold_percent: directory.missing_threshold_percent,
            missing_threshold_minimum: directory.missing_threshold_minimum,
            activated_threshold_percent: thresholds.activated.percent,
            activated_threshold_minimum: thresholds.activated.minimum,
            deactivated_threshold_percent: thresholds.deactivated.percent,
            deactivated_threshold_minimum: thresholds.deactivated.minimum,
            renamed_threshold_percent: thresholds.renamed.percent,
            renamed_threshold_minimum: thresholds.renamed.minimum,
            vanished_threshold_percent: thresholds.vanished.percent,
            vanished_threshold_minimum: thresholds.vanished.minimum,
            removed_threshold_percent: thresholds.removed.percent,
            removed_threshold_minimum: thresholds.removed.minimum,
            agents: directory.agents,
            connected_agents,
            problems,
            last_import_at: directory.last_import_at,
            created_at: directory.created_at,
        }
    }
}

/// What to change about a directory. Absent fields stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectoryPatch {
    /// What people call it, 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// No job may use it: new ones are refused, and those under way end with the error `disabled`, without marking
    /// anybody missing. A held one stays, and can be approved once the directory is enabled again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Hold an import that would mark more than this share of the accounts missing, percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub missing_threshold_percent: Option<u32>,
    /// Never hold an import that would mark fewer accounts missing than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_threshold_minimum: Option<u32>,
    /// Hold an import in which more than this share of the users would become active, percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub activated_threshold_percent: Option<u32>,
    /// Never hold an import for fewer such users than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_threshold_minimum: Option<u32>,
    /// Hold an import in which more than this share of the users would become inactive, percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub deactivated_threshold_percent: Option<u32>,
    /// Never hold an import for fewer such users than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivated_threshold_minimum: Option<u32>,
    /// Hold an import in which more than this share of the users would get another user name, percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub renamed_threshold_percent: Option<u32>,
    /// Never hold an import for fewer such users than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_threshold_minimum: Option<u32>,
    /// Hold an import in which more than this share of the accounts that had an attribute would lose it, percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub vanished_threshold_percent: Option<u32>,
    /// Never hold an import for fewer such accounts than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished_threshold_minimum: Option<u32>,
    /// Hold an import that would remove more than this share of all memberships of groups, percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub removed_threshold_percent: Option<u32>,
    /// Never hold an import for fewer removed memberships than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_threshold_minimum: Option<u32>,
}

impl DirectoryPatch {
    /// The thresholds of changes, without that of missing accounts.
    fn thresholds(&self) -> Vec<(ChangeKind, ThresholdChange)> {
        let wanted = [
            (ChangeKind::Activated, self.activated_threshold_percent, self.activated_threshold_minimum),
            (ChangeKind::Deactivated, self.deactivated_threshold_percent, self.deactivated_threshold_minimum),
            (ChangeKind::Renamed, self.renamed_threshold_percent, self.renamed_threshold_minimum),
            (ChangeKind::Vanished, self.vanished_threshold_percent, self.vanished_threshold_minimum),
            (ChangeKind::Removed, self.removed_threshold_percent, self.removed_threshold_minimum),
        ];
        let changed = wanted.into_iter().filter(|(_, percent, minimum)| percent.is_some() || minimum.is_some());
        changed.map(|(kind, percent, minimum)| (kind, ThresholdChange { percent, minimum })).collect()
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DirectoryQuery {
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, change, delete))
}

/// Lists the directories
#[utoipa::path(get, path = "/api/v1/directories", tag = "directories", operation_id = "list_directories",
    params(DirectoryQuery), responses((status = 200, body = Listing<DirectoryView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<DirectoryQuery>,
) -> Result<Json<Listing<DirectoryView>>, Problem> {
    let directories = api.services.directories(&caller.actor)?;
    let list = List::new("directories", &[]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let now = api.now();
    Ok(Json(list.answer(directories.list(&request).await?, |directory| DirectoryView::new(directory, now))))
}

/// Shows a directory
#[utoipa::path(get, path = "/api/v1/directories/{id}", tag = "directories", operation_id = "get_directory",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = DirectoryView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<DirectoryView>, Problem> {
    let directory = api.services.directories(&caller.actor)?.get(&id).await?;
    Ok(Json(DirectoryView::new(directory, api.now())))
}

/// Renames, disables or enables a directory, or sets when its imports are held
#[utoipa::path(patch, path = "/api/v1/directories/{id}", tag = "directories", operation_id = "change_directory",
    params(("id" = String, Path, description = "Name or id of the directory")), request_body = DirectoryPatch,
    responses((status = 200, body = DirectoryView)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<DirectoryPatch>,
) -> Result<Json<DirectoryView>, Problem> {
    let changes = api.services.change_directories(&caller.actor)?;
    let patch = body.read()?;
    let change = DirectoryChange {
        thresholds: patch.thresholds(),
        display_name: patch.display_name,
        disabled: patch.disabled,
        missing_threshold_percent: patch.missing_threshold_percent,
        missing_threshold_minimum: patch.missing_threshold_minimum,
    };
    Ok(Json(DirectoryView::new(changes.change(&id, change).await?, api.now())))
}

/// Deletes a directory
///
/// It comes back when an agent announces it again; take it out of the agents' configuration first. The answer names the
/// agents that announce it.
#[utoipa::path(delete, path = "/api/v1/directories/{id}", tag = "directories", operation_id = "delete_directory",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = DirectoryView)))]
async fn delete(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<DirectoryView>, Problem> {
    let directory = api.services.change_directories(&caller.actor)?.delete(&id).await?;
    Ok(Json(DirectoryView::new(directory, api.now())))
}
