//! The agent's configuration file, `agent.toml`, and its `POSTERN_AGENT__…` overrides.

mod fixed;
pub mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_directory::{BindMemory, ConfigError, Directory, DirectoryConfig, Flavour, Problem};
use postern_platform::paths;
use postern_proto::directory_name;
use postern_runtime::settings;
use postern_runtime::telemetry::Format;
use secrecy::SecretString;
use serde::Deserialize;

pub(crate) use self::fixed::Fixed;
use crate::commands;
use crate::deliver::Compression;
use crate::link::proxy::{self, ProxyRule};
use crate::policy::{Policy, Records, Rules};

/// What environment overrides begin with.
pub const ENV_PREFIX: &str = "POSTERN_AGENT";

/// Where the configuration is looked for unless `--config` says otherwise.
pub fn default_file() -> PathBuf {
    paths::configuration()
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or a variable cannot be read.
    #[error("the configuration cannot be used")]
    Settings(#[source] settings::Error),
    /// The proxy setting is wrong.
    #[error("the configuration cannot be used")]
    Proxy(#[source] proxy::Error),
    /// The health listener could be reached from elsewhere.
    #[error(
        "[health] listen = \"{address}\" can be reached from other machines; use a loopback address such as 127.0.0.1:9464"
    )]
    HealthNotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Two directories of one name.
    #[error("two [[directory]] sections have the name {name:?}")]
    DuplicateDirectory {
        /// The name.
        name: String,
    },
    /// The policy keeps in what an import cannot do without.
    #[error(
        "[policy] excluded_attributes names {attribute:?}, which the directory {directory:?} needs as {key}; choose \
         another {key}, or remove it from excluded_attributes"
    )]
    ExcludedButNeeded {
        /// The directory.
        directory: String,
        /// The key that names it.
        key: &'static str,
        /// The attribute.
        attribute: String,
    },
    /// The policy allows what this release does not know.
    #[error("[policy] commands names {name:?}; the commands are {}", known_commands(", "))]
    UnknownCommand {
        /// The name.
        name: String,
    },
    /// A directory's section is wrong.
    #[error("a [[directory]] section cannot be used")]
    Directory(#[source] ConfigError),
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the identity and the status socket are kept. Unset: the system's place for it.
    pub state_dir: Option<PathBuf>,
    /// The way to the control plane.
    pub control_plane: ControlPlane,
    /// The local health and metrics listener. Unset: off.
    pub health: Option<Health>,
    /// The log.
    pub log: Log,
    /// The site's policy.
    pub policy: Policy,
    /// The directories served.
    #[serde(rename = "directory")]
    pub directories: Vec<DirectoryConfig>,
}

/// `[control_plane]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlPlane {
    /// HTTP proxy, `http://user:password@host:port`. Unset: from `HTTPS_PROXY` and `NO_PROXY`.
    pub proxy: Option<SecretString>,
    /// File with the proxy's password, readable by its owner only. The agent reads it for each connection.
    pub proxy_password_file: Option<PathBuf>,
    /// Whether the agent compresses the results of imports. Unset: yes, unless the control plane is on this machine.
    pub compression: Option<Compression>,
}

/// `[health]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// A loopback address and port.
    pub listen: SocketAddr,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: Format,
    /// Levels by module, `info` unless set. The variable `RUST_LOG` takes precedence.
    pub filter: Option<String>,
}

