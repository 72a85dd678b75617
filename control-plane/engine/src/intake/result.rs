//! What an import brought, as its job keeps it and the API shows it.

use std::collections::BTreeMap;

use postern_store::Holder;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::people::Person;

/// What an import brought. Lists of samples have at most 20 items; the number of the same name counts them all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ImportResult {
    /// Users in the directory.
    pub users: u64,
    /// Groups in the directory.
    pub groups: u64,
    /// New accounts.
    pub created: u64,
    /// Changed accounts.
    pub updated: u64,
    /// Accounts that were missing and came back.
    pub returned: u64,
    /// Unchanged accounts.
    pub unchanged: u64,
    /// Accounts that are marked missing from now on.
    pub missing: u64,
    /// Not found, not marked: they may be among the entries that could not be used.
    pub missing_spared: u64,
    /// Not found, not marked: another directory server was read, which may be behind the last one.
    pub missing_other_server: u64,
    /// Not found, not marked: the agent is too old to look for them directly.
    pub missing_not_looked_for: u64,
    /// Of the missing, those that are still in the directory, outside of base DNs, scope or filter.
    pub missing_left_scope: u64,
    /// Of these, users whom the directory does not let in. They are inactive, whatever other directories say.
    pub missing_disabled: u64,
    /// Some of them by DN.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_disabled_samples: Vec<String>,
    /// Not found, not marked: it is unknown whether they exist.
    pub not_visible: u64,
    /// Some of them.
    pub not_visible_samples: Vec<NotVisible>,
    /// Users who left and became inactive.
    pub deactivated: u64,
    /// Some of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deactivated_samples: Vec<Person>,
    /// Users for whom it is unknown whether they are enabled.
    pub unknown_switches: u64,
    /// The attributes that say so, where they cannot be read. `null`: they can.
    pub unreadable_switch: Option<String>,
    /// Some of these users by DN, each with the attribute that cannot be read.
    pub unknown_switch_samples: Vec<String>,
    /// Accounts whose user name another user has.
    pub conflicts: u64,
    /// Some of them.
    pub conflict_samples: Vec<ConflictSample>,
    /// Accounts that share a user with another directory from now on.
    pub joined: u64,
    /// Some of them.
    pub joined_samples: Vec<JoinedSample>,
    /// Entries without a login.
    pub without_login: u64,
    /// Some of them.
    pub without_login_samples: Vec<WithoutLogin>,
    /// Members of groups.
    pub members_resolved: u64,
    /// Members whose entries have no user, as without a login or in a conflict.
    pub members_without_user: u64,
    /// Members that point to no imported entry, or whose DN or login several entries have.
    pub members_unresolved: u64,
    /// Of these, those whose DN or login several entries have. They are none of them.
    pub members_ambiguous: u64,
    /// Some of them.
    pub members_unresolved_samples: Vec<UnresolvedMember>,
    /// Pages that the agent read.
    pub pages: u64,
    /// Referrals that were not followed.
    pub referrals: u64,
    /// Entries that could not be used.
    pub unusable: u64,
    /// Some of them, with the reason.
    pub unusable_samples: Vec<String>,
    /// Values that were too large to be kept; their entries came without them.
    pub values_left_out: u64,
    /// Some of them, by entry and attribute.
    pub left_out_samples: Vec<String>,
    /// Entries that were left out, and groups whose members were not read.
    pub remarks: u64,
    /// Some of them, with the reason.
    pub remark_samples: Vec<String>,
    /// Containers that were named as deleted but covered no account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone_unused: Vec<String>,
    /// How often a mapping rule failed. What it fills keeps the last good value.
    pub rule_failures: u64,
    /// Some of the failures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_failure_samples: Vec<RuleFailureSample>,
    /// Users who became active.
    pub became_active: u64,
    /// Some of them, as their entries name them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub became_active_samples: Vec<Person>,
    /// Users who became inactive.
    pub became_inactive: u64,
    /// Some of them, as their entries name them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub became_inactive_samples: Vec<Person>,
    /// Users whose accounts now end within 30 days. They are active until then.
    pub ends_soon: u64,
    /// Users who got another user name.
    pub renamed: u64,
    /// Some of them, as their entries name them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub renamed_samples: Vec<Person>,
    /// Members that were removed from groups.
    pub members_removed: u64,
    /// Attributes that are gone from accounts that had them, with the number of accounts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes_gone: BTreeMap<String, u64>,
    /// Entries that got the user or group of one that was made anew.
    pub taken_over: u64,
    /// Some of them, as their entries name them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken_over_samples: Vec<Person>,
    /// Entries that came more than once, as where base DNs overlap.
    pub came_again: u64,
    /// Entries that were left out, because another entry has their external id.
    pub duplicates: u64,
    /// External ids that two or more entries have. Of each, one entry stays at most.
    pub shared_external_ids: u64,
    /// Some of the external ids, with their entries. `shared_external_ids` counts them all.
    pub duplicate_samples: Vec<DuplicateSample>,
    /// Sections of the agent's configuration that differ from those of the import before: `users`, `groups`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_configuration: Vec<String>,
}

/// An account that was not found and may still exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NotVisible {
    /// Its last known DN.
    pub dn: String,
    /// Its external id.
    pub external_id: String,
    /// Why nobody can say: `no_external_id`, `referral`, `container_unreadable`, `container_not_found`,
    /// `hidden_children`, `unavailable` or `not_visible`.
    pub reason: String,
    /// Its container, where that is not found. `null`: it is.
    pub container: Option<String>,
    /// The DN that this container seems to have now, because its other entries came under it. `null`: not known.
    pub renamed_to: Option<String>,
}

/// An account whose user name another user has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConflictSample {
    /// The user name, as names are compared.
    pub user_name: String,
    /// The account's DN.
    pub dn: String,
    /// The DN of the account of the user who has the name. `null`: that user has none.
    pub held_by_dn: Option<String>,
    /// Who that user is. `null`: not known.
    pub holder: Option<Holder>,
}

/// An account that shares a user with another directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct JoinedSample {
    /// The user.
    pub user_name: String,
    /// The account's DN.
    pub dn: String,
    /// The other directories. Empty: no other directory has the user.
    pub directories: String,
    /// The organization made the user.
    pub own: bool,
}

/// An entry without a login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct WithoutLogin {
    /// Its DN.
    pub dn: String,
    /// The name of the user that it keeps. `null`: it has no user.
    pub keeps: Option<String>,
}

/// A member that is none of the imported entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UnresolvedMember {
    /// The group.
    pub group: String,
    /// The member, as the group names it.
    pub member: String,
    /// The DNs of entries that all have this DN or login, as names are compared. Empty: no imported entry has it.
    pub shared_by: Vec<String>,
}

/// A mapping rule that failed on an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RuleFailureSample {
    /// The target of the rule.
    pub rule: String,
    /// The DN of the entry.
    pub dn: String,
    /// What is wrong.
    pub error: String,
    /// What the rule read, cut.
    pub value: String,
}

/// Entries that share an external id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DuplicateSample {
    /// The external id.
    pub external_id: String,
    /// The DNs of its entries.
    pub dns: Vec<String>,
}
