//! What an operation changes, as it is stored until it has ended.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use jiff::Timestamp;
use postern_dn::{Dn, Rdn};
use postern_store::PendingId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::settings::BothChanged;

/// The container that the site's configuration names, in reports.
const SITES_OWN: &str = "the site's own container";

/// The values of attributes by their names.
pub type Attributes = BTreeMap<String, Vec<String>>;

/// An entry that the target has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its external id. Empty: it is found by its DN.
    #[serde(default)]
    pub external_id: String,
    /// Its last known DN.
    #[serde(default)]
    pub dn: String,
    /// For a member: the form in which groups are known to name it. Empty: its DN in that form.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// For a member: the change that somebody asked for and that this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingId>,
}

impl Reference {
    /// How answers name it.
    fn named(&self) -> &str {
        if self.external_id.is_empty() { &self.dn } else { &self.external_id }
    }
}

/// One attribute that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// Its name.
    pub name: String,
    /// The values that the target had last.
    pub known: Vec<String>,
    /// The wanted values.
    pub wanted: Vec<String>,
    /// The change that somebody asked for and that this is. `None`: the rules want it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingId>,
}

/// A password that one agent can open. Nobody else can.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The agent.
    pub agent: Uuid,
    /// What it opens, in base64.
    pub text: String,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("agent", &self.agent).finish_non_exhaustive()
    }
}

/// The wanted end of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It exists.
    Create {
        /// Where. `None`: the site decides.
        container: Option<String>,
        /// What it has.
        attributes: Attributes,
        /// What some of these are instead where somebody else has them, in the order in which it is tried.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        choices: Vec<Attributes>,
        /// Whether an earlier operation may have made it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sent_before: bool,
        /// The external ids of other users' entries with these names; known when it is sent again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<String>,
        /// Whether the user may sign in.
        enabled: bool,
        /// The first members of a group.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        members: Vec<Reference>,
        /// Whether an entry with the same unique value is the one.
        adopt: bool,
    },
    /// Attributes have these values.
    Update {
        /// The attributes.
        changes: Vec<AttributeChange>,
        /// Whose value stays if both ends changed one.
        both_changed: BothChanged,
    },
    /// It is in this container, under this name.
    Move {
        /// The container; empty: the site's own. `None`: it stays.
        container: Option<String>,
        /// The value of the RDN. `None`: it stays.
        name: Option<String>,
    },
    /// The user may sign in.
    Enable,
    /// The user may not sign in.
    Disable,
    /// It does not exist.
    Delete,
    /// The user has this password.
    SetPassword {
        /// Whether it must be changed at the next sign-in.
        must_change: bool,
        /// It is not sent after this time.
        expires_at: Timestamp,
        /// The password, sealed to the key of each agent that may set it.
        sealed: Vec<Sealed>,
    },
    /// Wrong passwords do not keep the user out any more.
    Unlock,
    /// The group has these members, and not those.
    Members {
        /// Members that it has.
        add: Vec<Reference>,
        /// Members that it does not have.
        remove: Vec<Reference>,
    },
}

/// One step towards the wanted account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The entry. `None`: it is created.
    pub entry: Option<Reference>,
    /// The wanted end.
    pub change: Change,
}

impl Step {
    /// Whether two steps do the same. A member that has another name by now is still the same member.
    pub fn does_the_same(&self, other: &Self) -> bool {
        match (&self.change, &other.change) {
            (Change::Members { add, remove }, Change::Members { add: adds, remove: removes }) => {
                self.entry == other.entry
                    && (are_among(add, adds) && are_among(adds, add))
                    && (are_among(remove, removes) && are_among(removes, remove))
            }
            _ => self == other,
        }
    }

