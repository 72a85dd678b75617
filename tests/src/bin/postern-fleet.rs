//! Runs a simulated agent for each enrollment token on standard input, until it is stopped.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use postern_tests::simulated_agent;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Users in each agent's scripted directory.
const USERS: usize = 100;

fn main() -> Result<()> {
    postern_runtime::tls::install_crypto_provider();
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).context("cannot raise the file limit")?;
    let mut tokens = String::new();
    std::io::stdin().read_to_string(&mut tokens).context("no tokens on standard input")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let tokens = tokens.lines().map(str::to_owned).collect();
        let _agents = simulated_agent::start_all(tokens, USERS).await?;
        let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        stop.recv().await;
        Ok(())
    })
}
