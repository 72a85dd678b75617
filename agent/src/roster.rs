//! The directories that this agent serves, and what is known of their kind. Exchanged as a whole on a reload.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use postern_runtime::clock::SharedClock;
use postern_runtime::retry::Backoff;
use postern_runtime::supervise::{OnCancel, Supervisor};
use tokio::sync::watch;

use crate::served::{Flavour, Served};

const PROBE_INITIAL: Duration = Duration::from_secs(5);
const PROBE_MAX: Duration = Duration::from_mins(5);

/// A list of served directories.
pub type Directories = Vec<Arc<dyn Served>>;

/// What the agent serves now.
pub struct Roster {
    served: ArcSwap<Directories>,
    flavours: Mutex<HashMap<String, Flavour>>,
    version: watch::Sender<u64>,
}

impl Roster {
    /// A roster of these directories.
    pub fn new(served: Directories) -> Self {
        let roster = Self {
            served: ArcSwap::from_pointee(Vec::new()),
            flavours: Mutex::default(),
            version: watch::Sender::new(0),
        };
        roster.replace(served);
        roster
    }

    /// Serves these from now on. Commands under way keep the directory that they began with.
    pub fn replace(&self, served: Directories) {
        let known = served.iter().filter_map(|it| Some((it.name().to_owned(), it.known_flavour()?))).collect();
        *self.flavours() = known;
        self.served.store(Arc::new(served));
        self.version.send_modify(|version| *version += 1);
    }

    /// The directory of this name.
    pub fn find(&self, name: &str) -> Option<Arc<dyn Served>> {
        self.served.load().iter().find(|served| served.name() == name).cloned()
    }

    /// Names, and flavours as far as they are known.
    pub fn announced(&self) -> Vec<(String, Option<Flavour>)> {
        let flavours = self.flavours();
        self.served.load().iter().map(|it| (it.name().to_owned(), flavours.get(it.name()).copied())).collect()
    }

    /// Changes whenever the announcement does.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Asks every directory whose flavour is unknown, until it answers or is no longer served.
    pub fn probe(self: &Arc<Self>, supervisor: &Supervisor, clock: &SharedClock) {
        let unknown: Directories = {
            let flavours = self.flavours();
            self.served.load().iter().filter(|it| !flavours.contains_key(it.name())).cloned().collect()
        };
        for directory in unknown {
            let probe = Arc::clone(self).ask(directory, Arc::clone(clock));
            supervisor.spawn("flavour_probe", OnCancel::Abort, probe);
        }
    }

    async fn ask(self: Arc<Self>, directory: Arc<dyn Served>, clock: SharedClock) {
        let mut backoff = Backoff::new(PROBE_INITIAL, PROBE_MAX);
        while self.serves(&directory) {
            match directory.flavour().await {
                Ok(flavour) => return self.learn(&directory, flavour),
                Err(failure) => {
                    tracing::warn!(
                        directory = directory.name(),
                        error = failure.for_the_log(),
                        cure = failure.cure,
                        "directory.flavour_unknown"
                    );
                }
            }
            clock.sleep(backoff.next_delay()).await;
        }
    }

    fn learn(&self, directory: &Arc<dyn Served>, flavour: Flavour) {
        if self.serves(directory) {
            self.flavours().insert(directory.name().to_owned(), flavour);
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn serves(&self, directory: &Arc<dyn Served>) -> bool {
        self.served.load().iter().any(|served| Arc::ptr_eq(served, directory))
    }

    fn flavours(&self) -> MutexGuard<'_, HashMap<String, Flavour>> {
        self.flavours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
