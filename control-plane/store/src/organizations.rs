//! Organizations, the tenants of the control plane.

use jiff::Timestamp;

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::OrganizationId;
use crate::records::{Organization, Page, PageRequest};
use crate::sql::{Row, sql};

fn read(mut row: Row) -> Result<Organization> {
    Ok(Organization { id: row.take()?, name: row.take()?, created_at: row.take()? })
}

impl Store {
    /// Creates an organization. [`Error::Conflict`]: the name is taken.
    pub async fn create_organization(&self, name: &str, now: Timestamp) -> Result<Organization> {
        let organization = Organization { id: OrganizationId::new(), name: name.to_owned(), created_at: now };
        let insert = sql("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)")
            .bind(organization.id)
            .bind(name)
            .bind(now);
        self.database.execute(insert).await.map_err(|error| match error {
            Error::Conflict { source, .. } => {
                Error::Conflict { what: format!("an organization named {name:?} exists already"), source }
            }
            other => other,
        })?;
        Ok(organization)
    }

    /// The organization of this name.
    pub async fn find_organization(&self, name: &str) -> Result<Option<Organization>> {
        let query = sql("SELECT id, name, created_at FROM organizations WHERE name = $1").bind(name);
        self.database.row(query, read).await
    }

    /// One organization.
    pub async fn get_organization(&self, organization: OrganizationId) -> Result<Option<Organization>> {
        let query = sql("SELECT id, name, created_at FROM organizations WHERE id = $1").bind(organization);
        self.database.row(query, read).await
    }

    /// All organizations, oldest first.
    pub async fn list_organizations(&self, page: &PageRequest) -> Result<Page<Organization>> {
        let after: Option<OrganizationId> = page.cursor()?;
        let query = sql("SELECT id, name, created_at FROM organizations WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after.unwrap_or(OrganizationId::from_uuid(uuid::Uuid::nil())))
            .bind(page.probe());
        Ok(Page::cut(self.database.rows(query, read).await?, page, |last| last.id.to_string()))
    }
}
