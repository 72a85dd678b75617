//! A directory to write to, and a site that allows everything and remembers what it was asked.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use postern_directory::write::{
    AttributeChange, BothChanged, Change, Create, Denied, Existing, Gate, Intent, Kind, Operation, Subject,
};
use postern_directory::{Directory, DirectoryConfig, Phase};
use postern_dn::Dn;

use crate::agent::DirectorySettings;
use crate::ldap_client::LdapClient;
use crate::samba::{self, Samba};
use crate::slapd::{self, SUFFIX, Slapd};
use crate::stage::Stage;

/// A site's policy for tests.
#[derive(Debug, Default)]
pub struct Site {
    /// Groups whose members are protected.
    pub protected: Vec<Dn>,
    /// What is forbidden.
    pub forbidden: Option<Kind>,
    asked: Mutex<Vec<Asked>>,
    /// What happens at the next questions: after the entry was read, and before anything is written.
    happening: Mutex<Vec<Happening>>,
}

struct Happening(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Happening {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Happening")
    }
}

/// What the site was asked.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "these are the fields of `Intent`")]
pub struct Asked {
    pub kind: Kind,
    pub dn: String,
    pub destination: Option<String>,
    pub attributes: Vec<String>,
    pub groups: Vec<String>,
    pub members: Vec<String>,
    pub members_group: Option<String>,
    pub facts: postern_directory::write::Facts,
    pub again: bool,
}

impl Site {
    /// One that forbids a kind of change.
    pub fn forbidding(kind: Kind) -> Self {
        Self { forbidden: Some(kind), ..Self::default() }
    }

    /// One with a protected group.
    pub fn protecting(group: &str) -> Result<Self> {
        Ok(Self { protected: vec![Dn::parse(group)?], ..Self::default() })
    }

    /// One at whose next question this happens: between the reading of the entry and the first write.
    #[must_use]
    pub fn meanwhile(self, happens: impl FnOnce() + Send + 'static) -> Self {
        self.happening.lock().unwrap_or_else(PoisonError::into_inner).insert(0, Happening(Box::new(happens)));
        self
    }

    /// Everything that it was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last question.
    pub fn last(&self) -> Option<Asked> {
        self.asked().pop()
    }
}

impl Gate for Site {
    fn protected_groups(&self) -> &[Dn] {
        &self.protected
    }

    fn permit(&self, intent: &Intent<'_>) -> Result<(), Denied> {
        let texts = |dns: &[&Dn]| dns.iter().map(ToString::to_string).collect();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(Asked {
            kind: intent.kind,
            dn: intent.dn.to_string(),
            destination: intent.destination.map(ToString::to_string),
            attributes: intent.attributes.iter().map(|written| written.description.clone()).collect(),
            groups: texts(&intent.groups),
            members: texts(&intent.members),
            members_group: intent.members_group.map(ToString::to_string),
            facts: intent.facts.clone(),
            again: intent.again,
        });
        if let Some(Happening(happens)) = self.happening.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            happens();
        }
        if self.forbidden == Some(intent.kind) {
            return Err(Denied { rule: "operations".to_owned(), detail: None, for_now: false });
        }
        Ok(())
    }
}

/// What the writer may do on OpenLDAP: write all below the suffix, passwords too.
pub fn writer_access() -> [String; 2] {
    let writer = Slapd::reader_dn();
    [
        format!("to attrs=userPassword by dn.exact=\"{writer}\" write by anonymous auth by * none"),
        format!("to * by dn.exact=\"{writer}\" write by users read by * none"),
    ]
}

/// A directory that writes to an OpenLDAP server, with further lines for `[directory.write]`.
pub async fn openldap(stage: &Stage, server: &Slapd, lines: &str) -> Result<Directory> {
    let rules = writer_access();
    server.set_access(&[&rules[0], &rules[1]]).await?;
    let settings = DirectorySettings::slapd("corp", server, stage.path())?;
    let section = format!(
        "\n[policy]\nread_only = false\n[write]\nuser_container = \"ou=people,{SUFFIX}\"\ngroup_container = \"ou=groups,{SUFFIX}\"\n{lines}\n"
    );
    configured(&(toml::to_string(&settings)? + &section))
}

