//! Which directories are reachable from this replica. The gateway registers its sessions here, so that jobs do not
//! depend on the gateway.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use postern_store::{AgentId, DirectoryId, JobId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::command::Command;

/// A message to a session. Boxed in the queue, to keep ten thousand idle queues small.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "each is boxed in the queue")]
pub enum ToAgent {
    /// Start this command.
    Command(Command),
    /// Stop this command.
    Cancel(JobId),
    /// The outcome of this generation of a command is durable.
    Acknowledge(JobId, u32),
    /// A newer session of the same agent has taken over.
    Replaced,
    /// The certificate of its connection has expired.
    CertificateExpired,
    /// The agent has a newer certificate than that of its connection.
    CertificateRenewed,
    /// The agent sent no heartbeat.
    Silent,
    /// An administrator has changed which directories the agent may serve.
    Changed,
    /// The agent was revoked.
    Revoked,
}

/// How many messages may wait for a session; further commands stay in the database. There is room for the operations of a
/// directory, and for what acknowledges them.
pub(crate) const QUEUE: usize = 40;

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The session is over, or is ending.
    Over,
    /// Its queue is full.
    Full,
}

/// The route to an agent: one live session.
#[derive(Debug)]
pub struct Route {
    agent: AgentId,
    session: Uuid,
    queue: Mutex<Queue>,
    queued: Notify,
    ended: CancellationToken,
}

/// The messages that wait for a session. A tokio channel would take a kilobyte for each idle agent.
#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Box<ToAgent>>,
    end: Option<ToAgent>,
    closed: bool,
}

/// The session's end of a route; once this is dropped, the route takes no messages.
#[derive(Debug)]
pub struct Messages(Arc<Route>);

impl Messages {
    /// The next message for the session.
    pub async fn next(&self) -> ToAgent {
        loop {
            if let Some(message) = self.0.queue().messages.pop_front() {
                return *message;
            }
            self.0.queued.notified().await;
        }
    }

    /// Waits until the session must end; [`Route::reason`] says why, unless the process stops.
    pub async fn ended(&self) {
        self.0.ended.cancelled().await;
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        queue.messages.clear();
    }
}

impl Route {
    /// The route to a session that has just opened; it ends with `ended`.
    pub fn open(agent: AgentId, session: Uuid, ended: CancellationToken) -> (Arc<Self>, Messages) {
        let route = Self { agent, session, queue: Mutex::default(), queued: Notify::new(), ended };
        let route = Arc::new(route);
        (Arc::clone(&route), Messages(route))
    }

    /// The session's agent.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// The session's id.
    pub fn session(&self) -> Uuid {
        self.session
    }

    /// Queues a message for the session.
    pub fn send(&self, message: ToAgent) -> Result<(), NotSent> {
        let mut queue = self.queue();
        if queue.closed || self.ended.is_cancelled() {
            return Err(NotSent::Over);
        }
        if queue.messages.len() >= QUEUE {
            return Err(NotSent::Full);
        }
        queue.messages.push_back(Box::new(message));
        self.queued.notify_one();
        Ok(())
    }

    /// Ends the session, ahead of queued messages.
    pub fn end(&self, why: ToAgent) {
        self.queue().end.get_or_insert(why);
        self.ended.cancel();
    }

