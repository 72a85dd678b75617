//! Unique attributes of users, claimed while imports write them: a user who comes too late keeps the value from before.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::fold;
use crate::identities::Identities;
use crate::ids::UserId;
use crate::records::{RefusedValue, UserRow};
use crate::sql::sql;

impl Identities {
    /// From now on, users are written with values of unique attributes only if nobody else has these.
    /// The definitions do not change until the transaction ends.
    pub async fn check_unique(&mut self) -> Result<()> {
        self.tx.share_definitions(self.organization).await?;
        let query =
            sql("SELECT name FROM attribute_definitions WHERE organization_id = $1 AND is_unique ORDER BY name");
        self.unique = self.tx.rows(query.bind(self.organization), |mut row| row.take()).await?;
        Ok(())
    }

    /// The values that were not written since the last time, because other users have them.
    pub fn take_refused(&mut self) -> Vec<RefusedValue> {
        std::mem::take(&mut self.refused)
    }

    /// Claims the unique values of users that are about to be written. One that somebody else has is replaced by the value
    /// that the user has now.
    pub(crate) async fn claim_unique(&mut self, users: &mut [UserRow]) -> Result<()> {
        if self.unique.is_empty() || users.is_empty() {
            return Ok(());
        }
        let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).map_err(|_| corrupt());
        let mut values = users.iter().map(|user| read(&user.attributes)).collect::<Result<Vec<_>>>()?;
        let places: HashMap<UserId, usize> = users.iter().enumerate().map(|(place, user)| (user.id, place)).collect();
        let mut refused: Vec<(usize, RefusedValue)> = Vec::new();
        for name in self.unique.clone() {
            let claims: Vec<(UserId, Option<String>)> =
                users.iter().zip(&values).map(|(user, values)| (user.id, values.get(&name).map(compared))).collect();
            for user in self.claim_values(&name, &claims).await? {
                let Some(place) = places.get(&user).copied() else { continue };
                let value = values.get_mut(place).and_then(|values| values.remove(&name)).unwrap_or_default();
                refused.push((place, RefusedValue { user, name: name.clone(), value }));
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        let query = Bulk::new(
            "SELECT id, attributes FROM users WHERE id {in} \
             AND (organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        let ids = refused.iter().map(|(_, refused)| refused.user.as_uuid()).collect();
        let query = query.column(Cells::Uuids(ids)).shared(self.organization);
        let known: Vec<(UserId, String)> = self.tx.bulk_rows(query, |mut row| Ok((row.take()?, row.take()?))).await?;
        let known: HashMap<UserId, String> = known.into_iter().collect();
        for (place, refused) in refused {
            let (Some(user), Some(values)) = (users.get_mut(place), values.get_mut(place)) else { continue };
            if let Some(known) = known.get(&refused.user)
                && let Some(good) = read(known)?.remove(&refused.name)
            {
                values.insert(refused.name.clone(), good);
            }
            user.attributes = Value::Object(values.clone()).to_string();
            self.refused.push(refused);
        }
        Ok(())
    }

    /// Whether another user has this value of a unique attribute.
    pub async fn is_taken(&mut self, user: UserId, name: &str, value: &str) -> Result<bool> {
        let query =
            sql("SELECT user_id FROM unique_values WHERE organization_id = $1 AND name = $2 AND value_key = $3");
        let query = query.bind(self.organization).bind(name).bind(fold(value));
        Ok(self.tx.row(query, |mut row| row.take::<UserId>()).await?.is_some_and(|holder| holder != user))
    }

    /// Gives users the values of a unique attribute, or takes them away, as [`Self::claim`] does for one. Returns the
    /// users whose value somebody else has; nothing is written for them.
    pub async fn claim_values(&mut self, name: &str, values: &[(UserId, Option<String>)]) -> Result<Vec<UserId>> {
        let mut claims: Vec<(String, UserId)> =
            values.iter().filter_map(|(user, value)| Some((fold(value.as_deref()?), *user))).collect();
        // In one order, so that two transactions do not wait for each other.
        claims.sort_unstable();
        let with_claims = |text: &'static str| {
            let bulk = Bulk::new(text).column(Cells::Texts(claims.iter().map(|(key, _)| key.clone()).collect()));
            bulk.column(Cells::Uuids(claims.iter().map(|(_, user)| user.as_uuid()).collect()))
        };
        // Without a WHERE, SQLite would take ON for the condition of a join.
        let insert = with_claims(
            "WITH v(value_key, user_id) AS ({rows}) \
             INSERT INTO unique_values (organization_id, name, value_key, user_id) \
             SELECT :1, :2, v.value_key, v.user_id FROM v WHERE TRUE ON CONFLICT DO NOTHING",
        );
        self.tx.bulk(insert.shared(self.organization).shared(name)).await?;
        let others = with_claims(
            "WITH v(value_key, user_id) AS ({rows}) SELECT v.user_id FROM v {each}unique_values a{where}\
             a.organization_id = :1 AND a.name = :2 AND a.value_key = v.value_key AND a.user_id <> v.user_id{end}",
        );
        let refused: Vec<UserId> =
            self.tx.bulk_rows(others.shared(self.organization).shared(name), |mut row| row.take()).await?;
        let kept = || values.iter().filter(|(user, _)| !refused.contains(user));
        let delete = Bulk::new(
            "WITH v(user_id, value_key) AS ({rows}) DELETE FROM unique_values WHERE (organization_id, name, value_key) IN (\
             SELECT a.organization_id, a.name, a.value_key FROM v {each}unique_values a{where}a.user_id = v.user_id \
             AND (a.organization_id = :1) IS TRUE AND (a.name = :2) IS TRUE \
             AND a.value_key IS DISTINCT FROM v.value_key{every})",
        );
        let delete = delete
            .column(Cells::Uuids(kept().map(|(user, _)| user.as_uuid()).collect()))
            .column(Cells::MaybeTexts(kept().map(|(_, value)| value.as_deref().map(fold)).collect()));
        self.tx.bulk(delete.shared(self.organization).shared(name)).await?;
        Ok(refused)
    }
}

/// A value as it is compared.
fn compared(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn corrupt() -> Error {
    Error::corrupt("a user's further attributes")
}
