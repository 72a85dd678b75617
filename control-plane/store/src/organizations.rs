//! Organizations, the tenants of the control plane.

use jiff::Timestamp;

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::OrganizationId;
use crate::records::{Organization, OrganizationChange, Page, PageRequest};
use crate::sql::{Row, sql};

/// How long ended jobs are kept by default, in days; the schema has the same number.
const JOB_RETENTION_DAYS: u32 = 90;
/// How long entries of the audit log are kept unless the organization says otherwise; the schema says the same.
const AUDIT_RETENTION_DAYS: u32 = 730;

macro_rules! select_organizations {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, created_at, missing_user_days, joins_users, job_retention_days, audit_retention_days \
             FROM organizations ",
            $rest
        )
    };
}

fn read(mut row: Row) -> Result<Organization> {
    let (id, name, created_at) = (row.take()?, row.take()?, row.take()?);
    let (missing_user_days, joins_users) = (row.take()?, row.take()?);
    let (job_retention_days, audit_retention_days) = (row.take()?, row.take()?);
    Ok(Organization { id, name, joins_users, created_at, missing_user_days, job_retention_days, audit_retention_days })
}

impl Store {
    /// Creates an organization. [`Error::Conflict`]: the name is taken.
    pub async fn create_organization(&self, name: &str, now: Timestamp) -> Result<Organization> {
        let (id, name) = (OrganizationId::new(), name.to_owned());
        let organization = Organization {
            id,
            name,
            created_at: now,
            missing_user_days: Some(0),
            joins_users: true,
            job_retention_days: JOB_RETENTION_DAYS,
            audit_retention_days: AUDIT_RETENTION_DAYS,
        };
        let insert = sql("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)")
            .bind(organization.id)
            .bind(&organization.name)
            .bind(now);
        let mut tx = self.database.begin().await?;
        tx.execute(insert).await.map_err(|error| match error {
            Error::Conflict { source, .. } => Error::Conflict {
                what: format!("an organization named {:?} exists already", organization.name),
                source,
            },
            other => other,
        })?;
        tx.commit().await?;
        Ok(organization)
    }

    /// Changes the rules of an organization in one statement, which writes nothing if they are so already. [`Error::NotFound`]: there is no such organization.
    pub async fn change_organization(
        &self,
        organization: OrganizationId,
        change: OrganizationChange,
    ) -> Result<Organization> {
        let update =
            sql("UPDATE organizations SET missing_user_days = CASE WHEN $1 THEN $2 ELSE missing_user_days END, \
             joins_users = CASE WHEN $3 THEN $4 ELSE joins_users END, \
             job_retention_days = COALESCE($5, job_retention_days), \
             audit_retention_days = COALESCE($6, audit_retention_days) WHERE id = $7 \
             AND (($1 AND missing_user_days IS DISTINCT FROM $2) OR ($3 AND joins_users IS DISTINCT FROM $4) \
             OR job_retention_days <> COALESCE($5, job_retention_days) \
             OR audit_retention_days <> COALESCE($6, audit_retention_days))")
            .bind(change.missing_user_days.is_some())
            .bind(change.missing_user_days.flatten())
            .bind(change.joins_users.is_some())
            .bind(change.joins_users.unwrap_or_default())
            .bind(change.job_retention_days)
            .bind(change.audit_retention_days)
            .bind(organization);
        self.database.execute(update).await?;
        self.get_organization(organization).await?.ok_or(Error::NotFound { what: "the organization" })
    }

    /// The organization of this name.
    pub async fn find_organization(&self, name: &str) -> Result<Option<Organization>> {
        let query = sql(select_organizations!("WHERE name = $1")).bind(name);
        self.database.row(query, read).await
    }

    /// One organization.
    pub async fn get_organization(&self, organization: OrganizationId) -> Result<Option<Organization>> {
        let query = sql(select_organizations!("WHERE id = $1")).bind(organization);
        self.database.row(query, read).await
    }

    /// All organizations, oldest first.
    pub async fn list_organizations(&self, page: &PageRequest) -> Result<Page<Organization>> {
        let after: Option<OrganizationId> = page.cursor()?;
        let query = sql(select_organizations!("WHERE id > $1 ORDER BY id LIMIT $2"))
            .bind(after.unwrap_or(OrganizationId::from_uuid(uuid::Uuid::nil())))
            .bind(page.probe());
        Ok(Page::cut(self.database.rows(query, read).await?, page, |last| last.id.to_string()))
    }
}
