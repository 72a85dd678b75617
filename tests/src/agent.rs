//! The real agent: `postern-agent`, enrolled and configured in a folder of its own.

mod settings;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context as _, Result, ensure};

use crate::binaries::Binaries;
use crate::certificates::write_private;
use crate::process::{ALLOCATOR, Launch, Process, Signal};
use crate::stage::Stage;
use crate::wait;

pub use settings::{
    ControlPlaneSettings, DirectorySettings, GroupsSettings, PolicySettings, Settings, SitePolicySettings,
    UsersSettings, WriteSettings,
};

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
