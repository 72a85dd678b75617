//! Who acts: for which organization, as whom, in which role.

use std::fmt;
use std::sync::Arc;

use super::error::{Error, Result};
use super::rights::Right;
use crate::records::{ApiTokenId, OrganizationId, Role};

/// Who calls a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// For which organization. Nothing of another one is ever shown or changed.
    pub organization: OrganizationId,
    /// As whom.
    pub who: Who,
    /// What they may do.
    pub role: Role,
}

/// Who somebody is. Displayed as the log names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody with an API token.
    Token {
        /// The token.
        id: ApiTokenId,
        /// What people call it.
        name: Arc<str>,
    },
    /// An administrator of the machine, who has opened the database itself.
    Machine,
}

impl Actor {
    /// The administrator of the machine, who may do everything for every organization.
    pub const fn machine(organization: OrganizationId) -> Self {
        Self { organization, who: Who::Machine, role: Role::Owner }
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
    /// The name that stands in what they have made or decided.
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
