//! What makes a directory's configuration unusable. All mistakes are reported at once, each with its key.

mod policy;
mod write;

use std::fmt;

use thiserror::Error;

use super::{DirectoryConfig, GroupsConfig, Scope};
use crate::attributes::is_withheld;
use crate::filter;
use crate::server_url::ServerUrl;
use postern_dn::Dn;

/// One mistake in the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The key, below `[[directory]]`: `users.filter`.
    pub key: &'static str,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

impl Problem {
    pub(crate) fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self { key, reason: reason.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.reason)
    }
}

/// A directory's configuration cannot be used.
#[derive(Clone, Debug, Error)]
#[error("directory \"{directory}\": {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError {
    /// The directory's name.
    pub directory: String,
    /// Every mistake found.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// The keys that are wrong, each once.
    pub fn keys(&self) -> Vec<&'static str> {
        let mut keys: Vec<&'static str> = self.problems.iter().map(|problem| problem.key).collect();
        keys.dedup();
        keys
    }
}

impl DirectoryConfig {
    /// Everything that is wrong with this configuration; empty when it can be used. Reads no file and asks no server.
    pub fn validation(&self) -> Vec<Problem> {
        problems(self)
    }

    /// What is allowed but better done otherwise, for the operator's eyes.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        if self.bind_password.is_some() {
            warnings.push(Problem::new(
                "bind_password",
                "the password is in the configuration; bind_password_file is safer",
            ));
        }
        if self.allow_plaintext && !self.start_tls && self.urls.iter().any(|url| url.starts_with("ldap://")) {
            warnings.push(Problem::new(
                "allow_plaintext",
                "others on the network can read passwords and personal \
            data",
            ));
        }
        let catalog = |url: &&String| ServerUrl::parse(url).is_ok_and(|url| matches!(url.port, 3268 | 3269));
        if self.urls.iter().any(|url| catalog(&url)) {
            warnings.push(Problem::new(
                "urls",
                "ports 3268 and 3269 are the global catalog, which holds only some attributes and not all members of \
                 groups; use 636, or 389 with start_tls",
            ));
        }
        let groups = self.groups.iter().flat_map(|groups| &groups.attributes).map(|name| ("groups.attributes", name));
        for (key, name) in self.users.attributes.iter().map(|name| ("users.attributes", name)).chain(groups) {
            if is_withheld(name) {
                warnings
                    .push(Problem::new(key, format!("{name} holds passwords or keys and never leaves, listed or not")));
            }
        }
        warnings
    }
}

fn problems(config: &DirectoryConfig) -> Vec<Problem> {
    let mut found = Vec::new();
    let write = config.write.iter().flat_map(write::problems);
    let policy = policy::problems(config);
    found.extend(write.chain(policy).map(|(key, reason)| Problem { key, reason }));
    urls(config, &mut found);
    credentials(config, &mut found);
    limits(config, &mut found);
    let users = &config.users;
    section(
        &["users.base_dns", "users.filter", "users.attributes", "users.unique_attribute"],
        (&users.base_dns, users.scope, users.filter.as_deref(), &users.attributes, &users.unique_attribute),
        &mut found,
    );
    if let Some(groups) = &config.groups {
        if let Some(attribute) = &groups.from_user_attribute {
            meaningful_attribute("groups.from_user_attribute", attribute, &mut found);
            only_from_users(groups, &mut found);
            return with_external_id(config, found);
        }
        let member = groups.member_attribute.as_deref().unwrap_or("member");
        section(
            &["groups.base_dns", "groups.filter", "groups.attributes", "groups.member_attribute"],
            (&groups.base_dns, groups.scope, groups.filter.as_deref(), &groups.attributes, member),
            &mut found,
        );
    }
    with_external_id(config, found)
}

fn with_external_id(config: &DirectoryConfig, mut found: Vec<Problem>) -> Vec<Problem> {
    if let Some(name) = &config.external_id_attribute {
        meaningful_attribute("external_id_attribute", name, &mut found);
    }
    found
}

/// Keys that say which group entries are read. None are, if users name their groups.
fn only_from_users(groups: &GroupsConfig, found: &mut Vec<Problem>) {
    let set = [
        ("groups.base_dns", !groups.base_dns.is_empty()),
        ("groups.scope", groups.scope != Scope::default()),
        ("groups.filter", groups.filter.is_some()),
        ("groups.member_attribute", groups.member_attribute.is_some()),
        ("groups.attributes", groups.attributes != GroupsConfig::default().attributes),
    ];
    for (key, _) in set.into_iter().filter(|(_, set)| *set) {
        found.push(Problem::new(
            key,
            "groups.from_user_attribute is set, so no group entries are read; remove this key",
        ));
    }
}

