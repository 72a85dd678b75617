//! What the services ask of the agents' side of the control plane.

use crate::records::AgentId;

/// The agents' side door, as far as administrators have to do with it.
pub trait Gate: Send + Sync {
    /// What a new agent must know to find the door and trust it.
    fn door(&self) -> Door;
    /// Cuts the live session of an agent that was just revoked, if this replica holds it. Other replicas learn of the
    /// revocation from the store.
    fn cut(&self, agent: AgentId);
}

/// Where agents knock, and whose certificate they must find there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// `host:port`.
    pub address: String,
    /// SHA-256 over the DER of the certificate authority.
    pub ca_sha256: [u8; 32],
}
