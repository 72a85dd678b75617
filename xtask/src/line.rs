//! A whole line on this machine, from released programs: OpenLDAP, control plane, and an agent without relays between.
//! The demo shows it, the benchmarks measure it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use postern_tests::agent::{Agent, DirectorySettings, Settings};
use postern_tests::api::Api;
use postern_tests::binaries::Binaries;
use postern_tests::control_plane::{self, ControlPlane};
use postern_tests::site::DIRECTORY;
use postern_tests::slapd::Slapd;
use postern_tests::{Stage, wait};

use crate::steps;

/// Control plane and agent before a directory.
pub(crate) struct Line {
    /// The programs.
    pub(crate) binaries: Binaries,
    /// The control plane.
    pub(crate) control_plane: ControlPlane,
    /// Its interface, with the owner's token.
    pub(crate) api: Api,
    /// The agent, connected.
    pub(crate) agent: Agent,
    /// How long it took to start the control plane, and the agent.
    pub(crate) started_in: [Duration; 2],
}

/// The profile to measure with.
pub(crate) const MEASURED: &str = "release";
/// The profile to show with: that of this program, so that nothing is built twice.
pub(crate) const SHOWN: &str = "dev";

/// Builds both programs, optimized as this profile says.
pub(crate) fn build(profile: &str) -> Result<Binaries> {
    let title = format!("building postern and postern-agent (profile {profile}; minutes the first time)");
    let arguments = ["build", "--profile", profile, "--bin", "postern", "--bin", "postern-agent"];
    steps::run(&title, steps::cargo().args(arguments))?;
    Binaries::in_folder(&steps::built(profile))
}

/// The settings of a control plane as it runs in the field.
pub(crate) fn options(binaries: &Binaries, database_url: Option<String>) -> control_plane::Options {
    control_plane::Options {
        binaries: binaries.clone(),
        database_url,
        public_address: None,
        data_dir: None,
        api_tls: None,
        address_space_bytes: None,
        settings: Vec::new(),
    }
}

impl Line {
    /// Starts a control plane with an organization and an enrolled agent, and waits until it knows the directory.
    pub(crate) async fn start(stage: &Stage, slapd: &Slapd, options: control_plane::Options) -> Result<Self> {
        Self::start_configured(stage, slapd, options, |_| {}).await
    }

    /// The same, with a directory that is configured as `change` says.
    pub(crate) async fn start_configured(
        stage: &Stage,
        slapd: &Slapd,
        options: control_plane::Options,
        change: impl FnOnce(&mut DirectorySettings),
    ) -> Result<Self> {
        let began = Instant::now();
        let binaries = options.binaries.clone();
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Demo Corp").await?;
        let control_plane_took = began.elapsed();
        let mut directory =
            DirectorySettings { page_size: 500, ..DirectorySettings::slapd(DIRECTORY, slapd, stage.path())? };
        change(&mut directory);
        let settings = Settings { directories: vec![directory], ..Settings::default() };
        let mut agent = Agent::configured(stage, &binaries, &settings)?;
        agent.enroll(&api.enrollment_token().await?).await?;
        agent.start(stage)?;
        api.directory(DIRECTORY).await.with_context(|| format!("the agent says:\n{}", agent.log()))?;
        let started_in = [control_plane_took, began.elapsed().saturating_sub(control_plane_took)];
        Ok(Self { binaries, control_plane, api, agent, started_in })
    }

    /// Ends both in order.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.agent.terminate().await?;
        self.control_plane.terminate().await
    }

    /// Imports and gives the time from the request to the job's end, as the job reports it.
    pub(crate) async fn import(&self, bound: Duration) -> Result<(Duration, postern_tests::api::Job)> {
        let job = self.api.start_job("import", DIRECTORY, serde_json::json!({})).await?;
        let job = wait::until("the import has ended", bound, || async {
            let job = self.api.job(&job.id).await?;
            Ok(job.is_over().then_some(job))
        })
        .await?;
        let job = job.expect("succeeded")?;
        Ok((job.took().context("a job that has succeeded without an end")?, job))
    }
}

/// Builds the program that runs many simulated agents.
pub(crate) fn build_fleet() -> Result<std::path::PathBuf> {
    let arguments = ["build", "--profile", MEASURED, "--bin", "postern-fleet", "--features", "postern-tests/agents"];
    steps::run("building the fleet", steps::cargo().args(arguments))?;
    Ok(steps::built(MEASURED).join("postern-fleet"))
}