impl Config {
    /// Reads and checks the configuration. Without an explicit `file` the default one is read if it is there.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let default = default_file();
        let file = file.or_else(|| default.exists().then_some(default.as_path()));
        let config: Self = settings::load(file, ENV_PREFIX).map_err(Error::Settings)?;
        config.verify()?;
        Ok(config)
    }

    /// The state directory that a file names, whatever else is in the file: a running agent may use an older one.
    pub fn state_dir_in(file: Option<&Path>) -> Result<PathBuf, Error> {
        #[derive(Deserialize)]
        struct Place {
            state_dir: Option<PathBuf>,
        }
        let default = default_file();
        let file = file.or_else(|| default.exists().then_some(default.as_path()));
        let place: Place = settings::load(file, ENV_PREFIX).map_err(Error::Settings)?;
        Ok(place.state_dir.unwrap_or_else(paths::state_folder))
    }

    fn verify(&self) -> Result<(), Error> {
        self.proxy_rule()?;
        if let Some(health) = self.health.as_ref().filter(|health| !health.listen.ip().is_loopback()) {
            return Err(Error::HealthNotLoopback { address: health.listen });
        }
        let mut allowed = self.policy.commands.iter().flatten();
        if let Some(name) = allowed.find(|name| commands::ALL.iter().all(|kind| kind.name() != name.as_str())) {
            return Err(Error::UnknownCommand { name: name.clone() });
        }
        self.verify_excluded()?;
        let mut names = BTreeSet::new();
        match self.directories.iter().find(|directory| !names.insert(&directory.name)) {
            Some(twice) => Err(Error::DuplicateDirectory { name: twice.name.clone() }),
            None => Ok(()),
        }
    }

    /// Attributes that identify an entry always leave with it, so the policy cannot exclude them.
    fn verify_excluded(&self) -> Result<(), Error> {
        for directory in &self.directories {
            let unique = Some(directory.users.unique_attribute.as_str()).filter(|name| !name.is_empty());
            let mut needed: Vec<_> = unique.map(|name| ("users.unique_attribute", name)).into_iter().collect();
            let member = directory.groups.as_ref().and_then(|groups| groups.member_attribute.as_deref());
            needed.extend(member.map(|name| ("groups.member_attribute", name)));
            let external = |name| ("external_id_attribute", name);
            match directory.external_id_attribute.as_deref() {
                Some(name) => needed.push(external(name)),
                // Which of them it will be, the server's kind says.
                None => needed.extend(Flavour::ALL.map(|flavour| external(flavour.external_id_attribute()))),
            }
            if let Some((key, attribute)) = needed.into_iter().find(|(_, name)| self.policy.excludes(name)) {
                let (directory, attribute) = (directory.name.clone(), attribute.to_owned());
                return Err(Error::ExcludedButNeeded { directory, key, attribute });
            }
        }
        Ok(())
    }

    /// The site's policy, with the rules of each directory.
    pub fn policy(&self, records: &Arc<Records>) -> Policy {
        let rules = |section: &DirectoryConfig| (section.name.clone(), Arc::new(Rules::new(section)));
        let directories: BTreeMap<String, Arc<Rules>> = self.directories.iter().map(rules).collect();
        if directories.values().any(|rules| rules.has_limits()) {
            records.prepare_limits();
        }
        Policy { directories, records: Some(Arc::clone(records)), ..self.policy.clone() }
    }

    /// How to get out.
    pub fn proxy_rule(&self) -> Result<ProxyRule, Error> {
        ProxyRule::from_setting(self.control_plane.proxy.as_ref(), self.control_plane.proxy_password_file.as_deref())
            .map_err(Error::Proxy)
    }

    /// The directories, each checked as far as that goes without asking its servers. Refused binds count on from those
    /// that were served `before`.
    pub fn open_directories(&self, before: &[Directory], memory: &Arc<BindMemory>) -> Result<Vec<Directory>, Error> {
        self.open_each(before, memory).into_iter().collect::<Result<_, _>>().map_err(Error::Directory)
    }

    /// Like [`open_directories`](Self::open_directories), with what is wrong in its place among the others.
    pub fn open_each(&self, before: &[Directory], memory: &Arc<BindMemory>) -> Vec<Result<Directory, ConfigError>> {
        let mut opened: Vec<Result<Directory, ConfigError>> = Vec::new();
        for section in &self.directories {
            let others = opened.iter().flatten().chain(before);
            let excluded_attributes = self.policy.excluded_attributes.clone();
            let section = DirectoryConfig { excluded_attributes, ..section.clone() };
            let opened_one = Directory::remembering(section.clone(), others, memory);
            opened.push(named(&section, opened_one));
        }
        opened
    }

    /// What refused binds have left behind, kept in the state folder: neither a restart nor `check` gives a wrong password
    /// more tries.
    pub fn bind_memory(state_dir: &Path) -> Arc<BindMemory> {
        Arc::new(BindMemory::in_file(&state_dir.join("refused-binds")))
    }

    /// Where the state is kept: as the command line says, or the file, or the default.
    pub fn state_dir(&self, from_command_line: Option<&Path>) -> PathBuf {
        let configured = from_command_line.or(self.state_dir.as_deref());
        configured.map_or_else(paths::state_folder, Path::to_owned)
    }
}

/// What came of a section, if the directory's name is one.
fn named(section: &DirectoryConfig, opened: Result<Directory, ConfigError>) -> Result<Directory, ConfigError> {
    if directory_name::is_valid(&section.name) {
        return opened;
    }
    let name = Problem { key: "name", reason: format!("write {}", directory_name::RULE) };
    let others = opened.err().into_iter().flat_map(|error| error.problems);
    Err(ConfigError { directory: section.name.clone(), problems: std::iter::once(name).chain(others).collect() })
}

