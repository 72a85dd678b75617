//! Values by which matching rules find users: e-mail addresses and further attributes. Only the fields that rules of the
//! organization name are kept.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::fold;
use crate::identities::Identities;
use crate::ids::{AccountId, DirectoryId, OrganizationId, UserId};
use crate::imports::{Intake, ids};
use crate::keys::bounded;
use crate::records::{KeyedUser, UserRow};
use crate::sql::{Row, sql};

/// Further attributes are fields of this beginning.
const FURTHER: &str = "attributes.";
/// The field of the e-mail address.
const EMAIL: &str = "email";
/// Users whose values are added in one transaction.
const BATCH: u32 = 2_000;
/// Most users that are returned for one value.
const MOST: u32 = 10;

/// A value as rules compare it: without regard to letter case. `None`: it is blank.
pub fn match_key(value: &str) -> Option<String> {
    let key = fold(value.trim());
    (!key.is_empty()).then(|| bounded(key.into()).into_owned())
}

/// The value of a field of a user, as rules compare it.
fn key_of(field: &str, email: Option<&str>, further: &Map<String, Value>) -> Option<String> {
    if field == EMAIL {
        return match_key(email?);
    }
    match further.get(field.strip_prefix(FURTHER)?)? {
        Value::String(text) => match_key(text),
        Value::Number(number) => match_key(&number.to_string()),
        _ => None,
    }
}

impl Identities {
    /// The fields of which values are kept. Read once in a transaction.
    async fn match_fields(&mut self) -> Result<Vec<String>> {
        if let Some(known) = &self.match_fields {
            return Ok(known.clone());
        }
        let query = sql("SELECT field FROM match_fields WHERE organization_id = $1 ORDER BY field");
        let fields: Vec<String> = self.tx.rows(query.bind(self.organization), |mut row| row.take()).await?;
        self.match_fields = Some(fields.clone());
        Ok(fields)
    }

    /// Keeps the values of users that are written. `new`: they had none.
    pub(crate) async fn keep_match_keys(&mut self, users: &[UserRow], new: bool) -> Result<()> {
        let fields = self.match_fields().await?;
        if fields.is_empty() || users.is_empty() {
            return Ok(());
        }
        if !new {
            let delete = Bulk::new("DELETE FROM match_keys WHERE user_id {in} AND (organization_id = :1) IS TRUE")
                .column(Cells::Uuids(users.iter().map(|user| user.id.as_uuid()).collect()))
                .shared(self.organization);
            self.tx.bulk(delete).await?;
        }
        self.insert_match_keys(&fields, users).await
    }

    async fn insert_match_keys(&mut self, fields: &[String], users: &[UserRow]) -> Result<()> {
        let (mut names, mut keys, mut owners): (Vec<String>, Vec<String>, Vec<Uuid>) = Default::default();
        for user in users {
            let further: Map<String, Value> = serde_json::from_str(&user.attributes).unwrap_or_default();
            for field in fields {
                if let Some(key) = key_of(field, user.email.as_deref(), &further) {
                    names.push(field.clone());
                    keys.push(key);
                    owners.push(user.id.as_uuid());
                }
            }
        }
        // Without a WHERE, SQLite would read ON as the condition of a join.
        let insert = Bulk::new(
            "WITH v(field, value_key, user_id) AS ({rows}) INSERT INTO match_keys (organization_id, field, value_key, \
             user_id) SELECT :1, v.field, v.value_key, v.user_id FROM v WHERE TRUE ON CONFLICT DO NOTHING",
        )
        .column(Cells::Texts(names))
        .column(Cells::Texts(keys))
        .column(Cells::Uuids(owners))
        .shared(self.organization);
        self.tx.bulk(insert).await.map(|_| ())
    }

    /// For each of these values of a field that a user has: the user, or `None` if several have it.
    pub async fn users_of_keys(&mut self, field: &str, keys: Vec<String>) -> Result<Vec<(String, Option<KeyedUser>)>> {
        let query = Bulk::new(
            "WITH v(value_key) AS ({rows}), f(value_key, first_user, last_user) AS (SELECT v.value_key, \
             (SELECT k.user_id FROM match_keys k WHERE k.organization_id = :1 AND k.field = :2 \
             AND k.value_key = v.value_key ORDER BY k.user_id LIMIT 1), \
             (SELECT k.user_id FROM match_keys k WHERE k.organization_id = :1 AND k.field = :2 \
             AND k.value_key = v.value_key ORDER BY k.user_id DESC LIMIT 1) FROM v) \
             SELECT f.value_key, f.first_user, f.first_user = f.last_user, \
             (SELECT u.name_key FROM users u WHERE u.id = f.first_user) FROM f WHERE f.first_user IS NOT NULL",
        )
        .column(Cells::Texts(keys))
        .shared(self.organization)
        .shared(field);
        let read = |mut row: Row| {
            let (key, user, one) = (row.take()?, row.take()?, row.take::<bool>()?);
            let name_key: Option<String> = row.take()?;
            Ok((key, name_key.filter(|_| one).map(|name_key| KeyedUser { user, name_key })))
        };
        self.tx.bulk_rows(query, read).await
    }
}

