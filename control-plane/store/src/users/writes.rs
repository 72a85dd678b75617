//! Writes of users: all columns, all except names, or only names.

use uuid::Uuid;

use super::search::email_key;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::fold;
use crate::identities::Identities;
use crate::ids::UserId;
use crate::records::UserRow;

impl Identities {
    /// Writes new users, as created now. [`crate::Error::Conflict`]: a name is taken.
    pub async fn insert_users(&mut self, mut users: Vec<UserRow>) -> Result<()> {
        self.claim_unique(&mut users).await?;
        self.keep_match_keys(&users, true).await?;
        self.write_users(
            "WITH v(id, name_key, display_key, email_key, user_name, given_name, family_name, display_name, email, \
             active, attributes) AS ({rows}) \
             {insert} users (id, organization, name_key, display_key, email_key, user_name, given_name, \
             family_name, display_name, email, active, created_at, updated_at, attributes) \
             SELECT v.id, (SELECT seq FROM organizations WHERE id = :1), v.name_key, v.display_key, v.email_key, \
             v.user_name, v.given_name, v.family_name, v.display_name, v.email, v.active, :2, :2, v.attributes FROM v",
            users,
        )
        .await
    }

    /// Writes changed users, as updated now; [`Self::settle_users`] sets whether they are active.
    /// [`crate::Error::Conflict`]: a name is taken.
    pub async fn update_users(&mut self, mut users: Vec<UserRow>) -> Result<()> {
        self.fill_from_own(&mut users).await?;
        self.claim_unique(&mut users).await?;
        self.keep_match_keys(&users, false).await?;
        let keys = Bulk::new(
            "WITH v(id, name_key, display_key, email_key) AS ({rows}) {update} users SET name_key = v.name_key, \
             display_key = v.display_key, email_key = v.email_key FROM v WHERE users.id = v.id \
             AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE \
             AND (users.name_key <> v.name_key OR users.display_key IS DISTINCT FROM v.display_key \
             OR users.email_key IS DISTINCT FROM v.email_key)",
        );
        let keys = keys
            .column(ids(&users))
            .column(Cells::Texts(users.iter().map(|user| user.name_key.clone()).collect()))
            .column(maybe(&users, |user| user.display_name.as_deref().map(fold)))
            .column(maybe(&users, |user| email_key(&user.name_key, user.email.as_deref()?)));
        self.tx.bulk(keys.shared(self.organization)).await?;
        let names = Cells::Texts(users.iter().map(|user| user.user_name.clone()).collect());
        let bulk = Bulk::new(
            "WITH v(id, user_name, given_name, family_name, display_name, email, attributes) AS ({rows}) \
             {update} users SET user_name = v.user_name, given_name = v.given_name, family_name = v.family_name, \
             display_name = v.display_name, email = v.email, updated_at = :2, attributes = v.attributes FROM v \
             WHERE users.id = v.id AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        self.write_profiles(bulk.column(ids(&users)).column(names), users).await
    }

    /// Writes all columns of users except names, as updated now; [`Self::settle_users`] sets whether they are active.
    pub async fn update_profiles(&mut self, mut users: Vec<UserRow>) -> Result<()> {
        self.fill_from_own(&mut users).await?;
        self.claim_unique(&mut users).await?;
        self.keep_match_keys(&users, false).await?;
        // The stored name is not read: an address may then be found twice, and is listed once.
        let keys = Bulk::new(
            "WITH v(id, display_key, email_key) AS ({rows}) {update} users SET display_key = v.display_key, \
             email_key = v.email_key FROM v WHERE users.id = v.id \
             AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE \
             AND (users.display_key IS DISTINCT FROM v.display_key OR users.email_key IS DISTINCT FROM v.email_key)",
        );
        let keys = keys
            .column(ids(&users))
            .column(maybe(&users, |user| user.display_name.as_deref().map(fold)))
            .column(maybe(&users, |user| user.email.as_deref().map(fold)));
        self.tx.bulk(keys.shared(self.organization)).await?;
        let bulk = Bulk::new(
            "WITH v(id, given_name, family_name, display_name, email, attributes) AS ({rows}) \
             {update} users SET given_name = v.given_name, family_name = v.family_name, \
             display_name = v.display_name, email = v.email, updated_at = :2, attributes = v.attributes FROM v \
             WHERE users.id = v.id AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        self.write_profiles(bulk.column(ids(&users)), users).await
    }

    /// Writes the columns without an index. The keys are written separately where they differ: `SQLite` writes pages of
    /// every index that a statement names, changed or not.
    async fn write_profiles(&mut self, bulk: Bulk, users: Vec<UserRow>) -> Result<()> {
        let bulk = bulk
            .column(maybe(&users, |user| user.given_name.clone()))
            .column(maybe(&users, |user| user.family_name.clone()))
            .column(maybe(&users, |user| user.display_name.clone()))
            .column(maybe(&users, |user| user.email.clone()))
            .column(Cells::Texts(users.into_iter().map(|user| user.attributes).collect()));
        self.tx.bulk(bulk.shared(self.organization).shared(self.now)).await.map(|_| ())
    }

    /// Frees the names of users who are gone for others. They keep the name with a unique suffix.
    pub async fn give_up_names(&mut self, users: &[UserId]) -> Result<()> {
        let query = Bulk::new(
            "SELECT id, user_name, email FROM users WHERE id {in} \
             AND (organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        )
        .column(Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect()))
        .shared(self.organization);
        let found: Vec<(Uuid, String, Option<String>)> =
            self.tx.bulk_rows(query, |mut row| Ok((row.take()?, row.take()?, row.take()?))).await?;
        // Random, so that nobody can take the name in advance.
        let names: Vec<String> =
            found.iter().map(|(_, name, _)| format!("{name}~{}", UserId::new().as_uuid().simple())).collect();
        let update = Bulk::new(
            "WITH v(id, name_key, user_name, email_key) AS ({rows}) {update} users SET name_key = v.name_key, \
             user_name = v.user_name, email_key = v.email_key, updated_at = :2 FROM v WHERE users.id = v.id \
             AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        )
        .column(Cells::Uuids(found.iter().map(|(id, _, _)| *id).collect()))
        .column(Cells::Texts(names.iter().map(|name| fold(name)).collect()))
        .column(Cells::Texts(names))
        .column(Cells::MaybeTexts(found.iter().map(|(_, _, email)| email.as_deref().map(fold)).collect()))
        .shared(self.organization)
        .shared(self.now);
        self.tx.bulk(update).await.map(|_| ())
    }

    /// Frees the names of users who get other names in this transaction, so that they can swap.
    pub async fn free_names(&mut self, users: Vec<UserId>) -> Result<()> {
        // No directory's name begins like this.
        let placeholders = users.iter().map(|user| format!("\u{1}{user}")).collect();
        let update = Bulk::new(
            "WITH v(id, name_key) AS ({rows}) {update} users SET name_key = v.name_key FROM v WHERE users.id = v.id \
             AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        )
        .column(Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect()))
        .column(Cells::Texts(placeholders))
        .shared(self.organization);
        self.tx.bulk(update).await.map(|_| ())
    }

    async fn write_users(&mut self, template: &'static str, users: Vec<UserRow>) -> Result<()> {
        let Self { organization, now, .. } = *self;
        let make = |users| user_columns(Bulk::new(template), users).shared(organization).shared(now);
        self.tx.bulk(make(users)).await.map(|_| ())
    }
}

fn ids(users: &[UserRow]) -> Cells {
    Cells::Uuids(users.iter().map(|user| user.id.as_uuid()).collect())
}

fn maybe(users: &[UserRow], text: fn(&UserRow) -> Option<String>) -> Cells {
    Cells::MaybeTexts(users.iter().map(text).collect())
}

fn user_columns(bulk: Bulk, users: Vec<UserRow>) -> Bulk {
    let folded = |text: Option<&String>| text.map(|text| fold(text));
    let ids = users.iter().map(|user| user.id.as_uuid()).collect();
    let display_keys = users.iter().map(|user| folded(user.display_name.as_ref())).collect();
    let email_keys = users.iter().map(|user| email_key(&user.name_key, user.email.as_deref()?)).collect();
    let active = users.iter().map(|user| user.active).collect();
    let mut texts: [Vec<String>; 3] = std::array::from_fn(|_| Vec::with_capacity(users.len()));
    let mut maybe: [Vec<Option<String>>; 4] = std::array::from_fn(|_| Vec::with_capacity(users.len()));
    for user in users {
        for (column, value) in texts.iter_mut().zip([user.name_key, user.user_name, user.attributes]) {
            column.push(value);
        }
        let optional = [user.given_name, user.family_name, user.display_name, user.email];
        for (column, value) in maybe.iter_mut().zip(optional) {
            column.push(value);
        }
    }
    let [name_keys, user_names, attributes] = texts;
    let [given_names, family_names, display_names, emails] = maybe;
    bulk.column(Cells::Uuids(ids))
        .column(Cells::Texts(name_keys))
        .column(Cells::MaybeTexts(display_keys))
        .column(Cells::MaybeTexts(email_keys))
        .column(Cells::Texts(user_names))
        .column(Cells::MaybeTexts(given_names))
        .column(Cells::MaybeTexts(family_names))
        .column(Cells::MaybeTexts(display_names))
        .column(Cells::MaybeTexts(emails))
        .column(Cells::Bools(active))
        .column(Cells::Texts(attributes))
}
