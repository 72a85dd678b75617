//! Organizations, the tenants of the control plane.

use jiff::Timestamp;

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::OrganizationId;
use crate::records::{Organization, Page, PageRequest};
use crate::sql::{Row, sql};

/// How long ended jobs are kept by default, in days; the schema has the same number.
const JOB_RETENTION_DAYS: u32 = 90;

fn read(mut row: Row) -> Result<Organization> {
    let (id, name, created_at) = (row.take()?, row.take()?, row.take()?);
    let (missing_user_days, joins_users) = (row.take()?, row.take()?);
    Ok(Organization { id, name, created_at, missing_user_days, joins_users, job_retention_days: row.take()? })
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
        };
        let insert = sql("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)")
            .bind(organization.id)
            .bind(&organization.name)
            .bind(now);
        self.database.execute(insert).await.map_err(|error| match error {
            Error::Conflict { source, .. } => Error::Conflict {
                what: format!("an organization named {:?} exists already", organization.name),
                source,
            },
            other => other,
        })?;
        Ok(organization)
    }

    /// Sets whether accounts of one directory may join users of another one. [`Error::NotFound`]: there is no such
    /// organization.
    pub async fn set_joins_users(&self, organization: OrganizationId, joins: bool) -> Result<Organization> {
        let update = sql("UPDATE organizations SET joins_users = $1 WHERE id = $2").bind(joins).bind(organization);
        self.database.execute(update).await?;
        self.get_organization(organization).await?.ok_or(Error::NotFound { what: "the organization" })
    }

    /// The organization of this name.
    pub async fn find_organization(&self, name: &str) -> Result<Option<Organization>> {
        let query =
            sql("SELECT id, name, created_at, missing_user_days, joins_users, job_retention_days FROM organizations WHERE name = $1")
                .bind(name);
        self.database.row(query, read).await
    }

    /// One organization.
    pub async fn get_organization(&self, organization: OrganizationId) -> Result<Option<Organization>> {
        let query = sql("SELECT id, name, created_at, missing_user_days, joins_users, job_retention_days FROM organizations WHERE id = $1")
            .bind(organization);
        self.database.row(query, read).await
    }

    /// Sets after how many days a user that no directory has any more becomes inactive; `None`: never. It applies to
    /// users who go missing from now on, and to missing ones who are still active. [`Error::NotFound`]: there is no
    /// such organization.
    pub async fn set_missing_user_days(&self, organization: OrganizationId, days: Option<u32>) -> Result<()> {
        let update = sql("UPDATE organizations SET missing_user_days = $1 WHERE id = $2").bind(days).bind(organization);
        match self.database.execute(update).await? {
            0 => Err(Error::NotFound { what: "the organization" }),
            _ => Ok(()),
        }
    }

    /// Sets after how many days ended jobs are deleted with their reports; 0: never. [`Error::NotFound`]: there is no
    /// such organization.
    pub async fn set_job_retention_days(&self, organization: OrganizationId, days: u32) -> Result<()> {
        let update =
            sql("UPDATE organizations SET job_retention_days = $1 WHERE id = $2").bind(days).bind(organization);
        match self.database.execute(update).await? {
            0 => Err(Error::NotFound { what: "the organization" }),
            _ => Ok(()),
        }
    }

    /// All organizations, oldest first.
    pub async fn list_organizations(&self, page: &PageRequest) -> Result<Page<Organization>> {
        let after: Option<OrganizationId> = page.cursor()?;
        let query =
            sql("SELECT id, name, created_at, missing_user_days, joins_users, job_retention_days FROM organizations WHERE id > $1 ORDER BY id LIMIT $2")
                .bind(after.unwrap_or(OrganizationId::from_uuid(uuid::Uuid::nil())))
                .bind(page.probe());
        Ok(Page::cut(self.database.rows(query, read).await?, page, |last| last.id.to_string()))
    }
}