fn urls(config: &DirectoryConfig, found: &mut Vec<Problem>) {
    if config.urls.is_empty() {
        found.push(Problem::new("urls", "at least one server, as in ldaps://ldap1.corp.example:636"));
    }
    for text in &config.urls {
        match ServerUrl::parse(text) {
            Err(error) => found.push(Problem::new("urls", format!("{}: {error}", without_user(text)))),
            Ok(url) if !url.is_tls() && !config.start_tls && !config.allow_plaintext => found.push(Problem::new(
                "urls",
                format!("{text} has no TLS: use ldaps://, or set start_tls = true (or allow_plaintext = true)"),
            )),
            Ok(_) => {}
        }
    }
}

/// What stands before `@` may be a password, which no message repeats.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://…@{host}")
        }
        None => url.to_owned(),
    }
}

fn credentials(config: &DirectoryConfig, found: &mut Vec<Problem>) {
    if config.client_cert_file.is_some() != config.client_key_file.is_some() {
        found.push(Problem::new("client_cert_file", "client_cert_file and client_key_file go together"));
    }
    let passwords = [
        config.bind_password_file.is_some(),
        config.bind_password_credential.is_some(),
        config.bind_password.is_some(),
    ];
    let passwords = passwords.iter().filter(|set| **set).count();
    if passwords > 1 {
        found.push(Problem::new(
            "bind_password_file",
            "only one of bind_password_file, bind_password_credential and bind_password",
        ));
    }
    match &config.bind_dn {
        Some(name) if name.trim().is_empty() => found.push(Problem::new("bind_dn", "empty")),
        Some(_) if passwords == 0 => found.push(Problem::new("bind_dn", "no password: set bind_password_file")),
        // Active Directory also takes name@domain and DOMAIN\name.
        Some(name) if name.contains('=') => {
            if let Err(error) = Dn::parse(name) {
                found.push(Problem::new("bind_dn", error.to_string()));
            }
        }
        None if passwords > 0 => found.push(Problem::new("bind_dn", "a password without bind_dn")),
        None if config.client_cert_file.is_none() => {
            found.push(Problem::new("bind_dn", "set bind_dn and bind_password_file, or a client certificate"));
        }
        _ => {}
    }
    if config.bind_password_credential.as_ref().is_some_and(|name| name.is_empty() || name.contains(['/', '\\'])) {
        found.push(Problem::new("bind_password_credential", "the name of a systemd credential, not a path"));
    }
}

fn limits(config: &DirectoryConfig, found: &mut Vec<Problem>) {
    if !(1..=5_000).contains(&config.page_size) {
        found.push(Problem::new("page_size", "between 1 and 5000"));
    }
    if !(1..=600).contains(&config.connect_timeout_secs) {
        found.push(Problem::new("connect_timeout_secs", "between 1 and 600"));
    }
    if !(1..=3_600).contains(&config.operation_timeout_secs) {
        found.push(Problem::new("operation_timeout_secs", "between 1 and 3600"));
    }
}

type Section<'a> = (&'a [String], Scope, Option<&'a str>, &'a [String], &'a str);