    /// Why the session was ended; `None` if the process stops.
    pub fn reason(&self) -> Option<ToAgent> {
        self.queue().end.take()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The directories that are reachable from this replica, each with the sessions that serve it.
#[derive(Debug, Default)]
pub struct Reach {
    directories: DashMap<DirectoryId, Vec<Arc<Route>>>,
    /// Directories added since the last call of `fresh`.
    fresh: Mutex<Vec<DirectoryId>>,
    changed: Notify,
}

impl Reach {
    /// Enters the directories that a session serves, in place of those in `before`.
    pub fn serve(&self, route: &Arc<Route>, before: &[DirectoryId], directories: &[DirectoryId]) {
        let left: Vec<DirectoryId> = before.iter().filter(|known| !directories.contains(known)).copied().collect();
        self.gone(route, &left);
        for directory in directories {
            let mut routes = self.directories.entry(*directory).or_default();
            if !routes.iter().any(|known| Arc::ptr_eq(known, route)) {
                routes.push(Arc::clone(route));
            }
        }
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(directories);
        self.changed.notify_one();
    }

    /// Removes a session that served these directories.
    pub fn gone(&self, route: &Arc<Route>, directories: &[DirectoryId]) {
        for directory in directories {
            self.remove(*directory, route);
        }
    }

    /// All directories that are reachable from this replica.
    pub fn directories(&self) -> Vec<DirectoryId> {
        self.directories.iter().map(|entry| *entry.key()).collect()
    }

    /// Whether a directory is reachable from this replica.
    pub fn reaches(&self, directory: DirectoryId) -> bool {
        self.directories.contains_key(&directory)
    }

    /// The sessions that serve a directory, oldest first.
    pub fn routes(&self, directory: DirectoryId) -> Vec<Arc<Route>> {
        self.directories.get(&directory).map(|routes| routes.clone()).unwrap_or_default()
    }

    /// The directories that were added since the last call; waits until there are some.
    pub async fn fresh(&self) -> Vec<DirectoryId> {
        loop {
            let fresh = std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner));
            if !fresh.is_empty() {
                return fresh;
            }
            self.changed.notified().await;
        }
    }

    fn remove(&self, directory: DirectoryId, route: &Arc<Route>) {
        if let Some(mut routes) = self.directories.get_mut(&directory) {
            routes.retain(|known| !Arc::ptr_eq(known, route));
        }
        self.directories.remove_if(&directory, |_, routes| routes.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_reached_as_long_as_a_session_serves_it() {
        let reach = Reach::default();
        let (corp, lab) = (DirectoryId::new(), DirectoryId::new());
        let (first, _first_messages) = Route::open(AgentId::new(), Uuid::now_v7(), CancellationToken::new());
        let (second, _second_messages) = Route::open(AgentId::new(), Uuid::now_v7(), CancellationToken::new());
        reach.serve(&first, &[], &[corp, lab]);
        reach.serve(&second, &[], &[corp]);
        assert_eq!(reach.routes(corp).len(), 2);
        reach.serve(&first, &[corp, lab], &[corp]);
        assert!(!reach.reaches(lab));
        reach.gone(&first, &[corp]);
        assert!(Arc::ptr_eq(&reach.routes(corp)[0], &second));
        reach.gone(&second, &[corp]);
        assert!(reach.directories().is_empty());
    }

    #[test]
    fn a_session_with_too_much_to_send_takes_no_more() {
        let ended = CancellationToken::new();
        let (route, messages) = Route::open(AgentId::new(), Uuid::now_v7(), ended.clone());
        assert!((0..QUEUE).all(|_| route.send(ToAgent::Cancel(JobId::new())).is_ok()));
        assert_eq!(route.send(ToAgent::Cancel(JobId::new())), Err(NotSent::Full));
        route.end(ToAgent::Revoked);
        route.end(ToAgent::Replaced);
        assert!(ended.is_cancelled());
        assert!(matches!(route.reason(), Some(ToAgent::Revoked)), "the first reason counts");
        drop(messages);
    }

    #[tokio::test]
    async fn messages_come_in_order_and_none_is_taken_once_nobody_listens() {
        let (route, messages) = Route::open(AgentId::new(), Uuid::now_v7(), CancellationToken::new());
        let (first, second) = (JobId::new(), JobId::new());
        let waiting = tokio::spawn(async move {
            let heard = (messages.next().await, messages.next().await);
            (heard, messages)
        });
        assert!([first, second].into_iter().all(|job| route.send(ToAgent::Cancel(job)).is_ok()));
        let (heard, messages) = waiting.await.unwrap();
        assert!(matches!(heard, (ToAgent::Cancel(a), ToAgent::Cancel(b)) if (a, b) == (first, second)));
        drop(messages);
        assert_eq!(route.send(ToAgent::Cancel(first)), Err(NotSent::Over));
    }
}
