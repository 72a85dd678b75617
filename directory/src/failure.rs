//! Why an operation did not reach its end, in words for people and without a word of the configuration.

mod meaning;
mod results;

use thiserror::Error;

pub use self::meaning::{Action, Refusal};
pub use self::results::{ResultWords, results};

/// The site's policy forbids it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the site's policy does not allow this: {rule}")]
pub struct Denied {
    /// The rule, by its name in the configuration.
    pub rule: String,
    /// More words for the site's own log. They never leave.
    pub detail: Option<String>,
    /// Whether it may be allowed a little later, as where a limit for each hour is used up.
    pub for_now: bool,
}

/// Why an operation did not reach its end.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The configuration has no `[directory.write]`.
    #[error("this site does not let the agent write to the directory")]
    Off,
    /// The site's policy forbids it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The entry is not found. It may be gone, or hidden from us.
    #[error("the entry is not found")]
    NotFound,
    /// The entry is not found, and it cannot be shown that it is gone.
    #[error("the entry is not found, but the directory does not show that it is gone")]
    AbsenceUnproven,
    /// Several entries have this unique attribute.
    #[error("several entries have the same {attribute}")]
    Ambiguous {
        /// The unique attribute.
        attribute: String,
    },
    /// Another entry has this name or unique attribute.
    #[error("another entry has this {what} already")]
    Taken {
        /// What it has: an attribute, or `name`.
        what: String,
    },
    /// Attributes were changed at both ends, and the rule is to refuse then.
    #[error("changed at both ends: {}", .attributes.join(", "))]
    BothChanged {
        /// Their names.
        attributes: Vec<String>,
    },
    /// The entry is protected whatever the policy says.
    #[error("the entry is protected: {reason}")]
    Protected {
        /// Why.
        reason: &'static str,
    },
    /// What was asked for makes no sense for this directory.
    #[error("{what}: {reason}")]
    Invalid {
        /// What of it: an attribute or another word of the operation.
        what: String,
        /// Why.
        reason: String,
    },
    /// The account is not enabled: it never had a password, or lost it when it was deleted.
    #[error("the account has no password yet")]
    NoPassword,
    /// A key of the configuration is needed for it.
    #[error("[directory.write] does not say how: {key}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What to write there.
        cure: &'static str,
    },
    /// The connection is not encrypted.
    #[error("passwords are only sent over an encrypted connection")]
    Unencrypted,
    /// Somebody else changed the entry each time that we were about to.
    #[error("the entry was changed by somebody else each time")]
    KeepsChanging,
    /// The directory said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection broke after the request was sent, and nobody can say whether it was executed.
    #[error("the connection broke, and whether the directory did it ({action}) is not known yet")]
    Unknown {
        /// What was sent.
        action: Action,
    },
}

impl Failure {
    /// What was asked for makes no sense.
    pub(crate) fn invalid(what: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.to_owned(), reason: reason.into() }
    }

    /// What happened, in words that hold no URL, DN, filter or value of the configuration or the directory.
    pub fn public_message(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.public_message(),
            other => other.to_string(),
        }
    }

    /// What an administrator can do about it.
    pub fn cure(&self) -> Option<String> {
        let text = match self {
            Self::Off => {
                "if the site wants changes to be written, add [directory.write] to this directory in the agent's \
                 configuration and reload the agent"
            }
            Self::Denied(_) => "the site's administrator can change this rule in the agent's configuration",
            Self::NotFound => {
                "run an import: the entry may have been deleted, or the bind account may not see it any more"
            }
            Self::AbsenceUnproven => {
                "let the bind account read the container in which the entry was, or delete the entry by hand and run an \
                 import"
            }
            Self::Ambiguous { .. } => "make the values of this attribute unique in the directory",
            Self::Taken { .. } => "choose another value, or link the user to the entry that has it",
            Self::BothChanged { .. } => "run an import, compare both, and decide which one is right",
            Self::Protected { .. } => "change this entry with the directory's own tools",
            Self::Invalid { .. } => "correct the mapping or the value",
            Self::NoPassword => "set a password: the account is enabled then",
            Self::Setting { cure, .. } => cure,
            Self::Unencrypted => "use an ldaps:// address in urls, or set start_tls = true",
            Self::KeepsChanging => "try again; if it stays so, find what else writes to this entry",
            Self::Refused(refusal) => return refusal.cure().map(str::to_owned),
            Self::Unknown { .. } => "nothing to do: the operation is sent again, and looks first what was done",
        };
        Some(text.to_owned())
    }

    /// Whether the same operation may go well a little later with nothing changed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::KeepsChanging | Self::Unknown { .. } => true,
            Self::Refused(refusal) => refusal.retryable(),
            Self::Denied(denied) => denied.for_now,
            _ => false,
        }
    }

    /// The directory's result code, where it was the directory that said no.
    pub fn ldap_result_code(&self) -> Option<u32> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }
}
