//! An agent inside the test's own process: the agent's library over real mutual TLS and a real directory, with limits
//! and a clock of the test's choosing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use postern_agent::identity::TlsDial;
use postern_agent::identity::enroll::Enrollment;
use postern_agent::identity::{Identity, IdentitySource};
use postern_agent::link::proxy::ProxyRule;
use postern_agent::policy::Policy;
use postern_agent::served::ServedDirectory;
use postern_agent::{Agent, Options, Parts};
use postern_directory::{Directory, DirectoryConfig};
use postern_proto::enrollment_token::EnrollmentToken;
use postern_runtime::clock::{Clock, SharedClock, SystemClock};
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::Supervisor;

use crate::agent::DirectorySettings;

/// An agent in this process; cut when dropped.
pub struct InProcessAgent {
    agent: Agent,
    supervisor: Supervisor,
}

/// Its clock and its limits.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Its clock.
    pub clock: SharedClock,
    /// Its limits.
    pub options: Options,
}

impl Default for Circumstances {
    fn default() -> Self {
        Self { clock: SystemClock::shared(), options: Options::default() }
    }
}

impl Circumstances {
    /// Comes back within milliseconds instead of seconds: for tests that cut the line hundreds of times.
    pub fn impatient() -> Self {
        let mut options = Options::default();
        options.session.reconnect_initial = Duration::from_millis(10);
        options.session.reconnect_max = Duration::from_millis(100);
        options.delivery.retry_initial = Duration::from_millis(10);
        options.delivery.retry_max = Duration::from_millis(100);
        Self { options, ..Self::default() }
    }

    /// With a clock that is this far ahead, or behind.
    #[must_use]
    pub fn with_clock_ahead(self, ahead: SignedDuration) -> Self {
        Self { clock: Arc::new(SkewedClock(ahead)), ..self }
    }
}

/// Exchanges an enrollment token for an identity, which is only held in memory.
pub async fn enroll(token: &str, circumstances: &Circumstances) -> Result<Identity> {
    postern_runtime::tls::install_crypto_provider();
    let shutdown = Shutdown::new();
    let enrollment = Enrollment {
        proxy: ProxyRule::Direct,
        agent_name: "in-process".to_owned(),
        clock: circumstances.clock.clone(),
        supervisor: Supervisor::new(shutdown.clone()),
    };
    let token: EnrollmentToken = token.parse().context("not an enrollment token")?;
    let enrolled = enrollment.enroll(&token).await;
    shutdown.cut();
    Ok(enrolled.map_err(|error| anyhow!(error)).context("cannot enroll")?.identity)
}

impl InProcessAgent {
    /// Starts an agent that serves these directories.
    pub fn start(
        identity: Identity,
        directories: Vec<Arc<dyn ServedDirectory>>,
        circumstances: &Circumstances,
    ) -> Self {
        let supervisor = Supervisor::new(Shutdown::new());
        let clock = circumstances.clock.clone();
        let identity = IdentitySource::in_memory(identity);
        let agent = Agent::start(Parts {
            dial: Arc::new(TlsDial::new(identity.clone(), ProxyRule::Direct, clock.clone())),
            identity: Some(identity),
            directories,
            policy: Policy::default(),
            passwords: None,
            options: circumstances.options,
            supervisor: supervisor.clone(),
            clock,
        });
        Self { agent, supervisor }
    }

    /// The agent itself.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Lets it drain and end.
    pub async fn stop(self) -> Result<()> {
        self.supervisor.shutdown().stop();
        self.supervisor.join().await.map_err(|error| anyhow!(error)).context("the agent failed")
    }
}

impl Drop for InProcessAgent {
    fn drop(&mut self) {
        self.supervisor.shutdown().stop();
        self.supervisor.shutdown().cut();
    }
}

/// A real directory, configured as the agent's file would.
pub fn directory(settings: &DirectorySettings) -> Result<Arc<dyn ServedDirectory>> {
    let config: DirectoryConfig = toml::from_str(&toml::to_string(settings)?).context("directory settings")?;
    Ok(Arc::new(Directory::new(config).map_err(|error| anyhow!(error)).context("directory configuration")?))
}

/// A clock that is wrong by a fixed amount.
#[derive(Clone, Copy, Debug)]
struct SkewedClock(SignedDuration);

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(self.0).unwrap_or(Timestamp::MAX)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
