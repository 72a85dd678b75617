//! `/api/v1/directories`: the directories that agents have announced. A path names one by its name or its id.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use postern_engine::records::{
    AgentId, ChangeKind, Directory, DirectoryChange, DirectoryId, Flavour, OrganizationId, PageRequest, ThresholdChange,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auditor, Operator};
use super::extract::{Body, Id, Params};
use super::page::{List, Listing, MAX_LIMIT, total};
use super::problem::{Kind, Problem};
use super::{Api, named, resolve};
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
}

/// Everything that is wrong with a directory.
fn problems(directory: &Directory) -> Vec<DirectoryProblem> {
    let import = directory.import_problem.iter().map(|text| (ProblemKind::Import, None, text.clone()));
    let unusable = directory.problems.iter().map(|(agent, text)| (ProblemKind::Unusable, Some(*agent), text.clone()));
    let configurations = differences(directory)
        .into_iter()
        .map(|difference| (ProblemKind::Configuration, Some(difference.agent), difference.to_string()));
    let all = import.chain(unusable).chain(configurations);
    all.map(|(kind, agent, text)| DirectoryProblem { kind, agent, text }).collect()
}

impl DirectoryView {
    /// As it stands now.
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
    fn thresholds(&self) -> Result<Vec<(ChangeKind, ThresholdChange)>, Problem> {
        let wanted = [
            (ChangeKind::Activated, self.activated_threshold_percent, self.activated_threshold_minimum),
            (ChangeKind::Deactivated, self.deactivated_threshold_percent, self.deactivated_threshold_minimum),
            (ChangeKind::Renamed, self.renamed_threshold_percent, self.renamed_threshold_minimum),
            (ChangeKind::Vanished, self.vanished_threshold_percent, self.vanished_threshold_minimum),
            (ChangeKind::Removed, self.removed_threshold_percent, self.removed_threshold_minimum),
        ];
        for (kind, percent, _) in wanted {
            at_most_all(&format!("{kind}_threshold_percent"), percent)?;
        }
        let changed = wanted.into_iter().filter(|(_, percent, minimum)| percent.is_some() || minimum.is_some());
        Ok(changed.map(|(kind, percent, minimum)| (kind, ThresholdChange { percent, minimum })).collect())
    }
}

fn at_most_all(field: &str, percent: Option<u32>) -> Result<(), Problem> {
    match percent {
        Some(101..) => Err(Problem::body_field(field, "it must be from 0 to 100")),
        _ => Ok(()),
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

/// The directory that a name or an id stands for.
pub(super) async fn find(api: &Api, organization: OrganizationId, named: &str) -> Result<Directory, Problem> {
    let id = resolve::directory(api, organization, named).await?;
    let found = api.store.get_directory(organization, id).await?;
    found.filter(|directory| directory.deleted_at.is_none()).ok_or_else(|| {
        Problem::new(Kind::NotFound, format!("There is no directory {named:?}."))
            .cure("`postern directories list` shows them; a directory appears when an agent that serves it connects.")
    })
}

/// The same for a filter of a list.
pub(super) async fn find_wanted(
    api: &Api,
    organization: OrganizationId,
    named: Option<&str>,
) -> Result<Option<DirectoryId>, Problem> {
    match named {
        Some(named) => Ok(Some(find(api, organization, named).await?.id)),
        None => Ok(None),
    }
}

/// The one directory, or all of the organization.
pub(super) async fn one_or_all(
    api: &Api,
    organization: OrganizationId,
    one: Option<DirectoryId>,
) -> Result<Vec<DirectoryId>, Problem> {
    match one {
        Some(one) => Ok(vec![one]),
        None => Ok(all(api, organization).await?.into_iter().map(|directory| directory.id).collect()),
    }
}

/// All directories of an organization, of which there are few.
pub(super) async fn all(api: &Api, organization: OrganizationId) -> Result<Vec<Directory>, Problem> {
    let (mut request, mut directories) = (PageRequest::first(MAX_LIMIT), Vec::new());
    loop {
        let page = api.store.list_directories(organization, &request).await?;
        directories.extend(page.items);
        match page.next {
            Some(next) => request = PageRequest::after(next, MAX_LIMIT),
            None => return Ok(directories),
        }
    }
}

/// Lists the directories
#[utoipa::path(get, path = "/api/v1/directories", tag = "directories", operation_id = "list_directories",
    params(DirectoryQuery), responses((status = 200, body = Listing<DirectoryView>)))]
async fn list(
    State(api): State<Api>,
    Auditor(caller): Auditor,
    Params(query): Params<DirectoryQuery>,
) -> Result<Json<Listing<DirectoryView>>, Problem> {
    let list = List::new("directories", &[]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let page = api.store.list_directories(caller.organization, &request).await?;
    let total = total(&request, &page, api.store.total_directories(caller.organization)).await?;
    Ok(Json(list.answer(page, total, |directory| DirectoryView::new(directory, api.now()))))
}

/// Shows a directory
#[utoipa::path(get, path = "/api/v1/directories/{id}", tag = "directories", operation_id = "get_directory",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = DirectoryView)))]
async fn show(
    State(api): State<Api>,
    Auditor(caller): Auditor,
    Id(id): Id<String>,
) -> Result<Json<DirectoryView>, Problem> {
    Ok(Json(DirectoryView::new(find(&api, caller.organization, &id).await?, api.now())))
}

/// Renames, disables or enables a directory, or sets when its imports are held
#[utoipa::path(patch, path = "/api/v1/directories/{id}", tag = "directories", operation_id = "change_directory",
    params(("id" = String, Path, description = "Name or id of the directory")), request_body = DirectoryPatch,
    responses((status = 200, body = DirectoryView)))]
async fn change(
    State(api): State<Api>,
    Operator(caller): Operator,
    Id(id): Id<String>,
    Body(patch): Body<DirectoryPatch>,
) -> Result<Json<DirectoryView>, Problem> {
    at_most_all("missing_threshold_percent", patch.missing_threshold_percent)?;
    let change = DirectoryChange {
        display_name: patch.display_name.as_deref().map(|name| named("display_name", name)).transpose()?,
        disabled: patch.disabled,
        missing_threshold_percent: patch.missing_threshold_percent,
        missing_threshold_minimum: patch.missing_threshold_minimum,
        thresholds: patch.thresholds()?,
    };
    let directory = find(&api, caller.organization, &id).await?;
    let changed = api.store.update_directory(caller.organization, directory.id, change).await?;
    tracing::info!(organization = %caller.organization, by = %caller.token, directory = %directory.id, "directory.changed");
    Ok(Json(DirectoryView::new(changed, api.now())))
}

/// Deletes a directory
///
/// It comes back when an agent announces it again; take it out of the agents' configuration first. The answer names the
/// agents that announce it.
#[utoipa::path(delete, path = "/api/v1/directories/{id}", tag = "directories", operation_id = "delete_directory",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = DirectoryView)))]
async fn delete(
    State(api): State<Api>,
    Operator(caller): Operator,
    Id(id): Id<String>,
) -> Result<Json<DirectoryView>, Problem> {
    let directory = find(&api, caller.organization, &id).await?;
    api.store.delete_directory(caller.organization, directory.id, api.now()).await?;
    tracing::info!(organization = %caller.organization, by = %caller.token, directory = %directory.id, "directory.deleted");
    Ok(Json(DirectoryView::new(directory, api.now())))
}
