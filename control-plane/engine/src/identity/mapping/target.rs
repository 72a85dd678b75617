//! What rules are about, what they fill, and how they fail.

use postern_store::AccountKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest name of a further attribute.
const MAX_NAME: usize = 64;
/// Targets beside the fields begin like this.
const FURTHER: &str = "attributes.";

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleOf {
    /// Users.
    Users,
    /// Groups.
    Groups,
}

impl RuleOf {
    /// The kind of account that it maps.
    pub const fn kind(self) -> AccountKind {
        match self {
            Self::Users => AccountKind::User,
            Self::Groups => AccountKind::Group,
        }
    }
}

/// What a rule fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// First name.
    GivenName,
    /// Last name.
    FamilyName,
    /// How people see the user or group.
    DisplayName,
    /// Address of the first mailbox.
    Email,
    /// What a group is for.
    Description,
    /// A further attribute of this name.
    Further(String),
}

/// A rule that failed on an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The target of the rule.
    pub target: Target,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// What it read, cut.
    pub value: String,
}

impl Target {
    /// The target of this name.
    pub(super) fn named(of: RuleOf, name: &str) -> Result<Self, String> {
        Ok(match (of, name) {
            (RuleOf::Users, "given_name") => Self::GivenName,
            (RuleOf::Users, "family_name") => Self::FamilyName,
            (_, "display_name") => Self::DisplayName,
            (RuleOf::Users, "email") => Self::Email,
            (RuleOf::Groups, "description") => Self::Description,
            (RuleOf::Users, "user_name") => {
                return Err(
                    "the user name is always the login that the agent reads; set it in the agent's configuration"
                        .into(),
                );
            }
            (RuleOf::Users, name) if name.strip_prefix(FURTHER).is_some_and(is_name) => {
                Self::Further(name.trim_start_matches(FURTHER).to_owned())
            }
            (RuleOf::Users, _) => {
                return Err(
                    "users have the targets given_name, family_name, display_name, email, and attributes.NAME, \
                            where NAME is of lower case letters, digits and _"
                        .into(),
                );
            }
            (RuleOf::Groups, _) => return Err("groups have the targets display_name and description".into()),
        })
    }
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(letter)
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
}
