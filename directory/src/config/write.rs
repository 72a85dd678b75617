//! `[directory.write]`: where new entries go, what they are made of, and how this directory disables a user.

use serde::Deserialize;

/// `[directory.write]`. Without this section nothing is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteConfig {
    /// Where new users go, and what a container that an operation names as `ou=Sales` is below.
    pub user_container: Option<String>,
    /// The same for groups.
    pub group_container: Option<String>,
    /// Object classes of new users. Unset: `inetOrgPerson`, for Active Directory `user`.
    #[serde(default)]
    pub user_object_classes: Vec<String>,
    /// Object classes of new groups. Unset: `groupOfNames`, for Active Directory `group`.
    #[serde(default)]
    pub group_object_classes: Vec<String>,
    /// The attribute that names a new user within its container. Unset: `uid`, for Active Directory `cn`.
    pub user_rdn_attribute: Option<String>,
    /// The same for groups. Unset: `cn`.
    pub group_rdn_attribute: Option<String>,
    /// How a user is disabled; not for Active Directory, which has its own way.
    pub disable: Option<DisableBy>,
    /// The shell of a disabled user, for `disable = "shell"`.
    #[serde(default = "default_disabled_shell")]
    pub disabled_shell: String,
    /// The shell that a user gets when enabled, for `disable = "shell"`.
    #[serde(default = "default_enabled_shell")]
    pub enabled_shell: String,
    /// DN of the member of groups that would otherwise have none, where their class requires one.
    pub placeholder_member: Option<String>,
    /// Connections for writing, each with one request at a time.
    #[serde(default = "default_connections")]
    pub connections: u32,
}

/// How a directory that is no Active Directory disables a user.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub enum DisableBy {
    /// `pwdAccountLockedTime: 000001010000Z` (draft-behera-ldap-password-policy §5.3.3).
    PasswordPolicy,
    /// `pwdEndTime` in the past (the same draft, §5.3.4).
    EndTime,
    /// `loginShell`.
    Shell,
    /// An attribute that has this value while the user is disabled, and none otherwise.
    Attribute {
        /// The attribute.
        name: String,
        /// The value.
        value: String,
    },
}

impl TryFrom<String> for DisableBy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match (text.as_str(), text.split_once('=')) {
            ("ppolicy", _) => Ok(Self::PasswordPolicy),
            ("end_time", _) => Ok(Self::EndTime),
            ("shell", _) => Ok(Self::Shell),
            (_, Some((name, value))) if !name.trim().is_empty() && !value.trim().is_empty() => {
                Ok(Self::Attribute { name: name.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => {
                Err("one of ppolicy, end_time, shell, or an attribute with its value as in nsAccountLock=TRUE"
                    .to_owned())
            }
        }
    }
}

impl Default for WriteConfig {
    fn default() -> Self {
        Self {
            user_container: None,
            group_container: None,
            user_object_classes: Vec::new(),
            group_object_classes: Vec::new(),
            user_rdn_attribute: None,
            group_rdn_attribute: None,
            disable: None,
            disabled_shell: default_disabled_shell(),
            enabled_shell: default_enabled_shell(),
            placeholder_member: None,
            connections: default_connections(),
        }
    }
}

fn default_disabled_shell() -> String {
    "/usr/sbin/nologin".to_owned()
}

fn default_enabled_shell() -> String {
    "/bin/bash".to_owned()
}

fn default_connections() -> u32 {
    2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WriteConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_way_to_disable_is_a_word_or_an_attribute_with_a_value() {
        let way = |text: &str| read(&format!("disable = '{text}'")).ok().and_then(|config| config.disable);
        assert_eq!(way("ppolicy"), Some(DisableBy::PasswordPolicy));
        assert_eq!(way("end_time"), Some(DisableBy::EndTime));
        assert_eq!(way("shell"), Some(DisableBy::Shell));
        let lock = DisableBy::Attribute { name: "nsAccountLock".to_owned(), value: "TRUE".to_owned() };
        assert_eq!(way("nsAccountLock=TRUE"), Some(lock));
        for wrong in ["", "delete", "=TRUE", "nsAccountLock="] {
            assert!(read(&format!("disable = '{wrong}'")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_empty_section_has_defaults() {
        let config = read("").expect("a section");
        assert_eq!((config.connections, config.disable), (2, None));
    }
}
