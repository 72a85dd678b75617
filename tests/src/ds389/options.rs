//! What a test directory is like: names that all have, and what a test chooses.

use crate::people::Population;

/// Naming context of every test directory.
pub const SUFFIX: &str = "dc=corp,dc=example";
/// The directory manager, which no ACI and no limit restricts.
pub const ADMIN: &str = "cn=Directory Manager";
/// The directory manager's password.
pub const ADMIN_PASSWORD: &str = "manager secret";
/// First password of the reader, as which the agent binds.
pub const READER_PASSWORD: &str = "reader secret";
/// A plug-in that is off by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// Keeps `memberOf`, for `member` and `uniqueMember`.
    MemberOf,
    /// Removes the DNs of the deleted from groups.
    ReferentialIntegrity,
    /// Numbers changes: `entryUSN`.
    Usn,
    /// `cn=changelog`.
    RetroChangelog,
    /// RFC 4533; needs the retro changelog.
    ContentSync,
    /// Locks people who have not logged in for long.
    AccountPolicy,
}

impl Plugin {
    /// Its name below `cn=plugins,cn=config`.
    pub fn common_name(self) -> &'static str {
        match self {
            Self::MemberOf => "MemberOf Plugin",
            Self::ReferentialIntegrity => "referential integrity postoperation",
            Self::Usn => "USN",
            Self::RetroChangelog => "Retro Changelog Plugin",
            Self::ContentSync => "Content Synchronization",
            Self::AccountPolicy => "Account Policy Plugin",
        }
    }
}

/// What kind of server to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who is in it.
    pub population: Population,
    /// Plug-ins to switch on.
    pub plugins: Vec<Plugin>,
    /// What the reader may do: the ACIs of the suffix.
    pub acis: Vec<String>,
    /// More lines of the reader's entry, such as `nsSizeLimit: 100`. By default: may read any number of entries.
    pub reader_ldif: String,
    /// More lines of `cn=config`, such as `passwordExp: on`.
    pub config_ldif: String,
    /// Entries of the test's own, below the suffix, loaded after the population.
    pub extra_ldif: String,
    /// A second backend holds `ou=branch` below the suffix, and these entries below that.
    pub branch_ldif: Option<String>,
}

impl Options {
    /// A plain server with this many people, whose reader reads everything but passwords.
    pub fn people(users: u32) -> Self {
        Self {
            population: Population::of(users),
            plugins: Vec::new(),
            acis: vec![reading("*", "targetattr != \"userPassword || aci\"")],
            reader_ldif: "nsPagedLookThroughLimit: -1\n".to_owned(),
            config_ldif: String::new(),
            extra_ldif: String::new(),
            branch_ldif: None,
        }
    }
}

/// The reader's DN.
pub(super) fn reader_dn() -> String {
    format!("uid=reader,ou=services,{SUFFIX}")
}

/// DN of the second backend's suffix.
pub(super) fn branch_dn() -> String {
    format!("ou=branch,{SUFFIX}")
}

/// An ACI that lets the reader read `target`.
pub(super) fn reading(name: &str, target: &str) -> String {
    let reader = reader_dn();
    format!(
        "({target})(version 3.0; acl \"reader {name}\"; allow (read, search, compare) userdn = \"ldap:///{reader}\";)"
    )
}

/// The mapping tree's entry of a suffix, which says where the suffix is.
pub(super) fn mapping_dn(suffix: &str) -> String {
    let escaped = suffix.replace('=', "\\3D").replace(',', "\\2C");
    format!("cn={escaped},cn=mapping tree,cn=config")
}
