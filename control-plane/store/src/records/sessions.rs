//! Which replica holds each agent's session.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::ids::{AgentId, OrganizationId, ReplicaId};

/// A replica without a sign of life for this long counts as dead, and so do its sessions.
pub const REPLICA_PATIENCE: SignedDuration = SignedDuration::from_secs(15);

/// The newest session of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The replica that holds it.
    pub replica: ReplicaId,
    /// Its id.
    pub id: Uuid,
    /// Identifies the agent's process, as the agent says.
    pub instance: Option<String>,
    /// Replaced processes of the agent, the latest first.
    pub replaced: Vec<String>,
    /// When it was opened.
    pub connected_at: Timestamp,
    /// The last sign of life of its replica.
    pub seen_at: Timestamp,
}

impl Session {
    /// Whether its replica is alive, and so the session.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.seen_at > live_since(now)
    }
}

/// Replicas whose last sign of life is older than this count as dead.
pub(crate) fn live_since(now: Timestamp) -> Timestamp {
    now.checked_sub(REPLICA_PATIENCE).unwrap_or(now)
}

/// A session that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// Its organization.
    pub organization: OrganizationId,
    /// The agent.
    pub agent: AgentId,
    /// Its id.
    pub id: Uuid,
    /// See [`Session::instance`].
    pub instance: Option<String>,
    /// When it was opened.
    pub connected_at: Timestamp,
}

/// A session that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedSession {
    /// The agent.
    pub agent: AgentId,
    /// Its id.
    pub id: Uuid,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// Why it broke. `None`: it ended in good order.
    pub error: Option<String>,
}

/// The options for a job whose agent has no session with its replica any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranded {
    /// The agent has a session with another replica.
    pub agent_is_elsewhere: bool,
    /// Another connected agent serves the directory.
    pub has_another: bool,
}
