//! Attributes that an organization has defined for its users.

use serde_json::Value;

use crate::ids::UserId;

named! {
    /// What values an attribute takes.
    AttributeType {
        /// A text.
        String = "string",
        /// True or false.
        Boolean = "boolean",
        /// A whole number.
        Integer = "integer",
        /// A time, as RFC 3339 writes it.
        DateTime = "date_time",
        /// A list of texts.
        StringList = "string_list",
    }
}

/// A defined attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeDefinition {
    /// Its name.
    pub name: String,
    /// What values it takes.
    pub kind: AttributeType,
    /// Every user that an administrator makes must have it.
    pub required: bool,
    /// No two users have the same value.
    pub unique: bool,
    /// Its values are masked in the audit log and in reports.
    pub sensitive: bool,
}

/// A value of a unique attribute that was not written, because another user has it.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedValue {
    /// The user who keeps what they had.
    pub user: UserId,
    /// The attribute.
    pub name: String,
    /// The value.
    pub value: Value,
}
