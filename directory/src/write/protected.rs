//! What may be written at all: entries that the system needs are left alone whatever the policy says, and the site is
//! asked about all others.

use std::sync::atomic::Ordering;

use super::gate::{Facts, Intent, Kind};
use super::operation::Create;
use super::target::Target;
use super::work::Work;
use crate::error::Error;
use crate::failure::Failure;
use postern_dn::Dn;

/// What is about to be done, apart from the entry itself.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    pub(crate) destination: Option<&'a Dn>,
    pub(crate) attributes: Vec<&'a str>,
    pub(crate) groups: Vec<&'a Dn>,
    pub(crate) members: Vec<&'a Dn>,
    /// Whether a password is set by something else than [`Kind::SetPassword`].
    pub(crate) sets_password: bool,
}

impl Work<'_> {
    /// Refuses what is never written, and asks the site about the rest.
    pub(crate) async fn allowed(&mut self, kind: Kind, target: &mut Target, plan: Plan<'_>) -> Result<(), Error> {
        if let Some(reason) = protection(&target.facts) {
            return Err(Failure::Protected { reason }.into());
        }
        self.must_be_of_kind(target).await?;
        target.facts.protected_group = self.protected_group(target).await?;
        if matches!(kind, Kind::Move | Kind::Delete) {
            target.facts.protected_below = self.protected_below(target).await?;
        }
        let Plan { destination, attributes, groups, members, sets_password } = plan;
        self.not_ourselves(&members)?;
        let members_group = self.protected_members(&members).await?;
        let attributes = attributes.iter().map(|name| self.session.schema.written(name)).collect();
        let intent = Intent {
            kind,
            phase: self.phase,
            external_id: target.external_id.as_deref(),
            dn: &target.dn,
            destination,
            attributes,
            groups,
            members,
            members_group: members_group.as_ref(),
            sets_password: sets_password || kind == Kind::SetPassword,
            facts: &target.facts,
            again: self.permitted.load(Ordering::Relaxed),
        };
        self.permit(&intent)
    }

    /// Asks the site about an entry that is to be made.
    pub(crate) async fn allowed_new(&mut self, dn: &Dn, create: &Create, members: Vec<&Dn>) -> Result<(), Error> {
        self.not_ourselves(&members)?;
        let members_group = self.protected_members(&members).await?;
        self.permit(&Intent {
            kind: Kind::Create,
            phase: self.phase,
            external_id: None,
            dn,
            destination: None,
            attributes: create.attributes.iter().map(|(name, _)| self.session.schema.written(name)).collect(),
            groups: if members.is_empty() { Vec::new() } else { vec![dn] },
            members,
            members_group: members_group.as_ref(),
            sets_password: create.password.is_some(),
            facts: &Facts::default(),
            again: self.permitted.load(Ordering::Relaxed),
        })
    }

    /// Asks the site about the groups that still list an entry which is gone.
    pub(crate) fn allowed_gone(&self, dn: &Dn, groups: Vec<&Dn>) -> Result<(), Error> {
        self.permit(&Intent {
            kind: Kind::Delete,
            phase: self.phase,
            external_id: None,
            dn,
            destination: None,
            attributes: Vec::new(),
            groups,
            members: Vec::new(),
            members_group: None,
            sets_password: false,
            facts: &Facts::default(),
            again: self.permitted.load(Ordering::Relaxed),
        })
    }

    /// A group gives rights: writing members must not give them to the account by which the agent binds.
    fn not_ourselves(&self, members: &[&Dn]) -> Result<(), Error> {
        let own = self.config.bind_dn.as_deref().and_then(|name| Dn::parse(name).ok());
        let is_own = |dn: &&&Dn| self.session.own_dn.as_ref() == Some(**dn) || own.as_ref() == Some(**dn);
        match members.iter().find(is_own) {
            Some(_) => {
                Err(Failure::Protected { reason: "one of the members is the account by which the agent binds" }.into())
            }
            None => Ok(()),
        }
    }

    fn permit(&self, intent: &Intent<'_>) -> Result<(), Error> {
        self.gate.permit(intent).map_err(Failure::Denied)?;
        self.permitted.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Why an entry is never written.
pub(crate) fn protection(facts: &Facts) -> Option<&'static str> {
    Some(match facts {
        Facts { is_bind_account: true, .. } => "it is the account by which the agent binds",
        Facts { is_critical: true, .. } => "the system needs it (isCriticalSystemObject)",
        Facts { is_builtin: true, .. } => "it is a built-in account or group",
        Facts { admin_count: true, .. } => "it is or was an administrator's (adminCount is 1)",
        _ => return None,
    })
}
