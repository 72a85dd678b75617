//! What the services need from the gateway.

use crate::records::AgentId;

/// The gateway, as administrators' requests use it.
pub trait Gate: Send + Sync {
    /// What a new agent needs to find and trust the gateway.
    fn door(&self) -> Door;
    /// Ends the session of an agent that was just revoked, if this replica holds it. Other replicas learn of it from
    /// the store.
    fn cut(&self, agent: AgentId);
}

/// The gateway's address, and the authority of its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// `host:port`.
    pub address: String,
    /// SHA-256 over the DER of the certificate authority.
    pub ca_sha256: [u8; 32],
}
