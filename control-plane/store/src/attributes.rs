//! Attributes that organizations define, and the values of those that are unique.

use jiff::Timestamp;

use crate::Store;
use crate::error::{Error, Result};
use crate::fold;
use crate::identities::Identities;
use crate::ids::{OrganizationId, UserId};
use crate::records::AttributeDefinition;
use crate::sql::{Row, named, sql};

/// Most attributes that an organization defines.
const MOST: i64 = 200;

fn read(mut row: Row) -> Result<AttributeDefinition> {
    Ok(AttributeDefinition {
        name: row.take()?,
        kind: named(&mut row)?,
        required: row.take()?,
        unique: row.take()?,
        sensitive: row.take()?,
    })
}

impl Store {
    /// The attributes that the organization has defined, by name; two hundred at most.
    pub async fn attribute_definitions(&self, organization: OrganizationId) -> Result<Vec<AttributeDefinition>> {
        let query = sql("SELECT name, type, required, is_unique, sensitive FROM attribute_definitions \
             WHERE organization_id = $1 ORDER BY name LIMIT $2");
        self.database.rows(query.bind(organization).bind(MOST), read).await
    }

    /// Defines an attribute. [`Error::Conflict`]: it is defined already, users have values of this name, or there are two
    /// hundred.
    pub async fn define_attribute(
        &self,
        organization: OrganizationId,
        new: &AttributeDefinition,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.database.begin().await?;
        tx.lock(sql("UPDATE organizations SET name = name WHERE id = $1").bind(organization)).await?;
        let query = sql("SELECT count(*) FROM attribute_definitions WHERE organization_id = $1").bind(organization);
        if tx.row(query, |mut row| row.take::<i64>()).await?.unwrap_or_default() >= MOST {
            tx.rollback().await?;
            return Err(Error::conflict("the organization has defined two hundred attributes already"));
        }
        // Names have no character that means something to LIKE but the underscore, which is escaped.
        let pattern = format!("%\"{}\":%", new.name.replace('_', "!_"));
        let query =
            sql("SELECT user_name FROM users WHERE organization = (SELECT seq FROM organizations WHERE id = $1) \
             AND attributes LIKE $2 ESCAPE '!' LIMIT 1");
        let used: Option<String> = tx.row(query.bind(organization).bind(pattern), |mut row| row.take()).await?;
        if let Some(user) = used {
            tx.rollback().await?;
            return Err(Error::conflict(format!("users have a value of this name already, {user:?} among them")));
        }
        let insert = sql("INSERT INTO attribute_definitions \
             (organization_id, name, type, required, is_unique, sensitive, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT DO NOTHING")
        .bind(organization)
        .bind(&new.name)
        .bind(new.kind.as_str())
        .bind(new.required)
        .bind(new.unique)
        .bind(new.sensitive)
        .bind(now);
        if tx.execute(insert).await? == 0 {
            tx.rollback().await?;
            return Err(Error::conflict("an attribute of this name is defined already"));
        }
        tx.commit().await
    }

    /// Takes a definition away. Values that users have stay, as texts of no defined attribute. [`Error::NotFound`]: there is
    /// none of this name.
    pub async fn forget_attribute(&self, organization: OrganizationId, name: &str) -> Result<()> {
        let mut tx = self.database.begin().await?;
        let delete = sql("DELETE FROM attribute_definitions WHERE organization_id = $1 AND name = $2");
        if tx.execute(delete.bind(organization).bind(name)).await? == 0 {
            tx.rollback().await?;
            return Err(Error::NotFound { what: "the attribute" });
        }
        let delete = sql("DELETE FROM unique_values WHERE organization_id = $1 AND name = $2");
        tx.execute(delete.bind(organization).bind(name)).await?;
        tx.commit().await
    }
}

impl Identities {
    /// Gives a user the value of a unique attribute, or takes it away. Returns whether nobody else has it; otherwise nothing
    /// is written.
    pub async fn claim_value(&mut self, name: &str, user: UserId, value: Option<&str>) -> Result<bool> {
        if let Some(value) = value {
            let insert = sql("INSERT INTO unique_values (organization_id, name, value_key, user_id) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (organization_id, name, value_key) \
                 DO UPDATE SET user_id = unique_values.user_id RETURNING user_id");
            let insert = insert.bind(self.organization).bind(name).bind(fold(value)).bind(user);
            if self.tx.row(insert, |mut row| row.take::<UserId>()).await? != Some(user) {
                return Ok(false);
            }
        }
        let delete = sql("DELETE FROM unique_values WHERE user_id = $1 AND organization_id = $2 AND name = $3 \
             AND ($4 IS NULL OR value_key <> $4)");
        let delete = delete.bind(user).bind(self.organization).bind(name).bind(value.map(fold));
        self.tx.execute(delete).await?;
        Ok(true)
    }
}
