//! What `postern-agent check` says of one fault at a time: the row that names it, its words and its cure.

use anyhow::{Context as _, Result, ensure};

use crate::agent::{Agent, DirectorySettings, Settings};
use crate::binaries::Binaries;
use crate::stage::Stage;

/// An agent that is configured and not enrolled: enough to ask it for a diagnosis.
#[derive(Debug)]
pub struct Diagnosed {
    /// What it is configured with.
    pub settings: Settings,
    agent: Agent,
}

/// A row of a diagnosis.
#[derive(Clone, Debug)]
pub struct Row {
    /// `passed`, `warned`, `failed` or `skipped`.
    pub state: String,
    /// What was seen.
    pub detail: String,
    /// What to do.
    pub cure: String,
}

impl Diagnosed {
    /// Configures an agent with one directory.
    pub fn new(stage: &Stage, directory: DirectorySettings) -> Result<Self> {
        let settings = Settings { directories: vec![directory], ..Settings::default() };
        let agent = Agent::configured(stage, &Binaries::beside_this_program()?, &settings)?;
        Ok(Self { settings, agent })
    }

    /// The row of this name in a diagnosis made now.
    pub async fn row(&self, name: &str) -> Result<Row> {
        self.agent.configure(&self.settings)?;
        row(&self.agent, name).await
    }

    /// The row of this name, with the configuration changed for this once.
    pub async fn row_with(&self, name: &str, change: impl FnOnce(&mut DirectorySettings)) -> Result<Row> {
        let mut settings = self.settings.clone();
        change(settings.directories.first_mut().context("no directory")?);
        self.agent.configure(&settings)?;
        row(&self.agent, name).await
    }
}

/// The row of this name in an agent's diagnosis.
pub async fn row(agent: &Agent, name: &str) -> Result<Row> {
    let (_, report) = agent.check().await?;
    let rows = report.as_array().context("no rows")?;
    // The directory's rows come last; its name and ours for the configuration are the same.
    let found = rows.iter().rev().find(|row| row["name"] == name);
    found.map(Row::of).with_context(|| format!("no row {name}: {report:#}"))
}

/// The row of this name among those about the way to the control plane.
pub async fn way_out(agent: &Agent, name: &str) -> Result<Row> {
    let (_, report) = agent.check().await?;
    let rows = report.as_array().context("no rows")?;
    let found = rows.iter().find(|row| row["name"] == name && row["directory"].is_null());
    found.map(Row::of).with_context(|| format!("no row {name}: {report:#}"))
}

impl Row {
    fn of(row: &serde_json::Value) -> Self {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        Self { state: text("state"), detail: text("detail"), cure: text("cure") }
    }

    /// Fails unless it is of this state, and holds these words in what was seen and in the cure.
    pub fn must_say(&self, state: &str, detail: &str, cure: &str) -> Result<()> {
        let said = self.state == state && self.detail.contains(detail) && self.cure.contains(cure);
        ensure!(said, "wanted {state}, {detail:?}, {cure:?}: {self:?}");
        ensure!(!self.detail.contains("AcceptSecurityContext"), "raw words of the server: {self:?}");
        Ok(())
    }
}
