//! The actor of a call: organization, identity and role.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Set while it is only asked whether they may: then no service opens.
    pub probe: Option<Probe>,
}

/// Finds out whether an actor may do something, without doing it.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<AtomicBool>);

impl Probe {
    /// Whether a service would have opened.
    pub fn may(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl PartialEq for Probe {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Probe {}

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
        Self { organization, who: Who::Machine, role: Role::Owner, address: None, probe: None }
    }

    /// Checks a right. [`Error::Denied`]: the role does not have it, or it was only asked.
    pub(super) fn may(&self, right: Right) -> Result<()> {
        let holders = right.holders();
        match holders.first() {
            Some(&needs) if !holders.contains(&self.role) => Err(Error::Denied { needs, has: self.role }),
            _ => match &self.probe {
                Some(probe) => {
                    probe.0.store(true, Ordering::Release);
                    Err(Error::Denied { needs: self.role, has: self.role })
                }
                None => Ok(()),
            },
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
