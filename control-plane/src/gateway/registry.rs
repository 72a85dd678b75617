//! Who is connected: the connections and the session of each agent, so that a newer session replaces the older and
//! a revoked agent's lines are cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use jiff::Timestamp;
use postern_store::{AgentId, ClosedSession, NewSession, OrganizationId};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::memory::{Memory, Share};
use super::pulse::Pulse;
use super::unwritten::Unwritten;
use postern_engine::jobs::reach::{Route, ToAgent};

/// Connections of one agent at a time: one that works, and a few that it has lost and that nobody has missed yet.
const CONNECTIONS: usize = 4;

/// Processes of one agent that are remembered as replaced.
const REMEMBERED: usize = 4;

/// All agents that are connected to this replica.
#[derive(Debug, Default)]
pub struct Registry {
    agents: DashMap<AgentId, Entry>,
    next: AtomicU64,
    memory: Memory,
    unwritten: Unwritten,
}

#[derive(Debug, Default)]
struct Entry {
    connections: Vec<(u64, CancellationToken)>,
    session: Option<Open>,
    /// What its deliveries may take; from the first one on.
    share: Option<Arc<Share>>,
    /// The process that the session is of, by its own word.
    instance: Option<String>,
    /// Processes whose session was replaced by that of another process. One that comes back was alive all the time.
    replaced: Vec<String>,
}

/// The session of an agent.
#[derive(Debug)]
struct Open {
    route: Arc<Route>,
    pulse: Arc<Pulse>,
    organization: OrganizationId,
    connected_at: Timestamp,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.session.is_none()
    }
}

/// One connection of an agent; it leaves the registry when this is dropped.
#[derive(Debug)]
pub(super) struct Connected {
    registry: Arc<Registry>,
    agent: AgentId,
    number: u64,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.registry.change(self.agent, |entry| entry.connections.retain(|(number, _)| *number != self.number));
    }
}

impl Registry {
    /// Enters a connection, which ends when `cut` is canceled.
    pub(super) fn connected(self: &Arc<Self>, agent: AgentId, cut: CancellationToken) -> Connected {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut entry = self.agents.entry(agent).or_default();
        if entry.connections.len() >= CONNECTIONS {
            // An agent needs one or two; the oldest is the one that it has lost.
            entry.connections.remove(0).1.cancel();
        }
        entry.connections.push((number, cut));
        drop(entry);
        Connected { registry: Arc::clone(self), agent, number }
    }

    /// What an agent's deliveries may take, all of them together.
    pub(super) fn share(&self, agent: AgentId) -> Arc<Share> {
        // Entered by its connection; one that is closing has a share for its last moments.
        let mut entry = self.agents.get_mut(&agent);
        let share = entry.as_mut().map(|entry| &mut entry.share);
        match share {
            Some(share) => Arc::clone(share.get_or_insert_with(|| Arc::new(self.memory.share()))),
            None => Arc::new(self.memory.share()),
        }
    }

    /// Whether this process of an agent gave way to another one, which has a session: two machines use one identity, and
    /// the newest is kept.
    pub(super) fn gave_way(&self, agent: AgentId, instance: Option<&str>) -> bool {
        let Some(instance) = instance else { return false };
        self.agents.get(&agent).is_some_and(|entry| {
            entry.session.is_some()
                && entry.instance.as_deref() != Some(instance)
                && entry.replaced.iter().any(|replaced| replaced == instance)
        })
    }

    /// Enters an agent's session and ends the one that it replaces.
    pub(super) fn opened(&self, route: &Arc<Route>, pulse: &Arc<Pulse>, session: NewSession) {
        let NewSession { organization, connected_at, .. } = session;
        let newer = Open { route: Arc::clone(route), pulse: Arc::clone(pulse), organization, connected_at };
        let mut entry = self.agents.entry(route.agent()).or_default();
        let older = entry.session.replace(newer);
        let before = std::mem::replace(&mut entry.instance, session.instance.clone());
        if let Some(before) = before.filter(|before| older.is_some() && Some(before) != entry.instance.as_ref()) {
            entry.replaced.retain(|known| *known != before);
            entry.replaced.truncate(REMEMBERED - 1);
            entry.replaced.insert(0, before);
        }
        drop(entry);
        if let Some(older) = older {
            older.route.end(ToAgent::Replaced);
        }
        self.unwritten.opened(session);
    }

