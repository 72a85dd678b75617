//! What a configuration leaves open is filled in once a server has said what it is: the base DN of its tree, the login, and
//! the attributes that users and groups usually have there.

use postern_dn::Dn;

use crate::config::{ConfigError, DirectoryConfig, GroupsConfig, Problem, ServerKind, UsersConfig};
use crate::flavour::Flavour;
use crate::root_dse::RootDse;

/// Trees that a server keeps for itself, by their first name.
const OF_THE_SERVER: [&str; 6] = ["accesslog", "changelog", "config", "monitor", "schema", "tasks"];

/// The attributes that leave of a user if the configuration does not list any.
const USERS: [&str; 17] = [
    "uid",
    "cn",
    "sn",
    "givenName",
    "displayName",
    "mail",
    "title",
    "departmentNumber",
    "o",
    "l",
    "physicalDeliveryOfficeName",
    "telephoneNumber",
    "mobile",
    "employeeNumber",
    "employeeType",
    "preferredLanguage",
    "manager",
];

const USERS_OF_ACTIVE_DIRECTORY: [&str; 18] = [
    "sAMAccountName",
    "userPrincipalName",
    "cn",
    "sn",
    "givenName",
    "displayName",
    "mail",
    "title",
    "department",
    "company",
    "l",
    "physicalDeliveryOfficeName",
    "telephoneNumber",
    "mobile",
    "employeeNumber",
    "employeeID",
    "employeeType",
    "manager",
];