/// A directory by its section of the configuration.
pub fn configured(text: &str) -> Result<Directory> {
    postern_runtime::tls::install_crypto_provider();
    let config: DirectoryConfig = toml::from_str(text)?;
    Ok(Directory::new(config)?)
}

/// The administrator of an OpenLDAP server, by OpenLDAP's own programs.
pub fn administrator(server: &Slapd) -> LdapClient {
    LdapClient::new(&server.ldap_url(), &Slapd::admin_dn(), slapd::ADMIN_PASSWORD)
}

/// What applies LDIF change records as the administrator, at once and in the middle of something else.
///
/// # Panics
///
/// If the server refuses them, so that the test fails.
pub fn apply_at_once(server: &Slapd, changes: impl Into<String>) -> impl FnOnce() + Send + 'static {
    let mut modify = Command::new("/usr/bin/ldapmodify");
    modify.env("LDAPNOINIT", "1").args(["-x", "-a", "-H", &server.ldap_url(), "-D", &Slapd::admin_dn()]);
    modify.args(["-w", slapd::ADMIN_PASSWORD]);
    at_once(modify, changes.into())
}

/// The same in an Active Directory.
///
/// # Panics
///
/// If the server refuses them, so that the test fails.
pub fn apply_to_domain_at_once(server: &Samba, changes: impl Into<String>) -> impl FnOnce() + Send + 'static {
    let mut modify = Command::new("/usr/bin/ldapmodify");
    modify.env("LDAPTLS_CACERT", server.ca_file()).env("LDAPTLS_REQCERT", "demand");
    modify.args(["-x", "-a", "-H", &server.ldaps_url(), "-D", samba::ADMIN, "-w", samba::ADMIN_PASSWORD]);
    at_once(modify, changes.into())
}

fn at_once(mut modify: Command, changes: String) -> impl FnOnce() + Send + 'static {
    move || {
        let ran = modify.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().and_then(|mut child| {
            // Dropped at the end of the statement, so that the program sees the end of its input.
            child.stdin.take().map(|mut input| input.write_all(changes.as_bytes())).transpose()?;
            child.wait()
        });
        assert!(ran.is_ok_and(|status| status.success()), "ldapmodify failed");
    }
}

/// Values of one attribute.
pub fn values(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
}

/// A new entry of these attributes, which may have been asked for before.
pub fn create(attributes: &[(&str, &[&str])]) -> Create {
    Create {
        container: None,
        attributes: attributes.iter().map(|(name, texts)| ((*name).to_owned(), values(texts))).collect(),
        enabled: true,
        password: None,
        members: Vec::new(),
        choices: Vec::new(),
        sent_before: true,
        others: Vec::new(),
        existing: Existing::Conflict,
    }
}

/// An attribute that is to have these values, whatever it has now.
pub fn set(name: &str, texts: &[&str]) -> AttributeChange {
    AttributeChange { name: name.to_owned(), known: None, wanted: values(texts), both_changed: BothChanged::SourceWins }
}

/// An attribute that is to get from the known values to these.
pub fn from_to(name: &str, known: &[&str], wanted: &[&str], both_changed: BothChanged) -> AttributeChange {
    AttributeChange { name: name.to_owned(), known: Some(values(known)), wanted: values(wanted), both_changed }
}

/// An operation on a user.
pub fn user(subject: Subject, change: Change) -> Operation {
    Operation { phase: Phase::Users, subject, change }
}

/// An operation on a group.
pub fn group(subject: Subject, change: Change) -> Operation {
    Operation { phase: Phase::Groups, subject, change }
}

/// The lines of an OpenLDAP server's log that name a request which changes something.
pub fn written(server: &Slapd) -> Vec<String> {
    let log = server.process().map(crate::process::Process::log).unwrap_or_default();
    let is_write = |line: &&str| {
        [" ADD dn=", " MOD dn=", " MOD attr=", " MODRDN dn=", " DEL dn=", " PASSMOD"]
            .iter()
            .any(|word| line.contains(word))
    };
    // The test's own settings of the server do not count.
    log.lines().filter(is_write).filter(|line| !line.contains("olc")).map(str::to_owned).collect()
}

/// What a line of the log says behind the numbers of connection and operation.
pub fn request(line: &str) -> &str {
    line.split_once("op=").and_then(|(_, rest)| rest.split_once(' ')).map_or(line, |(_, request)| request)
}
