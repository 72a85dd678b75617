//! `/api/v1/conflicts`: accounts that wait for a user or for a user name. Some end when a login is changed in the directory
//! and imported; for the others an administrator decides whose the account is.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use postern_engine::intake::resolve::Choice;
use postern_engine::records::{Holder, IgnoredAccount, UserId, UserRow};
use postern_engine::services::Listed;
use postern_engine::services::conflicts::{ConflictDetail, Decided};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::accounts::AccountView;
use super::auth::Caller;
use super::extract::{Body, Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;
use super::users::UserView;

/// Why an account waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// It may belong to several users.
    Ambiguous,
    /// It may belong to one user, or claims the name of one, and something speaks against it.
    Conflict,
}

/// A user that the account may belong to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CandidateView {
    /// The field that led to the user: `user_name`, or that of a matching rule.
    pub found_by: String,
    /// The user.
    pub user: UserView,
}

/// An account that claims a user name which is another's.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Conflict)]
pub struct ConflictView {
    /// The user name, folded.
    pub user_name: String,
    /// The account that goes without the name: it has no user, or one of an older name.
    pub account: AccountView,
    /// The user that has the name. `null`: none any more, the next import settles it.
    #[schema(value_type = Option<Uuid>)]
    pub holder_user_id: Option<UserId>,
    /// DN of that user's account, one in the same directory before one in another. `null`: it has none.
    pub holder_dn: Option<String>,
    /// Who that user is. If no directory has the user any more, an account without a user of its own waits for a decision:
    /// link it to that user, or create a new one. A user whom the organization made keeps the name: link the account to
    /// that user, or rename or delete the user.
    pub holder: Holder,
    /// Why the account waits.
    pub outcome: Waiting,
    /// The user as the account describes it, to compare with the candidates. `null`: the account cannot be read.
    pub described: Option<DescribedUser>,
    /// The users that the account may belong to.
    pub candidates: Vec<CandidateView>,
}

/// A user as an account describes it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DescribedUser {
    /// The login.
    pub user_name: String,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// The display name.
    pub display_name: Option<String>,
    /// Address of the first mailbox.
    pub email: Option<String>,
    /// Further attributes.
    pub attributes: serde_json::Value,
}

impl From<UserRow> for DescribedUser {
    fn from(row: UserRow) -> Self {
        Self {
            user_name: row.user_name,
            given_name: row.given_name,
            family_name: row.family_name,
            display_name: row.display_name,
            email: row.email,
            attributes: serde_json::from_str(&row.attributes).unwrap_or_default(),
        }
    }
}

/// An account that stays without a user because an administrator wants it so.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = IgnoredConflict)]
pub struct IgnoredView {
    /// The user name that it claimed, folded.
    pub user_name: String,
    /// The account.
    pub account: AccountView,
    /// Since when.
    pub ignored_at: Timestamp,
    /// Who decided it.
    pub ignored_by: String,
}

impl TryFrom<IgnoredAccount> for IgnoredView {
    type Error = Problem;

    fn try_from(ignored: IgnoredAccount) -> Result<Self, Problem> {
        let (user_name, account) = (ignored.name_key, ignored.account.try_into()?);
        Ok(Self { user_name, account, ignored_at: ignored.at, ignored_by: ignored.by })
    }
}

/// What becomes of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceWord {
    /// It belongs to one of the candidates. Of several, `user` names the one.
    Link,
    /// It gets a new user. One who is gone gives up the name.
    Create,
    /// It stays without a user, and no import asks again.
    Ignore,
    /// An ignored account becomes a conflict again.
    AskAgain,
}

/// A decision.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// What becomes of the account.
    pub choice: ChoiceWord,
    /// With `link`: the id of the user. Absent: the only candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub user: Option<UserId>,
}

/// What came of a decision.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ConflictDecision)]
pub struct DecisionView {
    /// The account's user. `null`: it has none.
    pub user: Option<UserView>,
}

impl TryFrom<ConflictDetail> for ConflictView {
    type Error = Problem;

