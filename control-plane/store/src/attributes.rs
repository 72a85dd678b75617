//! Attributes that organizations define, and the values of those that are unique.

use jiff::Timestamp;

use crate::Store;
use crate::error::{Error, Result};
use crate::fold;
use crate::identities::Identities;
use crate::ids::{OrganizationId, UserId};
use crate::records::AttributeDefinition;
use crate::sql::{Row, named, sql};
use crate::transaction::Tx;

/// Most attributes that an organization defines.
const MOST: i64 = 200;

const SELECT_DEFINITIONS: &str = "SELECT name, type, required, is_unique, sensitive FROM attribute_definitions \
     WHERE organization_id = $1 ORDER BY name LIMIT $2";

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
        self.database.rows(sql(SELECT_DEFINITIONS).bind(organization).bind(MOST), read).await
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
        tx.hold_definitions(organization).await?;
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
    /// none of this name. [`Error::Conflict`]: it is sensitive, and users have values of it, or deleted users who may be
    /// restored: without the definition nothing would mask these.
    pub async fn forget_attribute(&self, organization: OrganizationId, name: &str) -> Result<()> {
        let mut tx = self.database.begin().await?;
        tx.hold_definitions(organization).await?;
        let query = sql("SELECT sensitive FROM attribute_definitions WHERE organization_id = $1 AND name = $2");
        let Some(sensitive) = tx.row(query.bind(organization).bind(name), |mut row| row.take::<bool>()).await? else {
            tx.rollback().await?;
            return Err(Error::NotFound { what: "the attribute" });
        };
        if sensitive {
            let (users, deleted) = having(&mut tx, organization, name).await?;
            if users > 0 || deleted > 0 {
                tx.rollback().await?;
                let count = |count: i64, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
                let (users, deleted) = (count(users, "user"), count(deleted, "deleted user"));
                return Err(Error::conflict(format!(
                    "the values of this attribute are sensitive, and {users} and {deleted} have one"
                )));
            }
        }
        for delete in [
            "DELETE FROM attribute_definitions WHERE organization_id = $1 AND name = $2",
            "DELETE FROM unique_values WHERE organization_id = $1 AND name = $2",
        ] {
            tx.execute(sql(delete).bind(organization).bind(name)).await?;
        }
        tx.commit().await
    }
}

/// How many users, and how many deleted users, have a value of this name. It reads all of them.
async fn having(tx: &mut Tx, organization: OrganizationId, name: &str) -> Result<(i64, i64)> {
    let name = name.replace('_', "!_");
    let users = sql("SELECT count(*) FROM users WHERE organization = (SELECT seq FROM organizations WHERE id = $1) \
         AND (attributes LIKE $2 ESCAPE '!' OR own LIKE $2 ESCAPE '!')");
    let users = users.bind(organization).bind(format!("%\"{name}\":%"));
    let users = tx.row(users, |mut row| row.take()).await?.unwrap_or_default();
    // There the values are JSON in a text of JSON.
    let deleted = sql("SELECT count(*) FROM deleted_users WHERE organization_id = $1 \
         AND content LIKE $2 ESCAPE '!'");
    let deleted = deleted.bind(organization).bind(format!("%\\\"{name}\\\":%"));
    Ok((users, tx.row(deleted, |mut row| row.take()).await?.unwrap_or_default()))
}

impl Identities {
    /// The attributes that the organization has defined, which cannot change until the transaction ends. Ask for them before
    /// anything else is locked.
    pub async fn definitions(&mut self) -> Result<Vec<AttributeDefinition>> {
        self.tx.share_definitions(self.organization).await?;
        let query = sql(SELECT_DEFINITIONS).bind(self.organization).bind(MOST);
        self.tx.rows(query, read).await
    }

    /// The same for many users at once: no other transaction that asks for definitions goes on meanwhile, so that none of
    /// them waits for this one while this one waits for it.
    pub async fn definitions_alone(&mut self) -> Result<Vec<AttributeDefinition>> {
        self.tx.hold_definitions(self.organization).await?;
        self.definitions().await
    }

    /// Gives a user values of unique attributes, by name, or takes them away. Returns the first attribute whose value somebody
    /// else has; then nothing is written.
    pub async fn claim(&mut self, user: UserId, values: &[(String, Option<String>)]) -> Result<Option<String>> {
        let known = if values.len() > 1 { self.claims_of(user).await? } else { Vec::new() };
        let mut made = Vec::new();
        for (name, value) in values {
            let Some(key) = value.as_deref().map(fold) else { continue };
            if !self.take_value(user, name, &key).await? {
                for (name, key) in made.iter().filter(|claim| !known.contains(claim)) {
                    let delete = sql("DELETE FROM unique_values WHERE organization_id = $1 AND name = $2 \
                         AND value_key = $3 AND user_id = $4");
                    self.tx.execute(delete.bind(self.organization).bind(name).bind(key).bind(user)).await?;
                }
                return Ok(Some(name.clone()));
            }
            made.push((name.clone(), key));
        }
        for (name, value) in values {
            let delete = sql("DELETE FROM unique_values WHERE user_id = $1 AND organization_id = $2 AND name = $3 \
                 AND ($4 IS NULL OR value_key <> $4)");
            let delete = delete.bind(user).bind(self.organization).bind(name).bind(value.as_deref().map(fold));
            self.tx.execute(delete).await?;
        }
        Ok(None)
    }

    /// The values that a user has, folded, by attribute.
    async fn claims_of(&mut self, user: UserId) -> Result<Vec<(String, String)>> {
        let query = sql("SELECT name, value_key FROM unique_values WHERE user_id = $1 AND organization_id = $2");
        let read = |mut row: Row| Ok((row.take()?, row.take()?));
        self.tx.rows(query.bind(user).bind(self.organization), read).await
    }

    /// Whether the user has this value now; otherwise somebody else has it.
    async fn take_value(&mut self, user: UserId, name: &str, key: &str) -> Result<bool> {
        let insert = sql("INSERT INTO unique_values (organization_id, name, value_key, user_id) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (organization_id, name, value_key) \
             DO UPDATE SET user_id = unique_values.user_id RETURNING user_id");
        let insert = insert.bind(self.organization).bind(name).bind(key).bind(user);
        Ok(self.tx.row(insert, |mut row| row.take::<UserId>()).await? == Some(user))
    }
}
