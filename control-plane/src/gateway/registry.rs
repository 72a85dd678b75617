//! The connections and the session of each agent. A newer session replaces the older one, and the connections of a
//! revoked agent are cut.

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

/// Connections that an agent may have: the one it uses, and a few that broke unnoticed.
const CONNECTIONS: usize = 4;

/// Replaced processes that are remembered for each agent.
const REMEMBERED: usize = 4;

/// All agents that are connected to this replica.
#[derive(Debug, Default)]
pub struct Registry {
    agents: DashMap<AgentId, ConnectedAgent>,
    next: AtomicU64,
    memory: Memory,
    unwritten: Unwritten,
}

#[derive(Debug, Default)]
struct ConnectedAgent {
    connections: Vec<(u64, CancellationToken)>,
    session: Option<Open>,
    /// The memory share of its deliveries; absent before the first.
    share: Option<Arc<Share>>,
    /// The process that opened the session, as it names itself.
    instance: Option<String>,
    /// Processes whose session another process replaced. If one comes back, two machines use the identity.
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

impl ConnectedAgent {
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
    /// Enters a connection; canceling `cut` ends it.
    pub(super) fn connected(self: &Arc<Self>, agent: AgentId, cut: CancellationToken) -> Connected {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut entry = self.agents.entry(agent).or_default();
        if entry.connections.len() >= CONNECTIONS {
            // An agent needs one or two; the oldest has been lost.
            entry.connections.remove(0).1.cancel();
        }
        entry.connections.push((number, cut));
        drop(entry);
        Connected { registry: Arc::clone(self), agent, number }
    }

    /// The memory share of all deliveries of an agent.
    pub(super) fn share(&self, organization: OrganizationId, agent: AgentId) -> Arc<Share> {
        // Its connection has entered the agent; a closing connection gets a share for its last moments.
        let mut entry = self.agents.get_mut(&agent);
        let share = entry.as_mut().map(|entry| &mut entry.share);
        match share {
            Some(share) => Arc::clone(share.get_or_insert_with(|| Arc::new(self.memory.share(organization)))),
            None => Arc::new(self.memory.share(organization)),
        }
    }

    /// Whether this process of an agent was replaced by another one that has a session: two machines use one identity,
    /// and the newest keeps the session.
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

    /// Changes of sessions that are not written yet.
    pub(super) fn unwritten(&self) -> &Unwritten {
        &self.unwritten
    }

    /// An agent got a new certificate: its session will soon reconnect with it.
    pub(super) fn renewed(&self, agent: AgentId) {
        if let Some(open) = self.agents.get(&agent).as_ref().and_then(|entry| entry.session.as_ref()) {
            open.pulse.renewed();
        }
    }

    /// Removes a session, unless a newer one has replaced it. `error`: why it broke.
    pub(super) fn closed(&self, route: &Arc<Route>, now: Timestamp, error: Option<String>) {
        self.change(route.agent(), |entry| {
            if entry.session.as_ref().is_some_and(|open| Arc::ptr_eq(&open.route, route)) {
                entry.session = None;
            }
        });
        let (agent, id) = (route.agent(), route.session());
        self.unwritten.closed(ClosedSession { agent, id, closed_at: now, error });
    }

    /// Ends this session if it is still open: the agent has a newer one at another replica.
    pub(super) fn replaced(&self, agent: AgentId, session: Uuid) {
        let entry = self.agents.get(&agent);
        let open = entry.as_ref().and_then(|entry| entry.session.as_ref());
        if let Some(open) = open.filter(|open| open.route.session() == session) {
            open.route.end(ToAgent::Replaced);
        }
    }

    /// Cuts off a revoked agent: its session ends with that reason, and its connections close.
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

    /// Asks an agent to reconnect and announce its directories again: those that it may serve have changed.
    pub fn come_back(&self, agent: AgentId) {
        if let Some(open) = self.agents.get(&agent).as_ref().and_then(|entry| entry.session.as_ref()) {
            open.route.end(ToAgent::Changed);
        }
    }

    /// The sessions that are open here.
    pub(super) fn sessions_here(&self) -> Vec<NewSession> {
        let open = |entry: &ConnectedAgent| {
            let Open { route, organization, connected_at, .. } = entry.session.as_ref()?;
            let (agent, id, instance) = (route.agent(), route.session(), entry.instance.clone());
            Some(NewSession { organization: *organization, agent, id, instance, connected_at: *connected_at })
        };
        self.agents.iter().filter_map(|entry| open(&entry)).collect()
    }

    /// The agent's session at this replica.
    pub(super) fn session_here(&self, agent: AgentId) -> Option<Uuid> {
        Some(self.agents.get(&agent)?.session.as_ref()?.route.session())
    }

    /// Whether the agent has a session at this replica.
    pub fn is_connected(&self, agent: AgentId) -> bool {
        self.agents.get(&agent).is_some_and(|entry| entry.session.is_some())
    }

    /// Whether the agent has a session or a connection at this replica.
    pub(super) fn holds(&self, agent: AgentId) -> bool {
        self.agents.contains_key(&agent)
    }

    /// How many sessions are open here.
    pub fn sessions(&self) -> usize {
        self.agents.iter().filter(|entry| entry.session.is_some()).count()
    }

    /// Calls `look` for all sessions; it must not block.
    pub(super) fn each_session(&self, look: impl Fn(&Route, &Pulse)) {
        for entry in &self.agents {
            if let Some(open) = &entry.session {
                look(&open.route, &open.pulse);
            }
        }
    }

    fn change(&self, agent: AgentId, change: impl FnOnce(&mut ConnectedAgent)) {
        if let Some(mut entry) = self.agents.get_mut(&agent) {
            change(&mut entry);
        }
        self.agents.remove_if(&agent, |_, entry| entry.is_empty());
    }
}
