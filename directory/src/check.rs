//! The diagnosis of one directory, step by step, as an administrator would do it by hand; a cure for each failure.

mod administrators;
mod bind;
mod defaults;
mod named_groups;
mod rights;
mod rows;
mod sample;
mod source;
mod switches;
mod twins;
mod writing;

use std::time::Duration;

use postern_platform::files;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::{DirectoryConfig, Problem};
use crate::connection::{Connection, Servers};
use crate::error::{Error, Step};
use crate::flavour::Flavour;
use crate::root_dse::RootDse;

pub use self::rows::ROWS;

/// How a step went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Passed,
    /// It works, but somebody should look at it.
    Warned,
    /// It does not work.
    Failed,
    /// Not tried, because an earlier step failed.
    Skipped,
}

/// One step of the diagnosis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// `configuration`, `connect`, `tls`, `bind`, `root_dse`, `defaults`, `base_dns`, `paging`, `users`, `attributes`, `switches`,
    /// `rights`, `source`, `groups` or `writing`.
    pub name: String,
    /// How it went.
    pub state: CheckState,
    /// What was found, in words that hold no configuration: fit to leave the site.
    pub detail: String,
    /// What was found, with servers and names: for the screen of the agent's machine.
    pub detail_local: String,
    /// What to do about it; names keys of the configuration, never their values.
    pub cure: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a step found.
struct Finding {
    state: CheckState,
    detail: String,
    local: String,
    cure: Option<String>,
}

impl Finding {
    fn new(state: CheckState, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { state, local: detail.clone(), detail, cure: None }
    }

    fn passed(detail: impl Into<String>) -> Self {
        Self::new(CheckState::Passed, detail)
    }

    fn failed(error: &Error) -> Self {
        Self { state: CheckState::Failed, detail: error.public_message(), local: chain(error), cure: error.cure() }
    }

    fn locally(self, local: impl Into<String>) -> Self {
        Self { local: local.into(), ..self }
    }

    fn cured_by(self, cure: impl Into<String>) -> Self {
        Self { cure: Some(cure.into()), ..self }
    }
}

/// The steps so far.
struct Diagnosis<'d> {
    config: &'d DirectoryConfig,
    checks: Vec<Check>,
    began: Instant,
}

const AFTER_CONFIGURATION: [&str; 13] = [
    "connect",
    "tls",
    "bind",
    "root_dse",
    "base_dns",
    "paging",
    "users",
    "attributes",
    "switches",
    "rights",
    "source",
    "groups",
    "writing",
];

pub(crate) async fn run(servers: &Servers) -> Vec<Check> {
    let mut diagnosis = Diagnosis { config: servers.config(), checks: Vec::new(), began: Instant::now() };
    diagnosis.configuration();
    let _ = diagnosis.all(servers).await;
    diagnosis.skip_the_rest();
    diagnosis.checks
}

impl<'d> Diagnosis<'d> {
    fn note(&mut self, name: &'static str, finding: Finding) {
        debug_assert!(ROWS.iter().any(|(known, ..)| *known == name), "{name} is not in the handbook");
        let elapsed = self.began.elapsed();
        let Finding { state, detail, local, cure } = finding;
        self.checks.push(Check { name: name.to_owned(), state, detail, detail_local: local, cure, elapsed });
        self.began = Instant::now();
    }

    /// Notes a failure and ends the diagnosis where the result is none.
    fn need<T>(&mut self, name: &'static str, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.note(name, Finding::failed(&error))).ok()
    }

    fn skip_the_rest(&mut self) {
        for name in AFTER_CONFIGURATION {
            let asked = match name {
                "groups" => self.config.groups.is_some(),
                "writing" => self.config.write.is_some(),
                _ => true,
            };
            if asked && !self.checks.iter().any(|check| check.name == name) {
                self.note(name, Finding::new(CheckState::Skipped, "not tried, because an earlier step failed"));
            }
        }
    }

    fn configuration(&mut self) {
        let mut warnings = self.config.warnings();
        warnings.extend(open_secrets(self.config));
        let finding = match warnings.as_slice() {
            [] => Finding::passed("valid"),
            warnings => {
                let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
                Finding::new(CheckState::Warned, texts.join("; "))
            }
        };
        self.note("configuration", finding);
    }

    async fn all(&mut self, servers: &'d Servers) -> Option<()> {
        let reached = self.connect(servers).await;
        let mut connection = self.bind(servers, reached).await?;
        let root = connection.root_dse().await;
        let root = self.need("root_dse", root)?;
        let flavour = root.flavour();
        self.note("root_dse", Finding::passed(describe(&root, flavour)));
        self.defaults(servers, &root)?;
        self.base_dns(&mut connection).await?;
        let names = servers.names(&mut connection, &root).await;
        let names = self.need("users", names)?;
        self.paging_and_users(servers, &mut connection, &root, &names).await?;
        self.switches(servers, flavour, &names).await?;
        self.rights(servers, &root, &names).await?;
        self.source(servers, &root).await?;
        if self.config.group_entries().is_some() {
            self.groups(servers, flavour, &names).await?;
        }
        self.writing(servers, &root, &names).await
    }

