//! What may be asked for: one change of one entry, as the end that is wanted.

use bytes::Bytes;
use secrecy::SecretString;

use crate::error::Phase;

/// One wanted change.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Whether the entry is a user or a group.
    pub phase: Phase,
    /// Which entry. A create has neither an external id nor a DN.
    pub subject: Subject,
    /// What to change.
    pub change: Change,
}

/// Which entry: by its external id, and then the DN that it has now counts; or, where only that is known, by its DN.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Subject {
    /// Its external id.
    pub external_id: Option<String>,
    /// The DN that is known of it. With an external id it only helps to prove that a deleted entry is gone.
    pub dn: Option<String>,
}

/// What to change.
#[derive(Clone, Debug)]
pub enum Change {
    /// Make the entry.
    Create(Create),
    /// Give attributes these values.
    Update(Vec<AttributeChange>),
    /// Give the entry another name or another container.
    Move(Move),
    /// Let the user in.
    Enable,
    /// Keep the user out.
    Disable,
    /// Remove the entry.
    Delete,
    /// Lift the lock that wrong passwords have caused.
    Unlock,
    /// Set the user's password.
    SetPassword(NewPassword),
    /// Add and remove members of the group.
    Members(MemberChange),
}

/// A new entry.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its container, below the configured one, as `ou=Sales`; a whole DN is refused. Unset or empty: the configured one.
    pub container: Option<String>,
    /// Its attributes. `objectClass` may be among them; otherwise the configured classes are used.
    pub attributes: Vec<(String, Vec<Bytes>)>,
    /// What some of the attributes are instead, where another entry has one of these values: the first whose values no entry
    /// has. Each has the same attributes.
    pub choices: Vec<Vec<(String, Vec<Bytes>)>>,
    /// Whether it was sent before, so that an entry that is in every way the new one may be that one.
    pub sent_before: bool,
    /// The external ids of entries that are somebody else's, although they may look the same.
    pub others: Vec<String>,
    /// Users: whether the directory lets the user in afterwards. A user without a password is never enabled.
    pub enabled: bool,
    /// Users: the first password.
    pub password: Option<NewPassword>,
    /// Groups: the first members.
    pub members: Vec<Subject>,
    /// What to do where an entry with the same unique attribute exists.
    pub existing: Existing,
}

/// What to do where an entry with the same unique attribute exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// Take it as the wanted entry. It is not changed.
    Adopt,
    /// Fail, unless it is in every way what was to be created.
    Conflict,
}

/// The values that an attribute is to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttributeChange {
    /// Its name.
    pub name: String,
    /// What the control plane last knew. `None`: do not compare.
    pub known: Option<Vec<Bytes>>,
    /// What it is to have; empty: no value.
    pub wanted: Vec<Bytes>,
    /// What to do if the attribute has neither the known nor the wanted values.
    pub both_changed: BothChanged,
}

/// Who is right if an attribute was changed at both ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BothChanged {
    /// The control plane: the wanted values are written.
    SourceWins,
    /// The directory: the attribute stays.
    TargetWins,
    /// Nobody: the whole operation is refused, and nothing is written.
    Refuse,
}

/// Another name or container.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Move {
    /// The container, as in [`Create::container`]; empty: the configured one. Unset: it stays where it is.
    pub container: Option<String>,
    /// The new value of the attribute that names the entry. Unset: it keeps its name.
    pub name: Option<String>,
}

/// A password to set.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// The password.
    pub password: SecretString,
    /// Whether the user must change it at the next logon.
    pub must_change: bool,
}

/// Members to add and to remove.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MemberChange {
    /// Who is to be a member.
    pub add: Vec<Subject>,
    /// Who is not to be one.
    pub remove: Vec<Subject>,
}

impl Operation {
    /// Whether it looks for a name that no entry has.
    pub(crate) fn chooses(&self) -> bool {
        matches!(&self.change, Change::Create(create) if !create.choices.is_empty())
    }
}

impl Subject {
    /// An entry by its external id.
    pub fn id(external_id: impl Into<String>) -> Self {
        Self { external_id: Some(external_id.into()), dn: None }
    }

    /// An entry by its DN.
    pub fn dn(dn: impl Into<String>) -> Self {
        Self { external_id: None, dn: Some(dn.into()) }
    }
}
