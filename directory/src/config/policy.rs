//! `[directory.policy]`: what the control plane may do with this directory. It is read here and kept by the agent.

use serde::Deserialize;

use crate::change_kind::Kind;

/// `[directory.policy]`. Without this section nothing is written.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Nothing is written. Default true.
    pub read_only: bool,
    /// The kinds of change that are allowed. Unset: all.
    pub operations: Option<Vec<Kind>>,
    /// Base DNs of imports must be one of these or below. Unset: no further rule.
    pub readable_containers: Option<Vec<String>>,
    /// Only entries below one of these are changed. Unset: the base DNs of users and groups, and the containers of new
    /// entries.
    pub writable_containers: Option<Vec<String>>,
    /// The attributes that `users` and `groups` may list. Unset: no further rule.
    pub readable_attributes: Option<Vec<String>>,
    /// The attributes that an operation may write. Unset: all that may be written at all.
    pub writable_attributes: Option<Vec<String>>,
    /// Entries that are never changed, with all that is below them.
    pub protected_dns: Vec<String>,
    /// Groups that are never changed, nor any of their members, through any number of groups.
    pub protected_groups: Vec<String>,
    /// The most entries deleted in any hour. Unset: no limit.
    pub max_deletes_per_hour: Option<u32>,
    /// The most users disabled in any hour. Unset: no limit.
    pub max_disables_per_hour: Option<u32>,
    /// The most passwords set in any minute. Unset: no limit.
    pub max_password_sets_per_minute: Option<u32>,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            read_only: true,
            operations: None,
            readable_containers: None,
            writable_containers: None,
            readable_attributes: None,
            writable_attributes: None,
            protected_dns: Vec::new(),
            protected_groups: Vec::new(),
            max_deletes_per_hour: None,
            max_disables_per_hour: None,
            max_password_sets_per_minute: None,
        }
    }
}