fn user_attributes(flavour: Flavour) -> Vec<String> {
    let names: &[&str] = match flavour {
        Flavour::ActiveDirectory => &USERS_OF_ACTIVE_DIRECTORY,
        Flavour::OpenLdap | Flavour::Ds389 | Flavour::Generic => &USERS,
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn flavour_of(kind: ServerKind) -> Flavour {
    match kind {
        ServerKind::ActiveDirectory => Flavour::ActiveDirectory,
        ServerKind::OpenLdap => Flavour::OpenLdap,
        ServerKind::Ds389 => Flavour::Ds389,
        ServerKind::Generic => Flavour::Generic,
    }
}

fn login(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::ActiveDirectory => "sAMAccountName",
        Flavour::OpenLdap | Flavour::Ds389 | Flavour::Generic => "uid",
    }
}

impl DirectoryConfig {
    /// Whether nothing has to be asked of a server before it is used.
    pub(crate) fn is_complete(&self) -> bool {
        let UsersConfig { base_dns, unique_attribute, attributes, .. } = &self.users;
        let groups = self.group_entries().is_some_and(|groups| groups.base_dns.is_empty());
        self.kind.is_none() && !base_dns.is_empty() && !unique_attribute.is_empty() && !attributes.is_empty() && !groups
    }

    /// The configuration with what a server says in place of what was left open.
    pub(crate) fn completed(&self, root: &RootDse) -> Result<Self, ConfigError> {
        let (flavour, mut config) = (root.flavour(), self.clone());
        let failed = |problems| ConfigError { directory: self.name.clone(), problems };
        if let Some(kind) = self.kind.map(flavour_of).filter(|kind| *kind != flavour) {
            let reason = format!("the server is {} and not {}; correct kind or urls", flavour.name(), kind.name());
            return Err(failed(vec![Problem::new("kind", reason)]));
        }
        if self.users == UsersConfig::default() && self.groups.is_none() {
            config.groups = Some(GroupsConfig::default());
        }
        let users = &mut config.users;
        if users.base_dns.is_empty() {
            users.base_dns = trees(root);
        }
        if users.base_dns.is_empty() {
            let reason = "the server does not say which trees it holds; name at least one base DN";
            return Err(failed(vec![Problem::new("users.base_dns", reason)]));
        }
        if users.unique_attribute.is_empty() {
            login(flavour).clone_into(&mut users.unique_attribute);
        }
        if users.attributes.is_empty() {
            users.attributes = user_attributes(flavour);
        }
        if let Some(groups) = config.groups.as_mut().filter(|groups| groups.from_user_attribute.is_none())
            && groups.base_dns.is_empty()
        {
            groups.base_dns.clone_from(&config.users.base_dns);
        }
        match config.validation() {
            problems if problems.is_empty() => Ok(config),
            problems => Err(failed(problems)),
        }
    }
}

/// The trees of a server in which people are looked for: the one that it names first, or all that are not its own.
fn trees(root: &RootDse) -> Vec<String> {
    if let Some(context) = root.default_naming_context.as_ref().filter(|context| !context.is_empty()) {
        return vec![context.clone()];
    }
    let parsed: Vec<(&String, Dn)> =
        root.naming_contexts.iter().filter_map(|text| Some((text, Dn::parse(text).ok()?))).collect();
    let is_own = |dn: &Dn| OF_THE_SERVER.iter().any(|own| dn.leaf() == Some(Dn::root().child("cn", own)));
    let usable: Vec<&(&String, Dn)> = parsed.iter().filter(|(_, dn)| !dn.is_root() && !is_own(dn)).collect();
    // A tree within another one is read with it.
    let within = |dn: &Dn| usable.iter().any(|(_, other)| other != dn && dn.is_within(other));
    usable.iter().filter(|(_, dn)| !within(dn)).map(|(text, _)| (*text).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE_LINES: &str = "name = 'corp'\nurls = ['ldaps://ldap.corp.example']\n\
                              bind_dn = 'cn=reader,dc=corp,dc=example'\nbind_password_file = '/etc/postern/corp.secret'\n";

    fn config(further: &str) -> DirectoryConfig {
        let config: DirectoryConfig = toml::from_str(&format!("{FIVE_LINES}{further}")).expect("a section");
        assert_eq!(config.validation(), Vec::new());
        config
    }

    fn openldap(contexts: &[&str]) -> RootDse {
        let naming_contexts = contexts.iter().map(|context| (*context).to_owned()).collect();
        RootDse { object_classes: vec!["OpenLDAProotDSE".to_owned()], naming_contexts, ..RootDse::default() }
    }

    fn active_directory() -> RootDse {
        RootDse {
            supported_capabilities: vec!["1.2.840.113556.1.4.800".to_owned()],
            default_naming_context: Some("DC=corp,DC=example".to_owned()),
            naming_contexts: vec!["CN=Configuration,DC=corp,DC=example".to_owned(), "DC=corp,DC=example".to_owned()],
            ..RootDse::default()
        }
    }

    #[test]
    fn five_lines_are_enough() {
        let written = config("");
        assert!(!written.is_complete());
        let complete = written.completed(&active_directory()).expect("complete");
        assert!(complete.is_complete());
        assert_eq!(complete.users.base_dns, ["DC=corp,DC=example"]);
        assert_eq!(complete.users.unique_attribute, "sAMAccountName");
        let groups = complete.groups.expect("groups");
        assert_eq!((groups.base_dns, groups.attributes), (complete.users.base_dns, GroupsConfig::default().attributes));
        let complete = written.completed(&openldap(&["dc=corp,dc=example"])).expect("complete");
        assert_eq!((complete.users.unique_attribute.as_str(), complete.users.attributes.len()), ("uid", USERS.len()));
    }

    #[test]
    fn what_is_written_stays() {
        let written = config("[users]\nfilter = '(uid=*)'\nbase_dns = ['ou=people,dc=corp']\n");
        let complete = written.completed(&active_directory()).expect("complete");
        assert_eq!(complete.users.base_dns, ["ou=people,dc=corp"]);
        assert_eq!(complete.users.filter.as_deref(), Some("(uid=*)"));
        assert!(complete.groups.is_none(), "who describes users and no groups wants none");
        let written = config("[groups]\nattributes = []\n");
        let groups = written.completed(&active_directory()).expect("complete").groups.expect("groups");
        assert!(groups.attributes.is_empty(), "an empty list is one");
        assert_eq!(groups.base_dns, ["DC=corp,DC=example"]);
    }

    #[test]
    fn trees_of_the_server_and_trees_within_trees_are_left_out() {
        let root = openldap(&["cn=accesslog", "ou=Sub,dc=b", "DC=b", "dc=a", ""]);
        assert_eq!(config("").completed(&root).expect("complete").users.base_dns, ["DC=b", "dc=a"]);
        let error = config("").completed(&openldap(&["cn=accesslog"])).expect_err("no tree");
        assert_eq!(error.problems[0].key, "users.base_dns");
    }

    #[test]
    fn another_kind_of_server_is_refused() {
        let written = config("kind = 'active_directory'\n");
        assert!(written.completed(&active_directory()).is_ok());
        let error = written.completed(&openldap(&["dc=a"])).expect_err("another kind").to_string();
        assert!(error.contains("the server is OpenLDAP and not Active Directory"), "{error}");
    }

    #[test]
    fn what_the_policy_does_not_allow_is_refused_although_nobody_wrote_it() {
        let written = config("[policy]\nreadable_containers = ['ou=people,dc=corp,dc=example']\n");
        let error = written.completed(&active_directory()).expect_err("not allowed");
        assert_eq!(error.problems.iter().map(|it| it.key).collect::<Vec<_>>(), ["users.base_dns", "groups.base_dns"]);
    }
}
