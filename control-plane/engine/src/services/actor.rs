//! The actor of a call: organization, identity and role.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::error::{Error, Result};
use super::rights::Right;
use crate::records::{ApiTokenId, OrganizationId, Role};

/// The caller of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The organization. Nothing of another one is ever shown or changed.
    pub organization: OrganizationId,
    /// The identity.
    pub who: Who,
    /// What they may do.
    pub role: Role,
    /// The network address that they call from. `None`: from this machine, or from within the control plane.
    pub address: Option<IpAddr>,
}

/// The identity of an actor, displayed as the log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The holder of an API token.
    Token {
        /// The token.
        id: ApiTokenId,
        /// Its name.
        name: Arc<str>,
    },
    /// An administrator of the machine, who opens the database itself.
    Machine,
}

impl Actor {
    /// The administrator of the machine, with all rights in every organization.
    pub const fn machine(organization: OrganizationId) -> Self {
        Self { organization, who: Who::Machine, role: Role::Owner, address: None }
    }

    /// Checks a right. [`Error::Denied`]: the role does not have it.
    pub(super) fn may(&self, right: Right) -> Result<()> {
        let holders = right.holders();
        match holders.first() {
            Some(&needs) if !holders.contains(&self.role) => Err(Error::Denied { needs, has: self.role }),
            _ => Ok(()),
        }
    }
}

impl Who {
    /// The name recorded with what they create or decide.
    pub fn name(&self) -> &str {
        match self {
            Self::Token { name, .. } => name,
            Self::Machine => "the machine's administrator",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { id, .. } => id.fmt(formatter),
            Self::Machine => formatter.write_str("machine"),
        }
    }
}
