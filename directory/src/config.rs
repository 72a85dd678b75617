//! The configuration of one directory, as it stands in the agent's file. It never leaves the site.

mod credentials;
mod policy;
mod validation;
mod write;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub use credentials::SecretError;
pub(crate) use credentials::{Credentials, credentials, read_file};
pub use policy::PolicyConfig;
pub use validation::{ConfigError, Problem};
pub use write::{DisableBy, WriteConfig};

use postern_dn::attribute_names::standard_name;

/// One `[[directory]]` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryConfig {
    /// The name by which the control plane knows this directory.
    #[serde(default)]
    pub name: String,
    /// What kind of server it is. Unset: as the server says. Set: another kind of server is refused.
    pub kind: Option<ServerKind>,
    /// `ldaps://host:port` or `ldap://host:port`, tried in order until one answers.
    #[serde(default)]
    pub urls: Vec<String>,
    /// PEM file with the authorities to trust; unset: those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Upgrade `ldap://` connections with STARTTLS before anything else is sent.
    #[serde(default)]
    pub start_tls: bool,
    /// Allow `ldap://` without TLS. Others on the network can then read passwords and personal data.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// PEM file with the client certificate (and its chain) to show to the server.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with the key of `client_cert_file`.
    pub client_key_file: Option<PathBuf>,
    /// The account to bind with: a DN, or for Active Directory also `name@domain`. Unset: SASL EXTERNAL with the
    /// client certificate.
    pub bind_dn: Option<String>,
    /// File with the bind password. The agent reads it at each connection.
    pub bind_password_file: Option<PathBuf>,
    /// Name of the systemd credential with the bind password.
    pub bind_password_credential: Option<String>,
    /// The bind password itself. A file is safer.
    pub bind_password: Option<SecretString>,
    /// Attribute that names an entry for ever; unset: as the flavour has it (objectGUID, entryUUID, nsUniqueId).
    pub external_id_attribute: Option<String>,
    /// Import what the system made for itself too: `krbtgt`, `Guest`, the groups below `S-1-5-32`. Default false.
    #[serde(default)]
    pub include_builtin: bool,
    /// Entries in one page of a search. Default 500.
    #[serde(default = "default_page_size")]
    pub page_size: u32,
    /// Seconds to reach a server, TLS and bind included. Default 10.
    #[serde(default = "default_connect_timeout_secs")]
    pub connect_timeout_secs: u64,
    /// Seconds that one operation, or one page of a search, may take. Default 60.
    #[serde(default = "default_operation_timeout_secs")]
    pub operation_timeout_secs: u64,
    /// Where users are, and what of them is read.
    #[serde(default)]
    pub users: UsersConfig,
    /// Where groups are. Unset: no groups are read, or as the flavour has them if `users` is unset, too.
    pub groups: Option<GroupsConfig>,
    /// How changes are written; unset: nothing is written.
    pub write: Option<WriteConfig>,
    /// What the control plane may change. Default: nothing.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// Attributes that the site's policy keeps back, by any of their names. Not a key of the section.
    #[serde(skip)]
    pub excluded_attributes: Vec<String>,
}

/// A kind of server, as the file names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerKind {
    /// Active Directory.
    ActiveDirectory,
    /// OpenLDAP.
    #[serde(rename = "openldap")]
    OpenLdap,
    /// 389 Directory Server.
    Ds389,
    /// Any other.
    Generic,
}

impl Default for GroupsConfig {
    fn default() -> Self {
        Self {
            from_user_attribute: None,
            base_dns: Vec::new(),
            scope: Scope::default(),
            filter: None,
            member_attribute: None,
            attributes: ["cn", "displayName", "description", "mail"].map(str::to_owned).to_vec(),
        }
    }
}

