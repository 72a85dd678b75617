//! What a look-up found, as its job keeps it and the API shows it.

use postern_store::Holder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LookupUserResult {
    /// The user's entry.
    pub user: FoundEntry,
    /// What the mapping makes of it.
    pub mapped: MappedUser,
    /// Its groups.
    pub groups: Vec<FoundEntry>,
    /// What imports have seen and the directory does not show now. Absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Unseen>,
    /// The user name that the entry claims and another account has. Absent: it is in no conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<ClaimedName>,
}

/// A user name that another user has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClaimedName {
    /// The name, as names are compared.
    pub user_name: String,
    /// The DN of the account of the user who has it. `null`: that user has none.
    pub held_by_dn: Option<String>,
    /// Who that user is. `null`: not known.
    pub holder: Option<Holder>,
}

/// An entry of the directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FoundEntry {
    /// Its immutable id.
    pub external_id: String,
    /// Its DN.
    pub dn: String,
    /// The value of the unique attribute. `null`: it has none.
    pub unique_value: Option<String>,
    /// Values by attribute: texts, or `{"base64": …}` where an attribute is binary.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<Value>>)]
    pub attributes: Value,
}

/// The user that an entry would become.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct MappedUser {
    /// The user name. `null`: the entry has no login.
    pub user_name: Option<String>,
    /// The given name.
    pub given_name: Option<String>,
    /// The family name.
    pub family_name: Option<String>,
    /// The name for people.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether the user may come in.
    pub active: bool,
    /// Further attributes.
    #[schema(value_type = Object)]
    pub attributes: Value,
}

/// What imports have seen of a user and the directory does not show now: gone, or hidden from the agent's bind account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Unseen {
    /// Attributes.
    pub attributes: Vec<String>,
    /// Groups, by name.
    pub groups: Vec<String>,
}

/// Who has a name that an account claims, from the sample of a conflict.
pub(super) fn holder(conflict: &Value) -> String {
    let dn = conflict["held_by_dn"].as_str();
    match (conflict["holder"].as_str().and_then(|holder| holder.parse().ok()), dn) {
        (Some(Holder::Nobody), _) => "nobody any more; the next import gives it away".to_owned(),
        (Some(Holder::Organization), _) => "a user whom the organization made".to_owned(),
        (Some(Holder::Gone), Some(dn)) => format!("{dn}, who is gone from the directory"),
        (Some(Holder::Gone), None) => "a user whom no directory has any more".to_owned(),
        (_, Some(dn)) => dn.to_owned(),
        (_, None) => "another user".to_owned(),
    }
}
