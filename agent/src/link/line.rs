//! The connection that stands at the moment, for everybody who sends over it: the session puts it up and takes it
//! down; deliveries and renewals wait for it.

use std::sync::Arc;

use tokio::sync::watch;

use super::Connection;

/// The current connection, if there is one. Clones are the same line.
#[derive(Clone, Debug)]
pub struct Line {
    current: Arc<watch::Sender<Option<Connection>>>,
}

impl Default for Line {
    fn default() -> Self {
        Self { current: Arc::new(watch::Sender::new(None)) }
    }
}

impl Line {
    /// A line that is down.
    pub fn new() -> Self {
        Self::default()
    }

    /// A session is established on this connection.
    pub fn up(&self, connection: Connection) {
        self.current.send_replace(Some(connection));
    }

    /// The session is over.
    pub fn down(&self) {
        self.current.send_replace(None);
    }

    /// Waits until there is a connection that has not ended.
    pub async fn connection(&self) -> Connection {
        let mut watcher = self.current.subscribe();
        loop {
            if let Some(connection) = watcher.borrow_and_update().clone().filter(|it| !it.has_ended()) {
                return connection;
            }
            if watcher.changed().await.is_err() {
                // The line itself is held by `self`; this cannot happen, and waiting is the safe answer.
                std::future::pending::<()>().await;
            }
        }
    }
}