/// `[directory.users]`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsersConfig {
    /// Where to search; none may lie within another. Empty: in the server's tree.
    #[serde(deserialize_with = "some")]
    pub base_dns: Vec<String>,
    /// How far below each base DN. Default `subtree`.
    pub scope: Scope,
    /// Which entries are users; unset: as the flavour has it.
    pub filter: Option<String>,
    /// The login of a user: `uid`, `mail`, `sAMAccountName`, … Empty: as the flavour has it.
    #[serde(deserialize_with = "a_word")]
    pub unique_attribute: String,
    /// The attributes that may leave the site, in this order. Empty: as the flavour has them.
    #[serde(deserialize_with = "some")]
    pub attributes: Vec<String>,
}

/// `[directory.groups]`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupsConfig {
    /// The attribute of users that names their groups, such as `memberOf`. Unset: groups are read as entries. Set: the
    /// other keys of this section are not used.
    pub from_user_attribute: Option<String>,
    /// Where to search; none may lie within another. Empty: where users are.
    #[serde(deserialize_with = "some")]
    pub base_dns: Vec<String>,
    /// How far below each base DN. Default `subtree`.
    pub scope: Scope,
    /// Which entries are groups; unset: as the flavour has it.
    pub filter: Option<String>,
    /// The attribute that lists the members. Unset: that of each group's class, `member`, `uniqueMember` or `memberUid`.
    pub member_attribute: Option<String>,
    /// The attributes that may leave the site, in this order. Default: the usual ones.
    pub attributes: Vec<String>,
}

/// How far a search reaches (RFC 4511 §4.5.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The base entry alone.
    Base,
    /// The entries right below it.
    #[serde(alias = "one_level", alias = "onelevel")]
    One,
    /// It and everything below.
    #[default]
    #[serde(alias = "sub")]
    Subtree,
}

/// What the members of this directory's groups are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberForm {
    /// Distinguished names (`member`, `uniqueMember`).
    Dn,
    /// Values of the users' unique attribute (`memberUid`).
    UniqueValue,
    /// Users name their groups (`memberOf`).
    GroupNames,
}

impl DirectoryConfig {
    /// Every attribute that the section names.
    pub(crate) fn attribute_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.users.attributes.iter().map(String::as_str).collect();
        names.push(&self.users.unique_attribute);
        names.extend(self.external_id_attribute.as_deref());
        if let Some(attribute) = self.group_attribute() {
            names.push(attribute);
        } else if let Some(groups) = &self.groups {
            names.extend(groups.member_attribute.as_deref());
            names.extend(["member", "uniqueMember", "memberUid"]);
            names.extend(groups.attributes.iter().map(String::as_str));
        }
        names
    }

    /// The key of an attribute that an import cannot do without and that `stays`.
    pub(crate) fn kept_back(&self, stays: impl Fn(&str) -> bool) -> Option<&'static str> {
        let member = self.groups.as_ref().and_then(|groups| groups.member_attribute.as_deref());
        let needed = [
            ("users.unique_attribute", Some(self.users.unique_attribute.as_str())),
            ("groups.member_attribute", member),
            ("groups.from_user_attribute", self.group_attribute()),
            ("external_id_attribute", self.external_id_attribute.as_deref()),
        ];
        needed.into_iter().find(|(_, name)| name.is_some_and(&stays)).map(|(key, _)| key)
    }

    /// The attribute of users that names their groups.
    pub(crate) fn group_attribute(&self) -> Option<&str> {
        self.groups.as_ref().and_then(|groups| groups.from_user_attribute.as_deref())
    }

    /// The section of group entries. `None`: none are read.
    pub(crate) fn group_entries(&self) -> Option<&GroupsConfig> {
        self.groups.as_ref().filter(|groups| groups.from_user_attribute.is_none())
    }

    /// What the members of the groups are. `memberUid` names people by `uid` (RFC 2307): that is the unique value only
    /// where `unique_attribute` is `uid`; otherwise the members are looked up, and their DNs are sent.
    pub fn member_form(&self) -> MemberForm {
        if self.group_attribute().is_some() {
            return MemberForm::GroupNames;
        }
        let is = |name: &str, known: &str| standard_name(name).is_some_and(|name| name == known);
        let by_uid =
            |groups: &GroupsConfig| groups.member_attribute.as_deref().is_some_and(|name| is(name, "memberuid"));
        let by_login = self.groups.as_ref().is_some_and(by_uid) && is(&self.users.unique_attribute, "uid");
        if by_login { MemberForm::UniqueValue } else { MemberForm::Dn }
    }

    /// How long reaching a server may take.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_secs)
    }

    /// How long one operation or page may take.
    pub fn operation_timeout(&self) -> Duration {
        Duration::from_secs(self.operation_timeout_secs)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Base => "base",
            Self::One => "one",
            Self::Subtree => "subtree",
        })
    }
}

