//! The real agent: `postern-agent`, enrolled and configured in a folder of its own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::binaries::Binaries;
use crate::certificates::write_private;
use crate::ds389::{self, Ds389};
use crate::people::{GROUP_ATTRIBUTES, USER_ATTRIBUTES};
use crate::process::{ALLOCATOR, Launch, Process, Signal};
use crate::samba::{self, Samba};
use crate::slapd::{self, Slapd};
use crate::stage::Stage;
use crate::wait;

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
    pub users: UsersSettings,
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

impl GroupsSettings {
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

impl DirectorySettings {
    /// A test's OpenLDAP as the example configures one; the password file is written into `folder`.
    pub fn slapd(name: &str, slapd: &Slapd, folder: &Path) -> Result<Self> {
        let suffix = slapd::SUFFIX;
        let settings = Self {
            name: name.to_owned(),
            urls: vec![slapd.ldaps_url()],
            ca_file: Some(slapd.ca_file()),
            start_tls: false,
            allow_plaintext: false,
            client_cert_file: None,
            client_key_file: None,
            bind_dn: Some(Slapd::reader_dn()),
            bind_password_file: Some(folder.join(format!("{name}.secret"))),
            bind_password_credential: None,
            page_size: 100,
            external_id_attribute: None,
            users: UsersSettings {
                base_dns: vec![format!("ou=people,{suffix}")],
                scope: None,
                filter: "(objectClass=inetOrgPerson)".to_owned(),
                unique_attribute: "uid".to_owned(),
                attributes: owned(&USER_ATTRIBUTES),
            },
            groups: GroupsSettings {
                from_user_attribute: None,
                base_dns: vec![format!("ou=groups,{suffix}")],
                scope: None,
                filter: "(objectClass=groupOfNames)".to_owned(),
                member_attribute: "member".to_owned(),
                attributes: owned(&GROUP_ATTRIBUTES),
            },
            write: None,
            policy: None,
        };
        settings.set_password(slapd::READER_PASSWORD)?;
        Ok(settings)
    }

    /// A test's 389 Directory Server, configured as OpenLDAP is.
    pub fn ds389(name: &str, server: &Ds389, folder: &Path) -> Result<Self> {
        let suffix = ds389::SUFFIX;
        let settings = Self {
            name: name.to_owned(),
            urls: vec![server.ldaps_url()],
            ca_file: Some(server.ca_file()),
            start_tls: false,
            allow_plaintext: false,
            client_cert_file: None,
            client_key_file: None,
            bind_dn: Some(Ds389::reader_dn()),
            bind_password_file: Some(folder.join(format!("{name}.secret"))),
            bind_password_credential: None,
            page_size: 100,
            external_id_attribute: None,
            users: UsersSettings {
                base_dns: vec![format!("ou=people,{suffix}")],
                scope: None,
                filter: "(objectClass=inetOrgPerson)".to_owned(),
                unique_attribute: "uid".to_owned(),
                attributes: owned(&USER_ATTRIBUTES),
            },
            groups: GroupsSettings {
                from_user_attribute: None,
                base_dns: vec![format!("ou=groups,{suffix}")],
                scope: None,
                filter: "(objectClass=groupOfNames)".to_owned(),
                member_attribute: "member".to_owned(),
                attributes: owned(&GROUP_ATTRIBUTES),
            },
            write: None,
            policy: None,
        };
        settings.set_password(ds389::READER_PASSWORD)?;
        Ok(settings)
    }

    /// A test's Active Directory.
    pub fn samba(name: &str, samba: &Samba, folder: &Path) -> Result<Self> {
        let settings = Self {
            name: name.to_owned(),
            urls: vec![samba.ldaps_url()],
            ca_file: Some(samba.ca_file()),
            start_tls: false,
            allow_plaintext: false,
            client_cert_file: None,
            client_key_file: None,
            bind_dn: Some(samba::ADMIN.to_owned()),
            bind_password_file: Some(folder.join(format!("{name}.secret"))),
            bind_password_credential: None,
            page_size: 500,
            external_id_attribute: None,
            users: UsersSettings {
                base_dns: vec![Samba::staff_dn()],
                scope: None,
                filter: "(&(objectCategory=person)(objectClass=user))".to_owned(),
                unique_attribute: "sAMAccountName".to_owned(),
                attributes: owned(&samba::USER_ATTRIBUTES),
            },
            groups: GroupsSettings {
                from_user_attribute: None,
                base_dns: vec![Samba::staff_dn()],
                scope: None,
                filter: "(objectClass=group)".to_owned(),
                member_attribute: "member".to_owned(),
                attributes: owned(&["cn", "description"]),
            },
            write: None,
            policy: None,
        };
        settings.set_password(samba::ADMIN_PASSWORD)?;
        Ok(settings)
    }

