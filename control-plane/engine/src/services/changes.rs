//! One listener for all who follow jobs: each listener at the store may need a connection of its own, so event streams
//! share one, and their number is limited.

use std::sync::Arc;
use std::time::Duration;

use postern_runtime::clock::SharedClock;
use postern_store::{Store, Wake};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use super::error::{Error, Message, Result};
use crate::records::{ApiTokenId, JobId};

/// Event streams at a time on one replica.
const MAX_FOLLOWERS: usize = 1_000;
const BACKLOG: usize = 256;
/// Pause before listening again after the database was lost.
const RELISTEN_DELAY: Duration = Duration::from_secs(1);

/// Notifies of changed jobs. Clones share it.
#[derive(Clone, Debug)]
pub struct Changes {
    sender: broadcast::Sender<Wake>,
    seats: Arc<Semaphore>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BACKLOG), seats: Arc::new(Semaphore::new(MAX_FOLLOWERS)) }
    }
}

impl Changes {
    /// Listens at the store, for ever; run it beside the server. Without it followers still see every change, only
    /// later.
    pub(super) async fn listen(&self, store: &Store, clock: &SharedClock) {
        loop {
            if let Ok(mut wakeups) = store.listen().await {
                self.send(Wake::Resync);
                while let Ok(wake) = wakeups.recv().await {
                    self.send(wake);
                }
            }
            clock.sleep(RELISTEN_DELAY).await;
        }
    }

    fn send(&self, wake: Wake) {
        // Fails only if nobody follows.
        let _ = self.sender.send(wake);
    }

    /// Waits until this token may have been revoked, here or at another replica.
    pub async fn token_revoked(&self, token: ApiTokenId) {
        let mut receiver = self.sender.subscribe();
        loop {
            match receiver.recv().await {
                Ok(Wake::TokenRevoked(revoked)) if revoked == token => return,
                Ok(Wake::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Follows a job.
    pub fn follow(&self, job: JobId) -> Result<Ear> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().map_err(|_| too_many_streams())?;
        Ok(Ear { job, receiver: self.sender.subscribe(), _seat: seat })
    }
}

/// The error if too many event streams are open.
pub fn too_many_streams() -> Error {
    let message = Message::new("Too many event streams are open.");
    Error::Busy(message.cure("Close some, or ask for the job itself every few seconds."))
}

/// Notifies of changes of one job.
#[derive(Debug)]
pub struct Ear {
    job: JobId,
    receiver: broadcast::Receiver<Wake>,
    _seat: OwnedSemaphorePermit,
}

impl Ear {
    /// Waits until the job may have changed.
    pub async fn changed(&mut self) {
        loop {
            match self.receiver.recv().await {
                Ok(Wake::JobChanged(job) | Wake::CancelRequested(job)) if job == self.job => return,
                Ok(Wake::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Ok(_) => {}
                // Impossible while the API lives; callers also have a timer.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
