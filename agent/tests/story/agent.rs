//! One agent under test.

use std::sync::Arc;
use std::time::Duration;

use postern_agent::deliver::{Compression, DeliveryOptions};
use postern_agent::identity::TlsDial;
use postern_agent::identity::{Identity, IdentitySource};
use postern_agent::link::proxy::ProxyRule;
use postern_agent::policy::Policy;
use postern_agent::served::ServedDirectory;
use postern_agent::session::run::SessionOptions;
use postern_agent::{Agent, Options, Parts};
use postern_runtime::clock::{SharedClock, SystemClock};
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::Supervisor;

/// A running agent; dropping it cuts it.
pub(crate) struct Running {
    pub(crate) agent: Agent,
    pub(crate) identity: IdentitySource,
    pub(crate) supervisor: Supervisor,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.supervisor.shutdown().cut();
    }
}

pub(crate) fn start(identity: Identity, directory: impl ServedDirectory) -> Running {
    start_with(IdentitySource::in_memory(identity), directory, SystemClock::shared())
}

pub(crate) fn start_with(identity: IdentitySource, directory: impl ServedDirectory, clock: SharedClock) -> Running {
    run(identity, directory, clock, None)
}

/// One that compresses although the gateway is on this machine.
pub(crate) fn start_compressing(identity: Identity, directory: impl ServedDirectory) -> Running {
    run(IdentitySource::in_memory(identity), directory, SystemClock::shared(), Some(Compression::Zstd))
}

fn run(
    identity: IdentitySource,
    directory: impl ServedDirectory,
    clock: SharedClock,
    compression: Option<Compression>,
) -> Running {
    let supervisor = Supervisor::with_clock(Shutdown::new(), clock.clone());
    let options = Options {
        session: SessionOptions {
            reconnect_initial: Duration::from_millis(20),
            reconnect_max: Duration::from_millis(200),
            ..SessionOptions::default()
        },
        delivery: DeliveryOptions { window_chunks: 4, compression, ..DeliveryOptions::default() },
    };
    let agent = Agent::start(Parts {
        dial: Arc::new(TlsDial::new(identity.clone(), ProxyRule::Direct, clock.clone())),
        identity: Some(identity.clone()),
        directories: vec![Arc::new(directory)],
        policy: Policy::default(),
        passwords: None,
        options,
        supervisor: supervisor.clone(),
        clock,
    });
    Running { agent, identity, supervisor }
}