impl Intake {
    /// Records which single user these waiting accounts of the directory match; `None`: none, or several.
    pub async fn note_matches(&mut self, matches: &[(AccountId, Option<UserId>)]) -> Result<()> {
        let accounts: Vec<AccountId> = matches.iter().map(|(account, _)| *account).collect();
        let delete = Bulk::new("DELETE FROM account_matches WHERE account_id {in} AND target = :1");
        self.identities.tx.bulk(delete.column(ids(&accounts)).shared(self.directory)).await?;
        let (accounts, users): (Vec<Uuid>, Vec<Uuid>) =
            matches.iter().filter_map(|(account, user)| Some((account.as_uuid(), user.as_ref()?.as_uuid()))).unzip();
        let insert = Bulk::new(
            "WITH v(account_id, user_id) AS ({rows}) {insert} account_matches (target, account_id, user_id) \
             SELECT :1, v.account_id, v.user_id FROM v",
        )
        .column(Cells::Uuids(accounts))
        .column(Cells::Uuids(users))
        .shared(self.directory);
        self.identities.tx.bulk(insert).await.map(|_| ())
    }

    /// Those of these users that several waiting accounts of the directory match.
    pub async fn matched_by_several(&mut self, users: &[UserId]) -> Result<Vec<UserId>> {
        let query = Bulk::new(
            "SELECT m.user_id FROM account_matches m JOIN accounts a ON a.id = m.account_id WHERE m.user_id {in} \
             AND m.target = :1 AND a.identity IS NULL AND a.conflict IS NOT NULL AND a.missing_since IS NULL \
             GROUP BY m.user_id HAVING count(*) > 1",
        )
        .column(Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect()))
        .shared(self.directory);
        self.identities.tx.bulk_rows(query, |mut row| row.take()).await
    }

    /// The matching rules of the directory, in the caller's form. `None`: it has none.
    pub fn matching(&self) -> Option<&Value> {
        self.matching.as_ref()
    }
}

impl Store {
    /// The matching rules of a directory, in the caller's form. `None`: it has none.
    pub async fn matching(&self, organization: OrganizationId, directory: DirectoryId) -> Result<Option<Value>> {
        let query = sql("SELECT matching FROM directories WHERE organization_id = $1 AND id = $2");
        let query = query.bind(organization).bind(directory);
        Ok(self.database.row(query, |mut row| row.take::<Option<Value>>()).await?.flatten())
    }

    /// Replaces the matching rules of a directory if they are `known`. `false`: they are not any more. Keep the values
    /// of the fields first ([`Self::keep_match_field`]).
    pub async fn set_matching(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        known: Option<&Value>,
        rules: Option<&Value>,
    ) -> Result<bool> {
        let update = sql("UPDATE directories SET matching = $1 WHERE organization_id = $2 AND id = $3 \
             AND deleted_at IS NULL AND matching IS NOT DISTINCT FROM $4")
        .bind(rules.map(Value::to_string))
        .bind(organization)
        .bind(directory)
        .bind(known.map(Value::to_string));
        Ok(self.database.execute(update).await? > 0)
    }

    /// From now on the values of this field are kept, and those of all users are added, many in each transaction. An
    /// interrupted call goes on where it was.
    pub async fn keep_match_field(
        &self,
        organization: OrganizationId,
        field: &str,
        now: jiff::Timestamp,
    ) -> Result<()> {
        let insert = sql("INSERT INTO match_fields (organization_id, field, kept_to) VALUES ($1, $2, 0) \
             ON CONFLICT DO NOTHING");
        self.database.execute(insert.bind(organization).bind(field)).await?;
        loop {
            let mut tx = self.begin_identities(organization, now).await?;
            let query = sql("SELECT kept_to FROM match_fields WHERE organization_id = $1 AND field = $2");
            let kept: Option<Option<i64>> =
                tx.tx.row(query.bind(organization).bind(field), |mut row| row.take()).await?;
            let Some(kept) = kept.flatten() else { return tx.rollback().await };
            let users = tx.users_after(kept, BATCH).await?;
            let next = users.last().map(|(_, seq)| *seq);
            let rows: Vec<UserRow> = users.into_iter().map(|(user, _)| user).collect();
            tx.insert_match_keys(&[field.to_owned()], &rows).await?;
            let update = sql("UPDATE match_fields SET kept_to = $1 WHERE organization_id = $2 AND field = $3");
            tx.tx.execute(update.bind(next).bind(organization).bind(field)).await?;
            tx.commit().await?;
        }
    }

    /// The users with these values of a field, some for each value.
    pub async fn users_with_keys(
        &self,
        organization: OrganizationId,
        field: &str,
        keys: Vec<String>,
    ) -> Result<Vec<(String, UserId)>> {
        // From user to user, so that a value of very many users is not read as a whole.
        let query = Bulk::new(
            "WITH RECURSIVE v(value_key) AS ({rows}), f(value_key, user_id, place) AS (SELECT v.value_key, \
             (SELECT k.user_id FROM match_keys k WHERE k.organization_id = :1 AND k.field = :2 \
             AND k.value_key = v.value_key ORDER BY k.user_id LIMIT 1), 1 FROM v \
             UNION ALL SELECT f.value_key, \
             (SELECT k.user_id FROM match_keys k WHERE k.organization_id = :1 AND k.field = :2 \
             AND k.value_key = f.value_key AND k.user_id > f.user_id ORDER BY k.user_id LIMIT 1), f.place + 1 \
             FROM f WHERE f.user_id IS NOT NULL AND f.place < :3) \
             SELECT value_key, user_id FROM f WHERE user_id IS NOT NULL ORDER BY value_key, user_id",
        );
        let query = query.column(Cells::Texts(keys)).shared(organization).shared(field).shared(MOST);
        self.database.bulk_rows(query, |mut row| Ok((row.take()?, row.take()?))).await
    }
}