    /// Writes the bind password's file anew, as a secret store that rotates it would.
    pub fn set_password(&self, password: &str) -> Result<()> {
        let file = self.bind_password_file.as_ref().context("no password file")?;
        write_private(file, password.as_bytes())
    }
}

/// An agent's folder and, once started, its process; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    binaries: Binaries,
    folder: PathBuf,
    environment: Vec<(String, OsString)>,
    process: Option<Process>,
}

impl Agent {
    /// An agent that is configured and not enrolled.
    pub fn configured(stage: &Stage, binaries: &Binaries, settings: &Settings) -> Result<Self> {
        let folder = stage.folder("agent")?;
        let agent = Self {
            binaries: binaries.clone(),
            folder,
            environment: vec![(ALLOCATOR.0.to_owned(), ALLOCATOR.1.into())],
            process: None,
        };
        std::fs::create_dir(agent.state_dir())?;
        agent.configure(settings)?;
        Ok(agent)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it keeps key and certificate.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.join("agent.toml")
    }

    /// Writes its configuration file; a running agent sees it after [`Agent::reload`].
    pub fn configure(&self, settings: &Settings) -> Result<()> {
        write_private(&self.config_file(), toml::to_string(settings)?.as_bytes())
    }

    /// Sets an environment variable for everything that is started from now on.
    pub fn set_env(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
    }

    /// Sets no environment variable from now on, not even those of the unit file.
    pub fn clear_env(&mut self) {
        self.environment.clear();
    }

    /// A command of the program, with its configuration and state.
    pub fn command(&self, name: &str) -> Launch {
        let mut program = Launch::new("agent", &self.binaries.agent).arg(name);
        for (name, value) in &self.environment {
            program = program.env(name, value);
        }
        program.arg("--config").arg(self.config_file()).arg("--state-dir").arg(self.state_dir())
    }

    /// Tries to enroll it, and returns what that printed.
    pub async fn try_enroll(&self, token: &str) -> Result<Output> {
        self.command("enroll").args(["--token", token]).output().await
    }

    /// Enrolls it.
    pub async fn enroll(&self, token: &str) -> Result<()> {
        self.command("enroll").args(["--token", token]).success().await.map(drop)
    }

    /// Starts it; it may still have to find its way to the control plane.
    pub fn start(&mut self, stage: &Stage) -> Result<()> {
        self.process = Some(self.command("run").start(stage)?);
        Ok(())
    }

    /// Its process, while it runs.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the agent does not run")
    }

    /// What it has logged since it was last started.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Kills it where it runs, and starts it again.
    pub async fn restart(&mut self, stage: &Stage) -> Result<()> {
        self.kill().await?;
        self.start(stage)
    }

    /// SIGTERM, and waits for the orderly end, which must be a success.
    pub async fn terminate(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the agent does not run")?;
        let status = process.terminate(wait::SOON).await?;
        ensure!(status.success(), "the agent ended with {status} after SIGTERM:\n{}", process.log());
        Ok(())
    }

    /// SIGHUP.
    pub fn reload(&mut self) -> Result<()> {
        self.process()?.signal(Signal::HUP)
    }

    /// SIGHUP, and waits until the agent says that it has taken up its file.
    pub async fn reloaded(&mut self) -> Result<()> {
        self.reload_answered("config.reloaded").await.map(drop)
    }

    /// SIGHUP, and waits until the agent refuses its file; returns the line of the log that says so.
    pub async fn reload_refused(&mut self) -> Result<String> {
        self.reload_answered("config.reload_refused").await
    }

    /// The new line of the log that holds `event`.
    async fn reload_answered(&mut self, event: &str) -> Result<String> {
        let said = |log: String| log.lines().filter(|line| line.contains(event)).map(str::to_owned).collect::<Vec<_>>();
        let before = said(self.log()).len();
        self.reload()?;
        wait::until(&format!("the agent says {event}"), wait::SOON, || async {
            Ok(said(self.log()).into_iter().nth(before))
        })
        .await
    }

    /// Runs `postern-agent check --json`.
    pub async fn check(&self) -> Result<(bool, serde_json::Value)> {
        let output = self.command("check").arg("--json").output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let report = serde_json::from_str(&text)
            .with_context(|| format!("no JSON: {text}{}", String::from_utf8_lossy(&output.stderr)))?;
        Ok((output.status.success(), report))
    }

    /// Runs `postern-agent status`.
    pub async fn status(&self) -> Result<String> {
        self.command("status").success().await
    }
}
