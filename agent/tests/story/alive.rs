//! What systemd learns of an agent: that it is ready, alive, reading its file again, and stopping.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use postern_agent::link::dial::Error;
use postern_agent::link::{Dial, Dialed};
use postern_agent::policy::Policy;
use postern_agent::{Agent, Options, Parts};
use postern_runtime::clock::SystemClock;
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::Supervisor;

use crate::gateway::within;

/// Says when it is asked to dial, and holds its thread until it is let go. From then on it dials for ever.
struct Stuck {
    entered: Sender<()>,
    released: Mutex<Receiver<()>>,
}

impl Dial for Stuck {
    fn dial(&self) -> BoxFuture<'_, Result<Dialed, Error>> {
        self.entered.send(()).unwrap();
        self.released.lock().unwrap().recv().unwrap();
        Box::pin(std::future::pending())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_stuck_gives_no_sign_of_life_and_one_that_dials_does() {
    let supervisor = Supervisor::new(Shutdown::new());
    let ((entered, has_entered), (release, released)) = (channel(), channel());
    let agent = Agent::start(Parts {
        dial: Arc::new(Stuck { entered, released: Mutex::new(released) }),
        identity: None,
        directories: Vec::new(),
        policy: Policy::default(),
        passwords: None,
        options: Options::default(),
        supervisor: supervisor.clone(),
        clock: SystemClock::shared(),
    });
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap()).await.unwrap();
    let mut alive = Box::pin(supervisor.all_alive());
    assert!((&mut alive).now_or_never().is_none(), "alive, and yet its session does not go round");
    assert_eq!(agent.status().session.state, "connecting");
    release.send(()).unwrap();
    within(alive).await;
    supervisor.shutdown().cut();
}