fn section(
    keys: &[&'static str; 4],
    (base_dns, scope, filter, names, key_name): Section<'_>,
    found: &mut Vec<Problem>,
) {
    let [base_key, filter_key, names_key, single_key] = *keys;
    bases(base_key, base_dns, scope, found);
    if let Some(Err(error)) = filter.map(filter::validate) {
        found.push(Problem::new(filter_key, error.to_string()));
    }
    for name in names {
        attribute(names_key, name, found);
    }
    // Left out, it is filled in later.
    if !key_name.is_empty() {
        meaningful_attribute(single_key, key_name, found);
    }
}

fn bases(key: &'static str, base_dns: &[String], scope: Scope, found: &mut Vec<Problem>) {
    let mut parsed: Vec<(&str, Dn)> = Vec::new();
    for text in base_dns {
        match Dn::parse(text) {
            Err(error) => found.push(Problem::new(key, format!("{text}: {error}"))),
            Ok(base) => {
                // An entry that two bases hold would be counted twice, and the proof of completeness would fail.
                for (other_text, other) in &parsed {
                    let nested = scope == Scope::Subtree && (base.is_within(other) || other.is_within(&base));
                    if nested || base == *other {
                        found.push(Problem::new(
                            key,
                            format!("{text} and {other_text} overlap; list only the upper one"),
                        ));
                    }
                }
                parsed.push((text, base));
            }
        }
    }
}

fn attribute(key: &'static str, name: &str, found: &mut Vec<Problem>) {
    if !filter::is_attribute_description(name.as_bytes()) {
        found.push(Problem::new(key, format!("\"{name}\" is not an attribute name")));
    }
}

/// An attribute whose values leave the site under another name than its own, and that no listing drops.
fn meaningful_attribute(key: &'static str, name: &str, found: &mut Vec<Problem>) {
    attribute(key, name, found);
    if is_withheld(name) {
        found.push(Problem::new(key, format!("{name} holds passwords or keys, which never leave; name another")));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::corp;
    use super::*;

    fn keys(config: &DirectoryConfig) -> Vec<&'static str> {
        problems(config).into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn the_example_of_the_manual_is_valid() {
        assert_eq!(problems(&corp()), Vec::new());
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let mut config = corp();
        config.urls = vec!["ldap://plain.corp.example".to_owned(), "https://corp.example".to_owned()];
        config.users.filter = Some("(objectClass=".to_owned());
        config.users.base_dns = vec!["ou=people,dc=corp".to_owned(), "OU=a, ou=People, dc=corp".to_owned()];
        config.page_size = 0;
        config.bind_password_file = None;
        assert_eq!(keys(&config), ["urls", "urls", "bind_dn", "page_size", "users.base_dns", "users.filter"]);
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let mut config = corp();
        config.urls = vec!["ldaps://reader:hunter2@ldap1.corp.example".to_owned(), "ldaps://x:hunter2@".to_owned()];
        let reasons: Vec<String> = config.validation().into_iter().map(|problem| problem.reason).collect();
        assert!(reasons.len() == 2 && reasons.iter().all(|reason| !reason.contains("hunter2")), "{reasons:?}");
        assert!(reasons[0].starts_with("ldaps://…@ldap1.corp.example: contains a user"), "{reasons:?}");
    }

    #[test]
    fn bases_side_by_side_do_not_overlap() {
        let mut config = corp();
        config.users.base_dns = vec!["ou=a,dc=corp".to_owned(), "ou=b,dc=corp".to_owned()];
        assert!(keys(&config).is_empty());
        config.users.base_dns.push("OU=A,DC=corp".to_owned());
        assert_eq!(keys(&config), ["users.base_dns"]);
    }

    #[test]
    fn a_directory_without_credentials_is_refused() {
        let mut config = corp();
        config.bind_dn = None;
        config.bind_password_file = None;
        assert_eq!(keys(&config), ["bind_dn"]);
        config.client_cert_file = Some("c.pem".into());
        assert_eq!(keys(&config), ["client_cert_file"]);
        config.client_key_file = Some("k.pem".into());
        assert!(keys(&config).is_empty());
    }

    #[test]
    fn groups_come_from_entries_or_from_users_and_not_from_both() {
        let mut config = corp();
        config.groups.as_mut().expect("groups").from_user_attribute = Some("memberOf".to_owned());
        let group_keys = ["groups.base_dns", "groups.filter", "groups.member_attribute", "groups.attributes"];
        assert_eq!(keys(&config), group_keys);
        let only: GroupsConfig = toml::from_str("from_user_attribute = 'memberOf'").expect("a section");
        config.groups = Some(only);
        assert!(keys(&config).is_empty(), "{:?}", problems(&config));
        config.groups.as_mut().expect("groups").from_user_attribute = Some("userPassword".to_owned());
        assert_eq!(keys(&config), ["groups.from_user_attribute"]);
    }

    #[test]
    fn no_attribute_with_a_meaning_may_hold_passwords() {
        for name in ["userPassword", "USERPASSWORD;x-old", "2.5.4.35", "sambaNTPassword"] {
            let mut config = corp();
            config.external_id_attribute = Some(name.to_owned());
            assert_eq!(keys(&config), ["external_id_attribute"]);
            let mut config = corp();
            config.users.unique_attribute = name.to_owned();
            assert_eq!(keys(&config), ["users.unique_attribute"]);
            let mut config = corp();
            config.groups.as_mut().expect("groups").member_attribute = Some(name.to_owned());
            assert_eq!(keys(&config), ["groups.member_attribute"]);
        }
    }
}