/// The names of the kinds of command that this release knows.
fn known_commands(between: &str) -> String {
    commands::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use postern_runtime::supervise::chain;

    use super::*;

    const ISSUE: &str = r#"
[control_plane]
proxy = "http://user@proxy.corp:3128"
[[directory]]
name = "corp"
urls = ["ldaps://ldap1.corp.example:636", "ldaps://ldap2.corp.example:636"]
ca_file = "/etc/postern/ldap-ca.pem"
bind_dn = "cn=reader,dc=corp,dc=example"
bind_password_file = "/etc/postern/corp.secret"
[directory.users]
base_dns = ["ou=people,dc=corp,dc=example"]
filter = "(objectClass=inetOrgPerson)"
unique_attribute = "uid"
attributes = ["uid", "cn", "sn", "mail"]
[directory.groups]
base_dns = ["ou=groups,dc=corp,dc=example"]
filter = "(objectClass=groupOfNames)"
member_attribute = "member"
attributes = ["cn", "description"]
"#;

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, text).unwrap();
        let config = settings::load_with::<Config>(Some(&file), ENV_PREFIX, []).map_err(Error::Settings);
        let config = config.and_then(|config| config.verify().map(|()| config));
        config.map_err(|error| chain(&error).replace(&folder.path().display().to_string(), ""))
    }

    #[test]
    fn the_documented_file_is_understood() {
        let config = load(ISSUE).unwrap();
        assert_eq!(config.directories[0].name, "corp");
        assert_eq!(config.open_directories(&[], &Arc::default()).unwrap().len(), 1);
        assert_eq!(config.state_dir(None), paths::state_folder());
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line() {
        let error = load(&ISSUE.replace("unique_attribute", "unique_atribute")).unwrap_err();
        assert!(
            error.contains("/agent.toml:13: unknown key `unique_atribute`; did you mean `unique_attribute`?"),
            "{error}"
        );
    }

    #[test]
    fn a_name_that_the_control_plane_would_refuse_is_refused_here_beside_all_else() {
        let text = ISSUE.replace("\"corp\"", "\"Corp\"").replace("(objectClass=inetOrgPerson)", "(objectClass=");
        let config = load(&text).unwrap();
        let error = config.open_directories(&[], &Arc::default()).map(|_| ()).unwrap_err();
        let told = chain(&error);
        assert!(told.contains("\"Corp\": name: write 1 to 64 lower-case"), "{told}");
        assert!(told.contains("users.filter"), "{told}");
        assert!(load(ISSUE).unwrap().open_directories(&[], &Arc::default()).is_ok());
    }

    #[test]
    fn the_policy_cannot_exclude_attributes_that_identify_entries() {
        let excluding = |name: &str| load(&format!("{ISSUE}[policy]\nexcluded_attributes = [\"{name}\"]\n"));
        assert!(excluding("mail").is_ok());
        let needed = [
            ("UID", "users.unique_attribute"),
            ("userid", "users.unique_attribute"),
            ("2.5.4.31", "groups.member_attribute"),
            ("member", "groups.member_attribute"),
            ("entryuuid", "external_id_attribute"),
            ("objectGUID", "external_id_attribute"),
        ];
        for (name, key) in needed {
            let error = excluding(name).unwrap_err();
            assert!(error.contains(key) && error.contains("corp"), "{error}");
        }
    }

    #[test]
    fn the_health_listener_is_for_this_machine_only() {
        assert!(load("[health]\nlisten = \"127.0.0.1:9464\"\n").is_ok());
        let error = load("[health]\nlisten = \"0.0.0.0:9464\"\n").unwrap_err();
        assert!(error.contains("loopback"), "{error}");
    }

    #[test]
    fn the_policy_is_read() {
        let config = load("[policy]\ncommands = [\"import\"]\nexcluded_attributes = [\"mail\"]\n").unwrap();
        assert_eq!(config.policy.commands.unwrap().len(), 1);
        let error = load("[policy]\ncommands = [\"format_disk\"]\n").unwrap_err();
        assert!(error.contains("format_disk") && error.contains("import, test_connection, lookup_user"), "{error}");
    }

    #[test]
    fn two_directories_of_one_name_are_refused() {
        let twice = format!("{ISSUE}{}", ISSUE.split_once("proxy.corp:3128\"").unwrap().1);
        assert!(load(&twice).unwrap_err().contains("\"corp\""));
    }
}
