//! The identity that is in use, renewed and replaced while the agent runs.

use std::sync::Arc;

use tokio::sync::watch;

use super::proven::Identity;
use super::store::{self, IdentityStore};

/// The identity in use, for everybody who dials or renews. Clones share it.
#[derive(Clone, Debug)]
pub struct IdentitySource {
    current: Arc<watch::Sender<Arc<Identity>>>,
    store: Option<IdentityStore>,
}

impl IdentitySource {
    /// An identity that is kept in `store`, so that renewals outlive the process.
    pub fn stored(identity: Identity, store: IdentityStore) -> Self {
        Self { current: Arc::new(watch::Sender::new(Arc::new(identity))), store: Some(store) }
    }

    /// An identity that lives in memory only.
    pub fn in_memory(identity: Identity) -> Self {
        Self { current: Arc::new(watch::Sender::new(Arc::new(identity))), store: None }
    }

    /// The identity as it is now.
    pub fn current(&self) -> Arc<Identity> {
        Arc::clone(&self.current.borrow())
    }

    /// Changes whenever the identity does.
    pub fn watch(&self) -> watch::Receiver<Arc<Identity>> {
        self.current.subscribe()
    }

    /// Takes up what another process stored meanwhile (a new enrollment over a running agent, a restored snapshot).
    /// A file that cannot be read changes nothing.
    pub fn refresh(&self) {
        let Some(store) = &self.store else { return };
        match store.load() {
            Ok(stored) if stored.parts().certificate_chain_pem != self.current().parts().certificate_chain_pem => {
                tracing::info!(agent_id = %stored.agent_id(), "identity.reloaded");
                self.current.send_replace(Arc::new(stored));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = postern_runtime::supervise::chain(&error), "identity.unreadable");
            }
        }
    }

    /// Stores a renewed identity, then uses it.
    pub(crate) fn replace(&self, identity: Identity) -> Result<(), store::Error> {
        if let Some(store) = &self.store {
            store.save(&identity)?;
        }
        self.current.send_replace(Arc::new(identity));
        Ok(())
    }
}