    fn try_from(detail: ConflictDetail) -> Result<Self, Problem> {
        let ConflictDetail { conflict, wanted, candidates } = detail;
        let view = |(user, found_by)| Ok(CandidateView { found_by, user: UserView::try_from(user)? });
        let candidates: Vec<CandidateView> = candidates.into_iter().map(view).collect::<Result<_, Problem>>()?;
        Ok(Self {
            outcome: if candidates.len() > 1 { Waiting::Ambiguous } else { Waiting::Conflict },
            described: wanted.map(DescribedUser::from),
            candidates,
            user_name: conflict.name_key,
            account: conflict.account.try_into()?,
            holder_user_id: conflict.user,
            holder_dn: conflict.holder_dn,
            holder: conflict.holder,
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ConflictQuery {
    /// Name or id of a directory. Absent: any.
    directory: Option<String>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, decide)).routes(routes!(ignored))
}

/// Lists conflicts
#[utoipa::path(get, path = "/api/v1/conflicts", tag = "conflicts", operation_id = "list_conflicts", params(ConflictQuery),
    responses((status = 200, body = Listing<ConflictView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<ConflictQuery>,
) -> Result<Json<Listing<ConflictView>>, Problem> {
    let conflicts = api.services.conflicts(&caller.actor)?;
    let filter = conflicts.filter(query.directory.as_deref()).await?;
    let list = List::new("conflicts", &[&filter]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    list.try_answer(conflicts.list(filter, &request).await?, ConflictView::try_from).map(Json)
}

/// Shows a conflict
#[utoipa::path(get, path = "/api/v1/conflicts/{id}", tag = "conflicts", operation_id = "get_conflict",
    params(("id" = String, Path, description = "Id of the account, or the user name that it claims")),
    responses((status = 200, body = ConflictView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<ConflictView>, Problem> {
    ConflictView::try_from(api.services.conflicts(&caller.actor)?.get(&id).await?).map(Json)
}

/// Decides a conflict
///
/// `link`: the account belongs to one of the candidates. `create`: to somebody new; a user who is gone gives up the name: a
/// mark is put behind it. `ignore`: to nobody, and no import asks again. `ask_again` makes an ignored account a conflict
/// again.
#[utoipa::path(post, path = "/api/v1/conflicts/{id}", tag = "conflicts", operation_id = "decide_conflict",
    params(("id" = String, Path, description = "Id of the account, or the user name that it claims")),
    request_body = DecisionRequest, responses((status = 200, body = DecisionView)))]
async fn decide(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<DecisionRequest>,
) -> Result<Json<DecisionView>, Problem> {
    let decisions = api.services.decide_conflicts(&caller.actor)?;
    let DecisionRequest { choice, user } = body.read()?;
    let choice = match (choice, user) {
        (ChoiceWord::Link, Some(user)) => Choice::LinkTo(user),
        (ChoiceWord::Link, None) => Choice::Link,
        (ChoiceWord::Create, _) => Choice::CreateUser,
        (ChoiceWord::Ignore, _) => Choice::Ignore,
        (ChoiceWord::AskAgain, _) => Choice::AskAgain,
    };
    let user = match decisions.decide(&id, choice).await? {
        Decided::User(user) => Some(UserView::try_from(*user)?),
        Decided::NoUser => None,
    };
    Ok(Json(DecisionView { user }))
}

/// Lists accounts that stay without a user because an administrator wants it so
#[utoipa::path(get, path = "/api/v1/ignored-conflicts", tag = "conflicts", operation_id = "list_ignored_conflicts",
    params(ConflictQuery), responses((status = 200, body = Listing<IgnoredView>)))]
async fn ignored(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<ConflictQuery>,
) -> Result<Json<Listing<IgnoredView>>, Problem> {
    let conflicts = api.services.conflicts(&caller.actor)?;
    let filter = conflicts.filter(query.directory.as_deref()).await?;
    let list = List::new("ignored-conflicts", &[&filter]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let page = conflicts.ignored(filter, &request).await?;
    list.try_answer(Listed { page, total: None }, IgnoredView::try_from).map(Json)
}
