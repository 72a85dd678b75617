//! Wake-ups: hints that something changed, which save polling. They may be lost or come twice; listeners read again
//! what they need, and do so every few seconds anyway.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgListener;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::error::Result;
use crate::ids::{AgentId, ApiTokenId, DirectoryId, JobId, PlanId, TargetId};

/// The `PostgreSQL` channel that carries them.
pub(crate) const CHANNEL: &str = "postern_wake";
/// A listener that is this far behind receives [`Wake::Resync`].
const BACKLOG: usize = 1024;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A job of this directory can be taken up.
    JobReady(DirectoryId),
    /// A job changed its state or progress.
    JobChanged(JobId),
    /// A running job was asked to end.
    CancelRequested(JobId),
    /// An agent was revoked.
    AgentRevoked(AgentId),
    /// An API token was revoked.
    TokenRevoked(ApiTokenId),
    /// The directories that an agent may serve have changed.
    AgentChanged(AgentId),
    /// An agent of one replica has opened a session with another.
    SessionMoved(AgentId),
    /// Something may have to be provisioned to a target.
    Marked(TargetId),
    /// Somebody has asked for a plan.
    PlanAsked(PlanId),
    /// Wake-ups may have been lost: read everything again.
    Resync,
}

impl fmt::Display for Wake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JobReady(directory) => write!(formatter, "job_ready {directory}"),
            Self::JobChanged(job) => write!(formatter, "job_changed {job}"),
            Self::CancelRequested(job) => write!(formatter, "cancel_requested {job}"),
            Self::AgentRevoked(agent) => write!(formatter, "agent_revoked {agent}"),
            Self::TokenRevoked(token) => write!(formatter, "token_revoked {token}"),
            Self::AgentChanged(agent) => write!(formatter, "agent_changed {agent}"),
            Self::SessionMoved(agent) => write!(formatter, "session_moved {agent}"),
            Self::Marked(target) => write!(formatter, "marked {target}"),
            Self::PlanAsked(plan) => write!(formatter, "plan_asked {plan}"),
            Self::Resync => formatter.write_str("resync"),
        }
    }
}

/// The reverse of Display. An unknown text, as from a newer release, is read as [`Wake::Resync`].
fn parse(text: &str) -> Wake {
    let known = || {
        let (what, id) = text.split_once(' ')?;
        let id = Uuid::from_str(id).ok()?;
        Some(match what {
            "job_ready" => Wake::JobReady(DirectoryId::from_uuid(id)),
            "job_changed" => Wake::JobChanged(JobId::from_uuid(id)),
            "cancel_requested" => Wake::CancelRequested(JobId::from_uuid(id)),
            "agent_revoked" => Wake::AgentRevoked(AgentId::from_uuid(id)),
            "token_revoked" => Wake::TokenRevoked(ApiTokenId::from_uuid(id)),
            "agent_changed" => Wake::AgentChanged(AgentId::from_uuid(id)),
            "session_moved" => Wake::SessionMoved(AgentId::from_uuid(id)),
            "plan_asked" => Wake::PlanAsked(PlanId::from_uuid(id)),
            "marked" => Wake::Marked(TargetId::from_uuid(id)),
            _ => return None,
        })
    };
    known().unwrap_or(Wake::Resync)
}

/// The sender within one process.
#[derive(Clone)]
pub(crate) struct Wakes(pub(crate) broadcast::Sender<Wake>);

impl Default for Wakes {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Wakes {
    pub(crate) fn send(&self, wake: Wake) {
        // Fails only if nobody listens.
        let _ = self.0.send(wake);
    }
}

/// The receiver.
pub struct Wakeups(pub(crate) Source);

pub(crate) enum Source {
    Process(broadcast::Receiver<Wake>),
    Postgres(Box<PgListener>),
}

impl fmt::Debug for Wakeups {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Wakeups")
    }
}

impl Wakeups {
    /// Waits for the next one. Cancel-safe. After an error, wait a little, listen again and read everything again.
    pub async fn recv(&mut self) -> Result<Wake> {
        match &mut self.0 {
            Source::Process(receiver) => match receiver.recv().await {
                Ok(wake) => Ok(wake),
                // It cannot be closed while the listener holds the store.
                Err(broadcast::error::RecvError::Lagged(_) | broadcast::error::RecvError::Closed) => Ok(Wake::Resync),
            },
            // `None`: the connection was lost and is restored; what came in between is lost.
            Source::Postgres(listener) => Ok(match listener.try_recv().await? {
                Some(notification) => parse(notification.payload()),
                None => Wake::Resync,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_survive_the_channel() {
        let (directory, job, agent) = (DirectoryId::new(), JobId::new(), AgentId::new());
        for wake in [
            Wake::JobReady(directory),
            Wake::JobChanged(job),
            Wake::CancelRequested(job),
            Wake::AgentRevoked(agent),
            Wake::TokenRevoked(ApiTokenId::new()),
            Wake::AgentChanged(agent),
            Wake::SessionMoved(agent),
            Wake::Resync,
        ] {
            assert_eq!(parse(&wake.to_string()), wake);
        }
        assert_eq!(parse("something_newer 1 2 3"), Wake::Resync);
    }
}