/// A list that is written down has something in it: an empty one is no way to ask for the default.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Vec::deserialize(deserializer)? {
        list if list.is_empty() => Err(D::Error::custom("the list is empty; remove the key to use the default")),
        list => Ok(list),
    }
}

/// The same of a text.
fn a_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match String::deserialize(deserializer)? {
        text if text.trim().is_empty() => Err(D::Error::custom("the text is empty; remove the key to use the default")),
        text => Ok(text),
    }
}

fn default_page_size() -> u32 {
    500
}

fn default_connect_timeout_secs() -> u64 {
    10
}

fn default_operation_timeout_secs() -> u64 {
    60
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The example of the manual.
    pub(crate) fn corp() -> DirectoryConfig {
        DirectoryConfig {
            name: "corp".to_owned(),
            kind: None,
            urls: vec!["ldaps://ldap1.corp.example:636".to_owned(), "ldaps://ldap2.corp.example:636".to_owned()],
            ca_file: None,
            start_tls: false,
            allow_plaintext: false,
            client_cert_file: None,
            client_key_file: None,
            bind_dn: Some("cn=reader,dc=corp,dc=example".to_owned()),
            bind_password_file: Some("/etc/postern/corp.secret".into()),
            bind_password_credential: None,
            bind_password: None,
            external_id_attribute: None,
            include_builtin: false,
            page_size: default_page_size(),
            connect_timeout_secs: default_connect_timeout_secs(),
            operation_timeout_secs: default_operation_timeout_secs(),
            users: UsersConfig {
                base_dns: vec!["ou=people,dc=corp,dc=example".to_owned()],
                scope: Scope::Subtree,
                filter: Some("(objectClass=inetOrgPerson)".to_owned()),
                unique_attribute: "uid".to_owned(),
                attributes: vec!["uid".to_owned(), "cn".to_owned()],
            },
            groups: Some(GroupsConfig {
                from_user_attribute: None,
                base_dns: vec!["ou=groups,dc=corp,dc=example".to_owned()],
                scope: Scope::Subtree,
                filter: Some("(objectClass=groupOfNames)".to_owned()),
                member_attribute: Some("member".to_owned()),
                attributes: vec!["cn".to_owned(), "description".to_owned()],
            }),
            write: None,
            policy: PolicyConfig::default(),
            excluded_attributes: Vec::new(),
        }
    }

    #[test]
    fn member_uid_means_unique_values() {
        let mut config = corp();
        assert_eq!(config.member_form(), MemberForm::Dn);
        config.groups.as_mut().expect("groups").member_attribute = Some("memberUID".to_owned());
        assert_eq!(config.member_form(), MemberForm::UniqueValue);
        config.users.unique_attribute = "mail".to_owned();
        assert_eq!(config.member_form(), MemberForm::Dn, "memberUid means uid, whatever the login is");
        config.users.unique_attribute = "userid".to_owned();
        assert_eq!(config.member_form(), MemberForm::UniqueValue);
    }

    #[test]
    fn a_withheld_attribute_an_open_password_and_the_global_catalog_are_warned_about() {
        let mut config = corp();
        config.bind_password = Some("hunter2".to_owned().into());
        config.users.attributes.push("userPassword;x-old".to_owned());
        config.urls.push("ldaps://dc1.corp.example:3269".to_owned());
        let warnings: Vec<_> = config.warnings().into_iter().map(|problem| problem.key).collect();
        assert_eq!(warnings, ["bind_password", "urls", "users.attributes"]);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
