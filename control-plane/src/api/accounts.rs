//! `/api/v1/accounts`: what directories returned, entry by entry. Attributes are answered as they are stored, without
//! being read here.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use postern_engine::identity::trial::{self, Input};
use postern_engine::records::{Account, AccountId, AccountKind, GroupId, Switch, UserId};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Id, Params};
use super::jobs::view::DirectoryRef;
use super::page::{List, Listing};
use super::problem::Problem;

/// Attributes of an entry, name → array of values; a value that is no UTF-8 text is `{"base64": "…"}`. Stored JSON,
/// passed through.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(#[serde(deserialize_with = "read_raw")] pub Box<RawValue>);

/// Reads raw JSON also from within a flattened struct, where serde has parsed it already. For callers of the API; the
/// server only writes it.
pub(super) fn read_raw<'de, D: Deserializer<'de>>(reader: D) -> Result<Box<RawValue>, D::Error> {
    to_raw_value(&Value::deserialize(reader)?).map_err(serde::de::Error::custom)
}

impl Attributes {
    /// Stored attributes.
    pub(super) fn stored(json: String) -> Result<Self, Problem> {
        RawValue::from_string(json).map(Self).map_err(|error| Problem::internal(&error))
    }
}

impl ToSchema for Attributes {
    fn name() -> std::borrow::Cow<'static, str> {
        "Attributes".into()
    }
}

impl PartialSchema for Attributes {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let binary = ObjectBuilder::new()
            .property("base64", ObjectBuilder::new().schema_type(Type::String))
            .required("base64")
            .description(Some("A value that is not UTF-8 text"));
        let values = ArrayBuilder::new().items(OneOfBuilder::new().item(text).item(binary));
        ObjectBuilder::new()
            .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(values.build().into()))))
            .description(Some("Name of each attribute with its values"))
            .into()
    }
}

/// The record of one entry of one directory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Account)]
pub struct AccountView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: AccountId,
    /// In which directory.
    pub directory: DirectoryRef,
    /// What the entry is.
    pub kind: AccountKind,
    /// What identifies the entry for as long as it exists: objectGUID, entryUUID, nsUniqueId, or as configured.
    pub external_id: String,
    /// Its present DN.
    pub dn: String,
    /// Value of the unique attribute. `null`: it has none.
    pub unique_value: Option<String>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Since when a complete import has no longer found it. `null`: it is there.
    pub missing_since: Option<Timestamp>,
    /// Whether the directory lets the user in, as last known. `null`: unknown, or no user.
    pub enabled: Option<bool>,
    /// The directory does not say so now: `enabled` is what it said before.
    #[serde(default)]
    pub enabled_is_last_known: bool,
    /// Until when it does. `null`: no end is known.
    pub enabled_until: Option<Timestamp>,
    /// The user that it is an account of. `null`: none.
    #[schema(value_type = Option<Uuid>)]
    pub user_id: Option<UserId>,
    /// The group that it is an account of. `null`: none.
    #[schema(value_type = Option<Uuid>)]
    pub group_id: Option<GroupId>,
    /// The user name that it claims and another account has. `null`: no conflict.
    pub conflict: Option<String>,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// An account, with what its values mean.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccountDetail {
    /// The account.
    #[serde(flatten)]
    pub account: AccountView,
    /// Each attribute with its type and the meaning of its values, and what is computed from attributes, such as
    /// `flags.disabled`. Mapping rules read the same.
    pub meanings: Vec<Input>,
}

impl TryFrom<Account> for AccountDetail {
    type Error = Problem;

    fn try_from(account: Account) -> Result<Self, Problem> {
        let meanings = trial::meanings(&account);
        Ok(Self { account: account.try_into()?, meanings })
    }
}

impl TryFrom<Account> for AccountView {
    type Error = Problem;

    fn try_from(account: Account) -> Result<Self, Problem> {
        let kind = account.kind;
        let (enabled, enabled_until) = match account.switch {
            Switch::Unknown => (None, None),
            Switch::Off => (Some(false), None),
            Switch::On => (Some(true), None),
            Switch::OnUntil(end) => (Some(true), Some(end)),
        };
        let identity_of = |wanted| account.identity.filter(|_| kind == wanted);
        Ok(Self {
            id: account.id,
            directory: DirectoryRef { id: account.target.directory(), name: account.target_name },
            kind,
            external_id: account.external_key.to_text(),
            dn: account.dn,
            unique_value: account.unique_value,
            attributes: Attributes::stored(account.attributes)?,
            missing_since: account.missing_since,
            enabled,
            enabled_is_last_known: account.switch_hidden && enabled.is_some(),
            enabled_until,
            user_id: identity_of(AccountKind::User).map(UserId::from_uuid),
            group_id: identity_of(AccountKind::Group).map(GroupId::from_uuid),
            conflict: account.conflict,
            updated_at: account.updated_at,
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountQuery {
    /// Name or id of a directory. Absent: any.
    directory: Option<String>,
    /// Absent: both.
    kind: Option<AccountKind>,
    /// Only accounts that the last complete import did not find, or only those that it found. Absent: both.
    missing: Option<bool>,
    /// Only accounts of users whose entries do not say whether the user is enabled. Absent: all.
    unknown: Option<bool>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Lists accounts
#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts", operation_id = "list_accounts", params(AccountQuery),
    responses((status = 200, body = Listing<AccountView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<AccountQuery>,
) -> Result<Json<Listing<AccountView>>, Problem> {
    let accounts = api.services.accounts(&caller.actor)?;
    let filter = accounts
        .filter(query.directory.as_deref(), query.kind, query.missing, query.unknown.unwrap_or_default())
        .await?;
    let list = List::new("accounts", &[&filter]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    list.try_answer(accounts.list(filter, &request).await?, AccountView::try_from).map(Json)
}

/// Shows an account
#[utoipa::path(get, path = "/api/v1/accounts/{id}", tag = "accounts", operation_id = "get_account",
    params(("id" = String, Path, description = "Id or external id of the account, or name of its user")),
    responses((status = 200, body = AccountDetail)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<AccountDetail>, Problem> {
    api.services.accounts(&caller.actor)?.get(&id).await?.try_into().map(Json)
}
