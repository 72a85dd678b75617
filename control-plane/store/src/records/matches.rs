//! Users as imports find them for accounts, and accounts that stay without one.

use jiff::Timestamp;

use super::Account;
use crate::ids::{AccountId, UserId};

/// A user found by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the answer, and they are independent")]
pub struct NamedUser {
    /// The folded user name.
    pub name_key: String,
    /// The user.
    pub user: UserId,
    /// Its account in the directory that is being imported, unless that is missing.
    pub account: Option<AccountId>,
    /// That account's DN.
    pub dn: Option<String>,
    /// Whether it has a missing account in this directory.
    pub missing_here: bool,
    /// Whether the given import has marked such an account missing.
    pub left_now: bool,
    /// Whether that account was enabled.
    pub left_on: bool,
    /// Whether it has an account in another directory that is not missing.
    pub elsewhere: bool,
    /// Whether it has a missing account in another directory that is not deleted.
    pub missing_elsewhere: bool,
    /// Whether it is missing or inactive, also if that was so when its directory was deleted.
    pub has_left: bool,
    /// Whether one of those is in an earlier directory, which then provides the profile.
    pub owned_elsewhere: bool,
    /// Whether the organization has made the user itself.
    pub is_own: bool,
    /// Whether it is inactive only because an administrator has disabled it.
    pub only_suspended: bool,
    /// Whether the organization lets accounts join users of other directories.
    pub may_be_joined: bool,
}

/// A user that an account has or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUser {
    /// The user.
    pub user: UserId,
    /// Its folded name.
    pub name_key: String,
    /// Whether it has an account in this directory that is not missing.
    pub here: bool,
    /// Whether it has a present account in another directory.
    pub elsewhere: bool,
    /// Whether one of those is in an earlier directory, whose values come before.
    pub owned_elsewhere: bool,
}

/// A user that has a value which no other user has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedUser {
    /// The user.
    pub user: UserId,
    /// Its folded name.
    pub name_key: String,
}

/// An account that an administrator wants to stay without a user.
#[derive(Clone, Debug, PartialEq)]
pub struct IgnoredAccount {
    /// The account.
    pub account: Account,
    /// The folded user name that it claimed.
    pub name_key: String,
    /// Since when.
    pub at: Timestamp,
    /// Who decided it, for people.
    pub by: String,
}

/// An account that claims a user name which another user has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The account without the name: it has no user, or a user with an older name.
    pub account: Account,
    /// The folded user name.
    pub name_key: String,
    /// The user that has the name.
    pub user: Option<UserId>,
    /// The DN of that user's account, in the same directory if possible.
    pub holder_dn: Option<String>,
    /// Who that user is.
    pub holder: Holder,
}

named! {
    /// Who has a user name.
    Holder {
        /// Nobody has it any more. The next import gives it away.
        Nobody = "nobody",
        /// A user whom a directory has.
        Directory = "directory",
        /// A user whom no directory has any more.
        Gone = "gone",
        /// A user whom the organization made, and whom no directory has had.
        Organization = "organization",
    }
}
