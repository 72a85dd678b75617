//! Finds the targets that this replica can reach, takes the work on them under a lease, and runs a worker for each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::{OnCancel, Supervisor, chain};
use postern_store::{Provisioning, ReplicaId, Store, TargetId, Wake};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::directory::DirectoryConnector;
use super::load::Target;
use super::worker::Worker;
use crate::jobs::reach::Reach;

/// How often to look without a wake-up, and to renew the leases.
const POLL: Duration = Duration::from_secs(2);
/// How long a lease lasts without a sign of life.
const LEASE: Duration = Duration::from_secs(15);

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Runs the workers of this replica.
#[derive(Debug)]
pub struct Runner {
    store: Store,
    clock: SharedClock,
    reach: Arc<Reach>,
    connector: Arc<DirectoryConnector>,
    supervisor: Supervisor,
    owner: ReplicaId,
    /// A worker has ended.
    ended: Arc<Notify>,
}

/// A worker that runs.
#[derive(Debug)]
struct Running {
    revision: u32,
    wake: Arc<Notify>,
    stop: CancellationToken,
}

impl Runner {
    /// A runner for this process, whose leases have this owner.
    pub fn new(
        store: Store,
        clock: SharedClock,
        reach: Arc<Reach>,
        connector: Arc<DirectoryConnector>,
        supervisor: Supervisor,
        owner: ReplicaId,
    ) -> Self {
        Self { store, clock, reach, connector, supervisor, owner, ended: Arc::default() }
    }

    /// Starts the task.
    pub fn start(self) {
        let this = Arc::new(self);
        let supervisor = this.supervisor.clone();
        supervisor.spawn_restarting("provisioning.run", OnCancel::Finish, move || Arc::clone(&this).run());
    }

    async fn run(self: Arc<Self>) {
        let stopping = self.supervisor.shutdown().stopping().clone();
        tokio::select! {
            () = self.follow_on() => {}
            () = stopping.cancelled() => {
                // The next process need not wait until the leases are over.
                if let Err(error) = self.store.release_provisioning(Some(self.owner)).await {
                    tracing::debug!(error = chain(&error), "provisioning.not_released");
                }
            }
        }
    }

    async fn follow_on(&self) {
        let mut running = HashMap::new();
        loop {
            if let Err(error) = self.follow(&mut running).await {
                tracing::warn!(error = chain(&error), "provisioning.look_failed");
                self.clock.sleep(POLL).await;
            }
        }
    }

    async fn follow(&self, running: &mut HashMap<TargetId, Running>) -> Result<()> {
        let mut wakeups = self.store.listen().await?;
        loop {
            self.look(running).await?;
            let sleep = self.clock.sleep(POLL);
            tokio::pin!(sleep);
            loop {
                tokio::select! {
                    wake = wakeups.recv() => match wake? {
                        Wake::Marked(target) => match running.get(&target) {
                            Some(known) => known.wake.notify_one(),
                            // It may just have been set up.
                            None => break,
                        },
                        Wake::Resync => break,
                        _ => {}
                    },
                    () = self.ended.notified() => break,
                    () = &mut sleep => break,
                }
            }
        }
    }

    /// Takes and renews leases, starts workers and stops those that have lost their target.
    async fn look(&self, running: &mut HashMap<TargetId, Running>) -> Result<()> {
        let reached: Vec<TargetId> = self.reach.directories().into_iter().map(TargetId::from).collect();
        let wanted = self.store.provisioned(&reached).await?;
        let now = self.clock.now();
        let until = now.checked_add(LEASE).unwrap_or(now);
        let claimed = if wanted.is_empty() {
            Vec::new()
        } else {
            self.store.claim_provisioning(self.owner, &wanted, until, now).await?
        };
        let kept: HashSet<TargetId> = claimed.iter().map(|provisioning| provisioning.target).collect();
        running.retain(|target, known| {
            let stays = kept.contains(target) && !known.stop.is_cancelled();
            if !stays {
                known.stop.cancel();
            }
            stays
        });
        for provisioning in claimed {
            let target = provisioning.target;
            match running.get(&target) {
                Some(known) if known.revision == provisioning.revision => continue,
                Some(known) => known.stop.cancel(),
                None => {}
            }
            running.insert(target, self.begin(provisioning).await?);
        }
        Ok(())
    }

    async fn begin(&self, provisioning: Provisioning) -> Result<Running> {
        let (revision, target) = (provisioning.revision, provisioning.target);
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let started = Running { revision, wake: Arc::clone(&wake), stop: stop.clone() };
        let target = match Target::open(&self.store, provisioning).await? {
            Ok(opened) => opened,
            Err(reason) => {
                tracing::error!(%target, reason, "provisioning.settings_unusable");
                return Ok(started);
            }
        };
        let connector = Arc::clone(&self.connector);
        let mut worker = Worker::new(self.store.clone(), Arc::clone(&self.clock), connector, target, wake);
        let ended = Arc::clone(&self.ended);
        self.supervisor.spawn("provisioning.target", OnCancel::Abort, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                result = worker.run() => match result {
                    Ok(()) => ended.notify_one(),
                    // The next poll starts another one.
                    Err(error) => tracing::warn!(error = chain(&error), "provisioning.worker_failed"),
                }
            }
            // The next look starts another one.
            stop.cancel();
        });
        Ok(started)
    }
}
