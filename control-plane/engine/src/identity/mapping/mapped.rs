//! What mapping makes of an account.

use std::borrow::Cow;

use super::rules::Failed;

/// The user that an account maps to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MappedUser<'e> {
    /// The user name; `None` if the entry has no login.
    pub user_name: Option<Cow<'e, str>>,
    /// First name.
    pub given_name: Option<Cow<'e, str>>,
    /// Last name.
    pub family_name: Option<Cow<'e, str>>,
    /// The display name.
    pub display_name: Option<Cow<'e, str>>,
    /// Address of the first mailbox.
    pub email: Option<Cow<'e, str>>,
    /// Whether the account is enabled.
    pub active: bool,
    /// Further attributes, a JSON object of strings.
    pub attributes: String,
    /// The rules that failed. Their targets have what the default mapping gives.
    pub failed: Vec<Failed>,
}

/// The group that an account maps to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MappedGroup<'e> {
    /// The display name.
    pub display_name: Cow<'e, str>,
    /// The description.
    pub description: Option<Cow<'e, str>>,
    /// The rules that failed. Their targets have what the default mapping gives.
    pub failed: Vec<Failed>,
}

/// The name of an attribute without its options.
pub(super) fn base(name: &str) -> &str {
    name.split_once(';').map_or(name, |(base, _)| base)
}
