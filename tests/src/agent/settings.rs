//! The agent's configuration file, and how it reads the directories of tests.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::certificates::write_private;
use crate::ds389::{self, Ds389};
use crate::people::{GROUP_ATTRIBUTES, USER_ATTRIBUTES};
use crate::samba::{self, Samba};
use crate::slapd::{self, Slapd};

/// The agent's configuration file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Settings {
    /// The way to the control plane.
    pub control_plane: ControlPlaneSettings,
    /// The site's policy.
    pub policy: PolicySettings,
    /// The directories served.
    #[serde(rename = "directory")]
    pub directories: Vec<DirectorySettings>,
}

/// `[control_plane]`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ControlPlaneSettings {
    /// HTTP proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// File with the proxy's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_password_file: Option<std::path::PathBuf>,
}

/// `[policy]`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PolicySettings {
    /// Attributes that never leave.
    pub excluded_attributes: Vec<String>,
}

/// `[[directory]]`.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "these are the keys of the configuration file, documented there")]
pub struct DirectorySettings {
    pub name: String,
    pub urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    pub start_tls: bool,
    pub allow_plaintext: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_dn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_password_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_password_credential: Option<String>,
    pub page_size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id_attribute: Option<String>,
    #[serde(skip_serializing_if = "UsersSettings::is_open")]
    pub users: UsersSettings,
    #[serde(skip_serializing_if = "GroupsSettings::is_open")]
    pub groups: GroupsSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<WriteSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<SitePolicySettings>,
}

/// `[directory.write]`.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "these are the keys of the configuration file, documented there")]
pub struct WriteSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder_member: Option<String>,
}

/// `[directory.policy]`.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "these are the keys of the configuration file, documented there")]
pub struct SitePolicySettings {
    pub read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable_containers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable_attributes: Option<Vec<String>>,
    pub protected_dns: Vec<String>,
    pub protected_groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deletes_per_hour: Option<u32>,
}

/// `[directory.users]`.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "these are the keys of the configuration file, documented there")]
pub struct UsersSettings {
    pub base_dns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    pub filter: String,
    pub unique_attribute: String,
    pub attributes: Vec<String>,
}

/// `[directory.groups]`.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "these are the keys of the configuration file, documented there")]
pub struct GroupsSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_user_attribute: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub base_dns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Empty: unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// Empty: unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub member_attribute: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
}

impl UsersSettings {
    /// All of it is left to the server.
    pub fn open() -> Self {
        let (base_dns, attributes) = (Vec::new(), Vec::new());
        Self { base_dns, scope: None, filter: String::new(), unique_attribute: String::new(), attributes }
    }

    fn is_open(&self) -> bool {
        self.base_dns.is_empty() && self.unique_attribute.is_empty()
    }
}

impl GroupsSettings {
    /// All of it is left to the server.
    pub fn open() -> Self {
        Self { from_user_attribute: None, ..Self::from_users("") }
    }

    fn is_open(&self) -> bool {
        self.from_user_attribute.is_none() && self.base_dns.is_empty()
    }

    /// Users name their groups in this attribute.
    pub fn from_users(attribute: &str) -> Self {
        Self {
            from_user_attribute: Some(attribute.to_owned()),
            base_dns: Vec::new(),
            scope: None,
            filter: String::new(),
            member_attribute: String::new(),
            attributes: Vec::new(),
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What differs between the directories of tests.
struct Place {
    url: String,
    ca_file: PathBuf,
    bind_dn: String,
    page_size: u32,
    users: UsersSettings,
    groups: GroupsSettings,
}

fn users(base_dn: String, filter: &str, unique_attribute: &str, attributes: &[&str]) -> UsersSettings {
    UsersSettings {
        base_dns: vec![base_dn],
        scope: None,
        filter: filter.to_owned(),
        unique_attribute: unique_attribute.to_owned(),
        attributes: owned(attributes),
    }
}

fn groups(base_dn: String, filter: &str, attributes: &[&str]) -> GroupsSettings {
    GroupsSettings {
        from_user_attribute: None,
        base_dns: vec![base_dn],
        scope: None,
        filter: filter.to_owned(),
        member_attribute: "member".to_owned(),
        attributes: owned(attributes),
    }
}

/// People and groups as OpenLDAP and 389 Directory Server keep them.
fn below(suffix: &str) -> (UsersSettings, GroupsSettings) {
    (
        users(format!("ou=people,{suffix}"), "(objectClass=inetOrgPerson)", "uid", &USER_ATTRIBUTES),
        groups(format!("ou=groups,{suffix}"), "(objectClass=groupOfNames)", &GROUP_ATTRIBUTES),
    )
}

impl DirectorySettings {
    /// A test's OpenLDAP as the example configures one; the password file is written into `folder`.
    pub fn slapd(name: &str, slapd: &Slapd, folder: &Path) -> Result<Self> {
        let (users, groups) = below(slapd::SUFFIX);
        let (url, ca_file, bind_dn) = (slapd.ldaps_url(), slapd.ca_file(), Slapd::reader_dn());
        let place = Place { url, ca_file, bind_dn, page_size: 100, users, groups };
        Self::at(place, name, folder, slapd::READER_PASSWORD)
    }

    /// A test's 389 Directory Server, configured as OpenLDAP is.
    pub fn ds389(name: &str, server: &Ds389, folder: &Path) -> Result<Self> {
        let (users, groups) = below(ds389::SUFFIX);
        let (url, ca_file, bind_dn) = (server.ldaps_url(), server.ca_file(), Ds389::reader_dn());
        let place = Place { url, ca_file, bind_dn, page_size: 100, users, groups };
        Self::at(place, name, folder, ds389::READER_PASSWORD)
    }

    /// A test's Active Directory.
    pub fn samba(name: &str, samba: &Samba, folder: &Path) -> Result<Self> {
        let (filter, attributes) = ("(&(objectCategory=person)(objectClass=user))", &samba::USER_ATTRIBUTES);
        let place = Place {
            url: samba.ldaps_url(),
            ca_file: samba.ca_file(),
            bind_dn: samba::ADMIN.to_owned(),
            page_size: 500,
            users: users(Samba::staff_dn(), filter, "sAMAccountName", attributes),
            groups: groups(Samba::staff_dn(), "(objectClass=group)", &["cn", "description"]),
        };
        Self::at(place, name, folder, samba::ADMIN_PASSWORD)
    }

    fn at(place: Place, name: &str, folder: &Path, password: &str) -> Result<Self> {
        let Place { url, ca_file, bind_dn, page_size, users, groups } = place;
        let settings = Self {
            name: name.to_owned(),
            urls: vec![url],
            ca_file: Some(ca_file),
            start_tls: false,
            allow_plaintext: false,
            client_cert_file: None,
            client_key_file: None,
            bind_dn: Some(bind_dn),
            bind_password_file: Some(folder.join(format!("{name}.secret"))),
            bind_password_credential: None,
            page_size,
            external_id_attribute: None,
            users,
            groups,
            write: None,
            policy: None,
        };
        settings.set_password(password)?;
        Ok(settings)
    }

    /// Writes the bind password's file anew, as a secret store that rotates it would.
    pub fn set_password(&self, password: &str) -> Result<()> {
        let file = self.bind_password_file.as_ref().context("no password file")?;
        write_private(file, password.as_bytes())
    }
}