    /// Tries every server, so that a broken second one is known before the first one fails.
    async fn connect(&mut self, servers: &Servers) -> Vec<Connection> {
        let mut usable = Vec::new();
        let mut reached = 0;
        let mut unreachable = Vec::new();
        let mut refused = Vec::new();
        for url in &servers.urls {
            match servers.reach(url, None).await {
                Ok(connection) => {
                    reached += 1;
                    usable.push(connection);
                }
                Err(
                    error
                    @ (Error::Tls { .. } | Error::StartTls { .. } | Error::TlsConfig(_) | Error::Malformed { .. }),
                ) => {
                    reached += 1;
                    refused.push(error);
                }
                Err(error) => unreachable.push(error),
            }
        }
        let total = servers.urls.len();
        let state = if reached == 0 { CheckState::Failed } else { CheckState::Passed };
        self.note("connect", several(state, &unreachable, format!("{reached} of {total} servers reachable")));
        if reached > 0 {
            self.note("tls", encryption(usable.first(), &refused));
        }
        usable
    }

    async fn base_dns(&mut self, connection: &mut Connection) -> Option<()> {
        let groups = self.config.groups.iter().flat_map(|groups| &groups.base_dns);
        let mut bases: Vec<&String> = self.config.users.base_dns.iter().chain(groups).collect();
        bases.sort_unstable();
        bases.dedup();
        let nothing = ["1.1".to_owned()];
        for base_dn in &bases {
            let found = connection.read_entry(base_dn, "(objectClass=*)", &nothing, Step::Search).await;
            let failure = match found {
                Ok(Some(_)) => continue,
                // Not visible is as bad as not there.
                Ok(None) => {
                    Error::Refused { step: Step::Search, code: 32, diagnostic: "the entry cannot be read".to_owned() }
                }
                Err(error) => error,
            };
            let local = format!("{base_dn}: {}", chain(&failure));
            self.note("base_dns", Finding::failed(&failure).locally(local));
            return None;
        }
        self.note("base_dns", Finding::passed(format!("{} readable", bases.len())));
        Some(())
    }
}

/// How well the servers prove who they are: the first usable one, and those that were `refused`.
fn encryption(usable: Option<&Connection>, refused: &[Error]) -> Finding {
    let shown = usable.and_then(|connection| connection.certificates.first());
    let finding = match (usable, shown) {
        (None, _) => several(CheckState::Failed, refused, "no server usable".to_owned()),
        (Some(_), None) => {
            let open = "no TLS: others on the network can read passwords and personal data";
            several(CheckState::Warned, refused, open.to_owned())
        }
        (Some(_), Some(_)) => several(CheckState::Passed, refused, "certificate valid".to_owned()),
    };
    match shown {
        _ if !refused.is_empty() || usable.is_none() => finding,
        None => finding.cured_by("use ldaps:// or start_tls = true"),
        Some(shown) => {
            let (subject, issuer, end) = (&shown.subject, &shown.issuer, &shown.not_after);
            finding.locally(format!("\"{subject}\", issued by \"{issuer}\", valid until {end}"))
        }
    }
}

/// One finding for several servers: those that failed are named, and the first one's cure is given.
fn several(state: CheckState, failures: &[Error], detail: String) -> Finding {
    let Some(first) = failures.first() else { return Finding::new(state, detail) };
    let state = if state == CheckState::Passed { CheckState::Warned } else { state };
    let public: Vec<String> = failures.iter().map(Error::public_message).collect();
    let local: Vec<String> = failures.iter().map(|error| chain(error)).collect();
    let finding = Finding::new(state, format!("{detail}; {}", public.join("; ")));
    let finding = finding.locally(format!("{detail}; {}", local.join("; ")));
    Finding { cure: first.cure(), ..finding }
}

/// An error with all its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

fn describe(root: &RootDse, flavour: Flavour) -> String {
    let name = match flavour {
        Flavour::ActiveDirectory => "Active Directory",
        Flavour::OpenLdap => "OpenLDAP",
        Flavour::Ds389 => "389 Directory Server",
        Flavour::Generic => "an LDAP server of no known flavour",
    };
    match &root.vendor_version {
        Some(version) => format!("{name} ({version})"),
        None => name.to_owned(),
    }
}

/// The files with secrets that everybody on this machine can read.
fn open_secrets(config: &DirectoryConfig) -> Vec<Problem> {
    let secrets = [("bind_password_file", &config.bind_password_file), ("client_key_file", &config.client_key_file)];
    let open = secrets.into_iter().filter_map(|(key, file)| Some((key, files::open_to_all(file.as_ref()?)?)));
    open.map(|(key, cure)| Problem { key, reason: format!("everybody on this machine can read the file; {cure}") })
        .collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::tests::corp;

    #[test]
    fn a_secret_that_everybody_can_read_is_warned_about() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            let path = folder.path().join(name);
            std::fs::write(&path, "secret").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Some(path)
        };
        let mut config = corp();
        config.bind_password_file = file("password", 0o640);
        config.client_key_file = file("key", 0o644);
        let open: Vec<_> = open_secrets(&config).into_iter().map(|problem| problem.key).collect();
        assert_eq!(open, ["client_key_file"], "a group may be meant to read, everybody is not");
        config.bind_password_file = file("password", 0o604);
        assert_eq!(open_secrets(&config).len(), 2);
    }
}
