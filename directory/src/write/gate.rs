//! The site's veto: asked when the entry was found and read, and before anything is written.

use postern_dn::Dn;

pub use crate::change_kind::Kind;
use crate::error::Phase;
use crate::failure::Denied;

/// What the site allows. It must answer without waiting: a request is held up by it.
pub trait Gate: Send + Sync {
    /// Groups whose members are protected. Membership through other groups counts; it is looked up before
    /// [`permit`](Self::permit) is asked.
    fn protected_groups(&self) -> &[Dn];

    /// Whether this may be done.
    fn permit(&self, intent: &Intent<'_>) -> Result<(), Denied>;
}

/// What is about to be done.
#[derive(Clone, Debug)]
pub struct Intent<'a> {
    /// What kind of change it is.
    pub kind: Kind,
    /// Whether the entry is a user or a group.
    pub phase: Phase,
    /// The entry's external id; a new entry has none yet.
    pub external_id: Option<&'a str>,
    /// The DN that the entry has now, or that a new one will have.
    pub dn: &'a Dn,
    /// The DN after a rename or move.
    pub destination: Option<&'a Dn>,
    /// Attributes that the operation asks to write. Those that this room writes by itself, such as the switch of
    /// [`Kind::Disable`] or the configured classes of a new entry, are not among them.
    pub attributes: Vec<Written>,
    /// Groups whose members change: the group itself, or groups that list an entry that is deleted.
    pub groups: Vec<&'a Dn>,
    /// Who is added or removed.
    pub members: Vec<&'a Dn>,
    /// The first protected group that one of these members is a member of, through any number of groups.
    pub members_group: Option<&'a Dn>,
    /// Whether a password is set by it too, as when a user is created with one.
    pub sets_password: bool,
    /// What the entry says of itself, as read now.
    pub facts: &'a Facts,
    /// Whether the same operation was permitted a moment ago and is only repeated after a broken connection. It counts
    /// once.
    pub again: bool,
}

/// An attribute that will be written, by every name that it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// As the operation names it.
    pub description: String,
    /// Its names and its OID in the server's schema and in the standards, in lower case and without options.
    pub names: Vec<String>,
}

impl Written {
    /// Whether this attribute is meant by a name, in any case and with or without options.
    pub fn is(&self, name: &str) -> bool {
        let base = name.split(';').next().unwrap_or_default().trim();
        let base = match base.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("oid.") => base.get(4..).unwrap_or_default(),
            _ => base,
        };
        self.names.iter().any(|known| known.eq_ignore_ascii_case(base))
    }
}

/// What an entry says of itself.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and any of them may be true together")]
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Facts {
    /// Active Directory: it is or was a member of an administrators' group (`adminCount: 1`).
    pub admin_count: bool,
    /// Active Directory: the system needs it (`isCriticalSystemObject`).
    pub is_critical: bool,
    /// Active Directory: it is one of the accounts and groups that the system made.
    pub is_builtin: bool,
    /// It is the account by which we bind.
    pub is_bind_account: bool,
    /// The first protected group that it is, or that it is a member of through any number of groups.
    pub protected_group: Option<Dn>,
    /// The first protected group that an entry below this one is a member of. Looked up where entries below go with it.
    pub protected_below: Option<Dn>,
}
