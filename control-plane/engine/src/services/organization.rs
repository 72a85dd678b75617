//! The rules of an organization.

use postern_store::OrganizationChange;
use serde_json::{Value, json};

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Result};
use super::rights::Right;
use crate::records::Organization;

/// Most days in a rule.
const MAX_DAYS: u32 = 3_650;

/// Read access to the organization's rules.
#[derive(Debug)]
pub struct Rules<'s>(Access<'s>);

/// Access to change the organization's rules.
#[derive(Debug)]
pub struct RuleChanges<'s>(Access<'s>);

/// A change of rules. `None`: unchanged.
#[derive(Clone, Debug, Default)]
pub struct RuleChange {
    /// Whether users that no directory has any more become inactive.
    pub deactivates_missing_users: Option<bool>,
    /// After how many days; 0: at once.
    pub missing_user_days: Option<u32>,
    /// Whether accounts of one directory may join users of another one.
    pub joins_users: Option<bool>,
    /// After how many days ended jobs are deleted; 0: never.
    pub job_retention_days: Option<u32>,
    /// After so many days entries of the audit log are deleted; 0: never.
    pub audit_retention_days: Option<u32>,
}

impl Services {
    /// Opens the rules of the organization.
    pub fn rules<'s>(&'s self, actor: &'s Actor) -> Result<Rules<'s>> {
        self.open(actor, Right::ReadOrganization).map(Rules)
    }

    /// Opens the rules of the organization, to change them.
    pub fn change_rules<'s>(&'s self, actor: &'s Actor) -> Result<RuleChanges<'s>> {
        self.open(actor, Right::ChangeOrganization).map(RuleChanges)
    }
}

impl Rules<'_> {
    /// The organization.
    pub async fn get(&self) -> Result<Organization> {
        get(self.0).await
    }
}

impl RuleChanges<'_> {
    /// Changes the rules, and returns the organization.
    pub async fn change(&self, change: RuleChange) -> Result<Organization> {
        at_most("missing_user_days", change.missing_user_days)?;
        at_most("job_retention_days", change.job_retention_days)?;
        at_most("audit_retention_days", change.audit_retention_days)?;
        let known = get(self.0).await?;
        let days = change.missing_user_days.or(known.missing_user_days).unwrap_or_default();
        let days = match change.deactivates_missing_users {
            Some(false) => None,
            None if known.missing_user_days.is_none() && change.missing_user_days.is_none() => None,
            Some(true) | None => Some(days),
        };
        let touches_missing = change.deactivates_missing_users.is_some() || change.missing_user_days.is_some();
        let changes = OrganizationChange {
            missing_user_days: touches_missing.then_some(days),
            joins_users: change.joins_users,
            job_retention_days: change.job_retention_days,
            audit_retention_days: change.audit_retention_days,
        };
        let organization = self.0.organization();
        let change = Change::new("organization.changed", None, &known.name);
        let change = change.before(&facts(&known)).after(&facts(&changed(known.clone(), changes)));
        let known = self.0.recording(change).change_organization(organization, changes).await?;
        tracing::info!(%organization, by = %self.0.actor().who, ?days, "organization.changed");
        Ok(known)
    }
}

/// The rules, as the audit log keeps them.
fn facts(organization: &Organization) -> Value {
    json!({
        "missing_user_days": organization.missing_user_days,
        "joins_users": organization.joins_users,
        "job_retention_days": organization.job_retention_days,
        "audit_retention_days": organization.audit_retention_days,
    })
}

fn changed(known: Organization, change: OrganizationChange) -> Organization {
    Organization {
        missing_user_days: change.missing_user_days.unwrap_or(known.missing_user_days),
        joins_users: change.joins_users.unwrap_or(known.joins_users),
        job_retention_days: change.job_retention_days.unwrap_or(known.job_retention_days),
        audit_retention_days: change.audit_retention_days.unwrap_or(known.audit_retention_days),
        ..known
    }
}

fn at_most(field: &str, days: Option<u32>) -> Result<()> {
    match days {
        Some(days) if days > MAX_DAYS => Err(Error::field(field, format!("it must be from 0 to {MAX_DAYS}"))),
        _ => Ok(()),
    }
}

async fn get(access: Access<'_>) -> Result<Organization> {
    access.store().get_organization(access.organization()).await?.ok_or_else(|| Error::no("organization"))
}
