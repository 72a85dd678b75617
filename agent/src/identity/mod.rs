//! Who this agent is: a key made here that never leaves, and a certificate that the control plane issued for it.

mod dial;
pub mod enroll;
mod proven;
mod source;
pub mod store;

pub use self::dial::TlsDial;
pub(crate) use self::proven::FreshKey;
pub use self::proven::{AgentId, Error, Identity, IdentityParts};
pub use self::source::IdentitySource;
