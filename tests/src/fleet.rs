//! Many simulated agents in a process of their own, `postern-fleet`.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::api::Api;
use crate::process::{Launch, Process};
use crate::stage::Stage;
use crate::wait;

/// Tokens made and agents enrolled at the same time.
pub(crate) const AT_ONCE: usize = 32;

/// The process, so that their memory and processor time are not the server's.
#[derive(Debug)]
pub struct Fleet {
    process: Process,
}

impl Fleet {
    /// Name of the directory that agent number N serves.
    pub fn directory(number: u32) -> String {
        format!("fleet-{number:05}")
    }

    /// Makes tokens, starts `program` (`postern-fleet`) with them, and waits until all agents are connected.
    pub async fn start(stage: &Stage, program: &Path, api: &Api, metrics: &Api, agents: u32) -> Result<Self> {
        let tokens: Vec<String> =
            stream::iter(0..agents).map(|_| api.enrollment_token()).buffer_unordered(AT_ONCE).try_collect().await?;
        let mut process = Launch::new("fleet", program).input(tokens.join("\n")).start(stage)?;
        let bound = Duration::from_mins(2) + Duration::from_millis(20) * agents;
        wait::until_true("all agents of the fleet are connected", bound, || async {
            Ok(connected(metrics).await? >= u64::from(agents))
        })
        .await
        .or_else(|error| process.must_run().and(Err(error)))?;
        Ok(Self { process })
    }

    /// The fleet's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// How many sessions the control plane has now.
    pub async fn connected(&self, metrics: &Api) -> Result<u64> {
        connected(metrics).await
    }
}

async fn connected(metrics: &Api) -> Result<u64> {
    let metrics = metrics.get("/metrics").await?;
    let line =
        metrics.as_str().unwrap_or_default().lines().find_map(|line| line.strip_prefix("postern_gateway_sessions "));
    Ok(line.and_then(|number| number.trim().parse().ok()).unwrap_or(0))
}
