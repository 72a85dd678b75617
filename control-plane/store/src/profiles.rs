//! What mapping rules fill of users and groups, read for many at once.

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::OrganizationId;
use crate::records::Profile;

impl Store {
    /// The profiles of these users of the organization, as last committed.
    pub async fn user_profiles(&self, organization: OrganizationId, users: Vec<Uuid>) -> Result<Vec<(Uuid, Profile)>> {
        let query = Bulk::new(
            "SELECT given_name, family_name, display_name, email, attributes, id FROM users WHERE id {in} \
             AND (organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        let query = query.column(Cells::Uuids(users)).shared(organization);
        self.database
            .bulk_rows(query, |mut row| {
                let profile = Profile {
                    given_name: row.take()?,
                    family_name: row.take()?,
                    display_name: row.take()?,
                    email: row.take()?,
                    attributes: row.take()?,
                    description: None,
                };
                Ok((row.take()?, profile))
            })
            .await
    }

    /// The profiles of these groups of the organization, as last committed.
    pub async fn group_profiles(
        &self,
        organization: OrganizationId,
        groups: Vec<Uuid>,
    ) -> Result<Vec<(Uuid, Profile)>> {
        let query = Bulk::new(
            "SELECT display_name, description, id FROM groups WHERE id {in} AND (organization_id = :1) IS TRUE",
        );
        let query = query.column(Cells::Uuids(groups)).shared(organization);
        self.database
            .bulk_rows(query, |mut row| {
                let (display_name, description) = (row.take()?, row.take()?);
                Ok((row.take()?, Profile { display_name, description, ..Profile::default() }))
            })
            .await
    }
}
