//! A whole line from directory to control plane: OpenLDAP, agent, control plane, and a relay at each joint that a
//! scenario can break.

use anyhow::{Context as _, Result};

use crate::agent::{Agent, DirectorySettings, Settings};
use crate::api::Api;
use crate::compare;
use crate::control_plane::{self, ControlPlane};
use crate::ldif;
use crate::people::Person;
use crate::relay::Relay;
use crate::slapd::{self, SUFFIX, Slapd};
use crate::stage::Stage;

/// Name of the directory in every scenario.
pub const DIRECTORY: &str = "corp";

/// A company's site and the control plane that it is connected to.
#[derive(Debug)]
pub struct Site {
    /// The directory.
    pub slapd: Slapd,
    /// Between the agent and the directory.
    pub ldap_line: Relay,
    /// Between the agent and the control plane.
    pub line: Relay,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// Its interface, with the organization's owner token.
    pub api: Api,
    /// What the agent is configured with.
    pub settings: Settings,
    /// The agent, enrolled and running.
    pub agent: Agent,
}

impl Site {
    /// A site with this many people, and a control plane with the defaults of a test.
    pub async fn start(stage: &Stage, users: u32) -> Result<Self> {
        Self::start_with(stage, slapd::Options::people(users), control_plane::Options::for_tests()?).await
    }

    /// Starts everything and waits until the control plane knows the directory.
    pub async fn start_with(stage: &Stage, directory: slapd::Options, options: control_plane::Options) -> Result<Self> {
        let mut site = Self::without_agent(stage, directory, options).await?;
        site.agent.enroll(&site.api.enrollment_token().await?).await?;
        site.agent.start(stage)?;
        let announced = site.api.directory(DIRECTORY).await;
        announced.with_context(|| format!("the agent says:\n{}", site.agent.log()))?;
        Ok(site)
    }

    /// Starts everything with an agent whose directory is configured as `change` says.
    pub async fn start_configured(
        stage: &Stage,
        directory: slapd::Options,
        options: control_plane::Options,
        change: impl FnOnce(&mut DirectorySettings),
    ) -> Result<Self> {
        let mut site = Self::without_agent(stage, directory, options).await?;
        change(site.settings.directories.first_mut().context("no directory")?);
        site.agent.configure(&site.settings)?;
        site.agent.enroll(&site.api.enrollment_token().await?).await?;
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;
        Ok(site)
    }

    /// Starts everything but the agent, which is configured and not enrolled.
    pub async fn without_agent(
        stage: &Stage,
        directory: slapd::Options,
        mut options: control_plane::Options,
    ) -> Result<Self> {
        let slapd = Slapd::start(stage, directory).await?;
        let ldap_line = Relay::start(slapd.ldaps_address()).await?;
        // The relay learns where the gateway listens once that is known.
        let line = Relay::start(slapd.ldaps_address()).await?;
        options.public_address = Some(line.address());
        let binaries = options.binaries.clone();
        let control_plane = ControlPlane::start(stage, options).await?;
        line.set_target(control_plane.gateway_address());
        let api = control_plane.organization("Corp").await?;
        let mut corp = DirectorySettings::slapd(DIRECTORY, &slapd, stage.path())?;
        corp.urls = vec![format!("ldaps://localhost:{}", ldap_line.address().port())];
        let settings = Settings { directories: vec![corp], ..Settings::default() };
        let agent = Agent::configured(stage, &binaries, &settings)?;
        Ok(Self { slapd, ldap_line, line, control_plane, api, settings, agent })
    }

    /// Every other one of so many people gets another title, so that the next import has something to write in each chunk.
    pub async fn change_many(&self, users: u32, round: u32) -> Result<()> {
        let mut changes = Vec::new();
        for person in (round % 2..users).step_by(2).map(Person::nth) {
            ldif::write_value(&mut changes, "dn", &person.dn(SUFFIX))?;
            let title = format!("changetype: modify\nreplace: title\ntitle: Title of round {round}\n\n");
            changes.extend_from_slice(title.as_bytes());
        }
        self.slapd.apply(changes).await
    }

    /// Fails unless the control plane holds exactly what the directory holds, with nobody marked missing who is there.
    pub async fn compare(&self) -> Result<()> {
        compare::openldap(&self.api, DIRECTORY, &self.slapd).await
    }
}