    /// The values before and after, for reports. The values of attributes for which `secret` is true are masked.
    pub fn before_and_after(&self, secret: impl Fn(&str) -> bool) -> Value {
        let mut changes = self.change.before_and_after(secret);
        // Where it is now, only the entry knows.
        if let (Change::Move { container, name }, Some(entry)) = (&self.change, &self.entry)
            && let Ok(dn) = Dn::parse(&entry.dn)
        {
            let parent = container.is_some().then(|| dn.parent().map(|parent| parent.to_string())).flatten();
            let leaf = name.is_some().then(|| dn.rdns().first().and_then(Rdn::name)).flatten();
            changes["before"] = json!({ "container": parent, "name": leaf });
        }
        changes
    }
}

/// Whether each of these members is among the others, by external id or by name.
fn are_among(members: &[Reference], others: &[Reference]) -> bool {
    let ids: HashSet<&str> =
        others.iter().map(|other| other.external_id.as_str()).filter(|id| !id.is_empty()).collect();
    let names: HashSet<&str> = others.iter().map(|other| other.key.as_str()).collect();
    let is_among =
        |member: &Reference| ids.contains(member.external_id.as_str()) || names.contains(member.key.as_str());
    members.iter().all(is_among)
}

impl Change {
    /// The changes that somebody asked for and that this carries out, each with the name of its attribute or member.
    pub fn asked(&self) -> Vec<(PendingId, &str)> {
        match self {
            Self::Update { changes, .. } => {
                changes.iter().filter_map(|change| Some((change.pending?, change.name.as_str()))).collect()
            }
            Self::Members { add, remove } => {
                add.iter().chain(remove).filter_map(|member| Some((member.pending?, member.named()))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The names of all actions.
    pub const ACTIONS: [&str; 9] =
        ["create", "update", "move", "enable", "disable", "delete", "set_password", "unlock", "change_members"];

    /// The name of what is done, for reports.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Move { .. } => "move",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::SetPassword { .. } => "set_password",
            Self::Unlock => "unlock",
            Self::Members { .. } => "change_members",
        }
    }

    /// The same, as far as the change itself knows them.
    pub fn before_and_after(&self, secret: impl Fn(&str) -> bool) -> Value {
        let shown = |name: &str, values: &[String]| match secret(name) {
            true if values.is_empty() => json!([]),
            true => json!([crate::identity::attributes::MASK]),
            false => json!(values),
        };
        match self {
            Self::Create { container, attributes, enabled, members, .. } => {
                let mut after: BTreeMap<&str, Value> =
                    attributes.iter().map(|(name, values)| (name.as_str(), shown(name, values))).collect();
                after.extend(container.as_ref().map(|container| ("container", json!(container))));
                after.insert("enabled", json!(enabled));
                if !members.is_empty() {
                    after.insert("members", json!(members.iter().map(|member| &member.dn).collect::<Vec<_>>()));
                }
                json!({ "after": after })
            }
            Self::Update { changes, .. } => {
                let of = |values: fn(&AttributeChange) -> &[String]| -> BTreeMap<&str, Value> {
                    changes.iter().map(|change| (change.name.as_str(), shown(&change.name, values(change)))).collect()
                };
                json!({ "before": of(|change| &change.known), "after": of(|change| &change.wanted) })
            }
            Self::Move { container, name } => {
                let container = container.as_deref().map(|named| if named.is_empty() { SITES_OWN } else { named });
                json!({ "after": { "container": container, "name": name } })
            }
            Self::Enable => json!({ "before": { "enabled": false }, "after": { "enabled": true } }),
            Self::Disable => json!({ "before": { "enabled": true }, "after": { "enabled": false } }),
            Self::Delete => json!({}),
            Self::Unlock => json!({ "after": { "locked": false } }),
            Self::SetPassword { must_change, .. } => {
                json!({ "after": { "password": [crate::identity::attributes::MASK], "must_change": must_change } })
            }
            Self::Members { add, remove } => {
                let dns = |all: &[Reference]| all.iter().map(|one| one.dn.clone()).collect::<Vec<_>>();
                json!({ "before": { "members": dns(remove) }, "after": { "members": dns(add) } })
            }
        }
    }
}
