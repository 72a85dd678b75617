//! A control plane and an agent for directories that a scenario has started itself.

use anyhow::{Context as _, Result};

use crate::agent::{Agent, DirectorySettings, Settings};
use crate::api::Api;
use crate::control_plane::{self, ControlPlane};
use crate::stage::Stage;

/// The line from some directories to an organization.
#[derive(Debug)]
pub struct Line {
    /// The control plane.
    pub control_plane: ControlPlane,
    /// Its interface, with the organization's owner token.
    pub api: Api,
    /// What the agent is configured with.
    pub settings: Settings,
    /// The agent, enrolled and running.
    pub agent: Agent,
}

impl Line {
    /// Starts both and waits until the control plane knows the directories.
    pub async fn start(stage: &Stage, directories: Vec<DirectorySettings>) -> Result<Self> {
        Self::start_with(stage, directories, control_plane::Options::for_tests()?).await
    }

    /// The same, with a control plane of these options.
    pub async fn start_with(
        stage: &Stage,
        directories: Vec<DirectorySettings>,
        options: control_plane::Options,
    ) -> Result<Self> {
        let binaries = options.binaries.clone();
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        let settings = Settings { directories, ..Settings::default() };
        let mut agent = Agent::configured(stage, &binaries, &settings)?;
        agent.enroll(&api.enrollment_token().await?).await?;
        agent.start(stage)?;
        for directory in &settings.directories {
            let announced = api.directory(&directory.name).await;
            announced.with_context(|| format!("the agent says:\n{}", agent.log()))?;
        }
        Ok(Self { control_plane, api, settings, agent })
    }

    /// Changes the first directory's configuration, and waits until the agent has taken it up.
    pub async fn configure(&mut self, change: impl FnOnce(&mut DirectorySettings)) -> Result<()> {
        change(self.settings.directories.first_mut().context("no directory")?);
        self.agent.configure(&self.settings)?;
        self.agent.reloaded().await
    }
}
