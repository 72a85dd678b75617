//! Errors of services. The text for people is a whole sentence; surfaces only add their form.

use uuid::Uuid;

use crate::identity::profile::Wrong;
use crate::intake::effect::Effect;
use crate::records::{Role, UserId};

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The role of the actor does not have the right. Nothing was read or changed.
    #[error("This needs the role {needs}; the token has {has}.")]
    Denied {
        /// The role to ask for.
        needs: Role,
        /// The role of the actor.
        has: Role,
    },
    /// It does not exist in this organization; neither do things of other organizations.
    #[error(transparent)]
    NotFound(Message),
    /// A name means several things.
    #[error("{message}")]
    Ambiguous {
        /// What is wrong.
        message: Message,
        /// What the name could mean.
        candidates: Vec<Candidate>,
    },
    /// It contradicts the current state.
    #[error(transparent)]
    Conflict(Message),
    /// It would take values or names from more users and groups than a threshold allows, and nobody has confirmed that.
    #[error("{message}")]
    Unconfirmed {
        /// What would be lost.
        message: Message,
        /// All that would change.
        effect: Box<Effect>,
    },
    /// The object has changed since the version that the change is based on.
    #[error(transparent)]
    Outdated(Message),
    /// The user was merged into another.
    #[error("{message}")]
    Merged {
        /// What became of it.
        message: Message,
        /// The other one.
        into: UserId,
    },
    /// A value is invalid.
    #[error("the field {field:?} is wrong: {detail}")]
    Field {
        /// Its name.
        field: String,
        /// What it must be, as the end of a sentence.
        detail: String,
    },
    /// Several values are invalid.
    #[error("{} fields are wrong", .0.len())]
    Fields(Vec<Wrong>),
    /// A parameter of a list is invalid.
    #[error("the parameter {parameter:?} is wrong: {detail}")]
    Query {
        /// Its name.
        parameter: &'static str,
        /// What it must be, as the end of a sentence.
        detail: String,
        /// What to do about it.
        cure: Option<&'static str>,
    },
    /// Too many at a time. A later try may succeed.
    #[error(transparent)]
    Busy(Message),
    /// The database is full or cannot be reached. A later try may succeed.
    #[error(transparent)]
    Unavailable(postern_store::Error),
    /// A fault of the control plane.
    #[error(transparent)]
    Internal(postern_store::Error),
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Message {
    /// A sentence.
    pub text: String,
    /// What to do, in a sentence. `None`: nothing to suggest.
    pub cure: Option<String>,
    /// The fields that this is about, by their names in requests. Empty: it is about the whole.
    pub fields: Vec<String>,
}

/// A thing that a name could mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
}

impl Message {
    /// A sentence without a remedy.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), cure: None, fields: Vec::new() }
    }

    /// Names a field that this is about.
    pub(super) fn about(mut self, field: impl Into<String>) -> Self {
        self.fields.push(field.into());
        self
    }

    /// Adds what to do.
    pub(super) fn cure(self, cure: impl Into<String>) -> Self {
        Self { cure: Some(cure.into()), ..self }
    }
}

impl Error {
    /// No thing of this kind has the id or name.
    pub(super) fn no(what: &str) -> Self {
        Self::NotFound(Message::new(format!("There is no such {what}.")))
    }

    /// An invalid value.
    pub(super) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Field { field: field.into(), detail: detail.into() }
    }

    /// An invalid parameter of a list.
    pub(super) fn query(parameter: &'static str, detail: impl Into<String>) -> Self {
        Self::Query { parameter, detail: detail.into(), cure: None }
    }
}

impl From<postern_store::Error> for Error {
    fn from(error: postern_store::Error) -> Self {
        use postern_store::Error as E;
        match error {
            E::NotFound { .. } => Self::NotFound(Message::new(sentence(&error.to_string()))),
            E::Conflict { what, .. } => Self::Conflict(Message::new(sentence(&what))),
            E::StorageFull(_) | E::Unavailable(_) => Self::Unavailable(error),
            other => Self::Internal(other),
        }
    }
}

/// A clause as a sentence.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}