    /// What of the sessions is not written yet.
    pub(super) fn unwritten(&self) -> &Unwritten {
        &self.unwritten
    }

    /// An agent got a new certificate: before long its session is opened anew with it.
    pub(super) fn renewed(&self, agent: AgentId) {
        if let Some(open) = self.agents.get(&agent).as_ref().and_then(|entry| entry.session.as_ref()) {
            open.pulse.renewed();
        }
    }

    /// Takes a session out again, unless a newer one has taken its place. `error`: why it broke.
    pub(super) fn closed(&self, route: &Arc<Route>, now: Timestamp, error: Option<String>) {
        self.change(route.agent(), |entry| {
            if entry.session.as_ref().is_some_and(|open| Arc::ptr_eq(&open.route, route)) {
                entry.session = None;
            }
        });
        let (agent, id) = (route.agent(), route.session());
        self.unwritten.closed(ClosedSession { agent, id, closed_at: now, error });
    }

    /// Ends a session, if it is still this one: the agent has a newer one with another replica.
    pub(super) fn replaced(&self, agent: AgentId, session: Uuid) {
        let entry = self.agents.get(&agent);
        let open = entry.as_ref().and_then(|entry| entry.session.as_ref());
        if let Some(open) = open.filter(|open| open.route.session() == session) {
            open.route.end(ToAgent::Replaced);
        }
    }

    /// Cuts everything that a revoked agent holds open: its session hears why, its connections end.
    pub fn cut(&self, agent: AgentId) {
        let Some(entry) = self.agents.get(&agent) else { return };
        if let Some(open) = &entry.session {
            open.route.end(ToAgent::Revoked);
        }
        for (_, cut) in &entry.connections {
            cut.cancel();
        }
        tracing::info!(agent = %agent, "gateway.agent_cut");
    }

    /// Asks an agent to come back: it may serve other directories by now, and says anew which it has.
    pub fn come_back(&self, agent: AgentId) {
        if let Some(open) = self.agents.get(&agent).as_ref().and_then(|entry| entry.session.as_ref()) {
            open.route.end(ToAgent::Changed);
        }
    }

    /// The sessions that are open here.
    pub(super) fn sessions_here(&self) -> Vec<NewSession> {
        let open = |entry: &Entry| {
            let Open { route, organization, connected_at, .. } = entry.session.as_ref()?;
            let (agent, id, instance) = (route.agent(), route.session(), entry.instance.clone());
            Some(NewSession { organization: *organization, agent, id, instance, connected_at: *connected_at })
        };
        self.agents.iter().filter_map(|entry| open(&entry)).collect()
    }

    /// The agent's session here.
    pub(super) fn session_here(&self, agent: AgentId) -> Option<Uuid> {
        Some(self.agents.get(&agent)?.session.as_ref()?.route.session())
    }

    /// Whether the agent has a session here.
    pub fn is_connected(&self, agent: AgentId) -> bool {
        self.agents.get(&agent).is_some_and(|entry| entry.session.is_some())
    }

    /// Whether the agent holds anything open here.
    pub(super) fn holds(&self, agent: AgentId) -> bool {
        self.agents.contains_key(&agent)
    }

    /// How many sessions are open here.
    pub fn sessions(&self) -> usize {
        self.agents.iter().filter(|entry| entry.session.is_some()).count()
    }

    /// Looks at all sessions; `look` must not wait for anything.
    pub(super) fn each_session(&self, look: impl Fn(&Route, &Pulse)) {
        for entry in &self.agents {
            if let Some(open) = &entry.session {
                look(&open.route, &open.pulse);
            }
        }
    }

    fn change(&self, agent: AgentId, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.agents.get_mut(&agent) {
            change(&mut entry);
        }
        self.agents.remove_if(&agent, |_, entry| entry.is_empty());
    }
}
