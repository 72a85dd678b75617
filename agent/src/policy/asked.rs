//! An operation as an administrator writes it down to have it explained.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use crate::served::Phase;
use crate::served::write::{
    AttributeChange, BothChanged, Change, Create, Existing, MemberChange, Move, NewPassword, Operation, Subject,
};

/// Stands for a password that is never sent.
const NO_PASSWORD: &str = "explained, and never sent";

/// An operation in JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The directory, by its name in the configuration. Unset: the only one.
    pub directory: Option<String>,
    /// Whether it is about a user or a group.
    pub entry_kind: EntryKind,
    /// The entry. A create has none.
    #[serde(default)]
    pub entry: Reference,
    /// What to change.
    pub change: AskedChange,
}

/// A user or a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A user.
    User,
    /// A group.
    Group,
}

/// An entry by its external id or its DN.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reference {
    /// Its external id.
    pub external_id: Option<String>,
    /// Its DN.
    pub dn: Option<String>,
}

type Attributes = BTreeMap<String, Vec<String>>;

/// What to change.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AskedChange {
    /// Make the entry.
    Create {
        /// Its container.
        container: Option<String>,
        /// Its attributes.
        attributes: Attributes,
        /// With a password.
        #[serde(default)]
        password: bool,
        /// Whether the user may sign in at once. Active Directory needs a password for that.
        #[serde(default = "yes")]
        enabled: bool,
        /// Its members.
        #[serde(default)]
        members: Vec<Reference>,
    },
    /// Give attributes these values.
    Update(Attributes),
    /// Give it another name or container.
    Move {
        /// The new container.
        container: Option<String>,
        /// The new name.
        name: Option<String>,
    },
    /// Let the user in.
    Enable,
    /// Keep the user out.
    Disable,
    /// Remove the entry.
    Delete,
    /// Lift a lock after wrong passwords.
    Unlock,
    /// Set a password.
    SetPassword,
    /// Change who is a member.
    Members {
        /// Who joins.
        #[serde(default)]
        add: Vec<Reference>,
        /// Who leaves.
        #[serde(default)]
        remove: Vec<Reference>,
    },
}

impl Asked {
    /// The operation as the agent would be sent it.
    pub fn operation(&self) -> Operation {
        let phase = match self.entry_kind {
            EntryKind::User => Phase::Users,
            EntryKind::Group => Phase::Groups,
        };
        Operation { phase, subject: subject(&self.entry), change: self.change() }
    }

    fn change(&self) -> Change {
        let values = |texts: &Vec<String>| texts.iter().map(|text| Bytes::from(text.clone())).collect::<Vec<_>>();
        let password = || NewPassword { password: NO_PASSWORD.to_owned().into(), must_change: false };
        match &self.change {
            AskedChange::Create { container, attributes, password: sets, enabled, members } => Change::Create(Create {
                container: container.clone(),
                attributes: attributes.iter().map(|(name, texts)| (name.clone(), values(texts))).collect(),
                enabled: *enabled,
                password: sets.then(password),
                members: members.iter().map(subject).collect(),
                choices: Vec::new(),
                sent_before: false,
                others: Vec::new(),
                existing: Existing::Conflict,
            }),
            AskedChange::Update(attributes) => {
                let change = |(name, texts): (&String, &Vec<String>)| AttributeChange {
                    name: name.clone(),
                    known: None,
                    wanted: values(texts),
                    both_changed: BothChanged::SourceWins,
                };
                Change::Update(attributes.iter().map(change).collect())
            }
            AskedChange::Move { container, name } => {
                Change::Move(Move { container: container.clone(), name: name.clone() })
            }
            AskedChange::Enable => Change::Enable,
            AskedChange::Disable => Change::Disable,
            AskedChange::Delete => Change::Delete,
            AskedChange::Unlock => Change::Unlock,
            AskedChange::SetPassword => Change::SetPassword(password()),
            AskedChange::Members { add, remove } => Change::Members(MemberChange {
                add: add.iter().map(subject).collect(),
                remove: remove.iter().map(subject).collect(),
            }),
        }
    }
}

fn yes() -> bool {
    true
}

fn subject(reference: &Reference) -> Subject {
    Subject { external_id: reference.external_id.clone(), dn: reference.dn.clone() }
}
