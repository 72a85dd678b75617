//! Simulated agents: the real agent library with its real key, certificate and streams, before a directory that follows
//! a script instead of speaking LDAP. Thousands of them fit into one process, `postern-fleet`.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use postern_agent::identity::IdentitySource;
use postern_agent::identity::TlsDial;
use postern_agent::identity::enroll::Enrollment;
use postern_agent::link::proxy::ProxyRule;
use postern_agent::served::ServedDirectory;
use postern_agent::served::scripted::ScriptedDirectory;
use postern_agent::{Agent, Options, Parts};
use postern_proto::enrollment_token::EnrollmentToken;
use postern_runtime::clock::SystemClock;
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::Supervisor;

use crate::fleet::{AT_ONCE, Fleet};

/// A running simulated agent; it stops when dropped.
pub struct SimulatedAgent {
    /// The agent.
    pub agent: Agent,
    shutdown: Shutdown,
}

impl Drop for SimulatedAgent {
    fn drop(&mut self) {
        self.shutdown.stop();
        self.shutdown.cut();
    }
}

impl SimulatedAgent {
    /// Enrolls with a token and starts, serving one scripted directory.
    pub async fn start(token: &str, directory: ScriptedDirectory) -> Result<Self> {
        let token: EnrollmentToken = token.parse().context("no enrollment token")?;
        let clock = SystemClock::shared();
        let shutdown = Shutdown::new();
        let supervisor = Supervisor::new(shutdown.clone());
        let proxy = ProxyRule::from_setting(None, None)?;
        let enrollment = Enrollment {
            proxy: proxy.clone(),
            agent_name: directory.name().to_owned(),
            clock: clock.clone(),
            supervisor: supervisor.clone(),
        };
        let enrolled = enrollment.enroll(&token).await.map_err(|error| anyhow!("cannot enroll: {error:?}"))?;
        let identity = IdentitySource::in_memory(enrolled.identity);
        let agent = Agent::start(Parts {
            dial: Arc::new(TlsDial::new(identity.clone(), proxy, clock.clone())),
            identity: Some(identity),
            directories: vec![Arc::new(directory) as Arc<dyn ServedDirectory>],
            policy: postern_agent::policy::Policy::default(),
            passwords: None,
            options: Options::default(),
            supervisor,
            clock,
        });
        Ok(Self { agent, shutdown })
    }
}

/// Enrolls and starts an agent for each token; agent number N serves [`Fleet::directory`] N.
pub async fn start_all(tokens: Vec<String>, users: usize) -> Result<Vec<SimulatedAgent>> {
    let starting = tokens.into_iter().enumerate().map(|(number, token)| async move {
        let number = u32::try_from(number)?;
        let directory = ScriptedDirectory::populated(Fleet::directory(number), users, 500);
        SimulatedAgent::start(&token, directory).await
    });
    stream::iter(starting).buffer_unordered(AT_ONCE).try_collect().await
}
