//! Users as the organization itself makes and changes them, and an administrator's decision to disable one.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{columns, in_organization, read};
use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::fold;
use crate::identities::Identities;
use crate::ids::{OrganizationId, UserId};
use crate::records::{AuditNote, OwnedUser, Suspension, UserRow};
use crate::sql::{Row, sql};

macro_rules! owned_columns {
    () => {
        concat!(columns!(), ", is_own, own, suspended_at, suspended_by, suspended_reason, suspended_until")
    };
}

macro_rules! select_owned {
    () => {
        concat!("SELECT ", owned_columns!(), " FROM users WHERE ", in_organization!("$1"), " AND id = $2")
    };
}

fn read_owned(row: &mut Row, organization: OrganizationId) -> Result<OwnedUser> {
    let user = read(row, organization)?;
    let _: i64 = row.take()?;
    let (is_own, own) = (row.take()?, row.take()?);
    let (at, by, reason, until): (Option<Timestamp>, Option<String>, _, _) =
        (row.take()?, row.take()?, row.take()?, row.take()?);
    let suspension = at.map(|at| Suspension { at, by: by.unwrap_or_default(), reason, until });
    Ok(OwnedUser { row: user, is_own, own, suspension })
}

impl Store {
    /// One user, with what the organization says of them.
    pub async fn get_owned_user(&self, organization: OrganizationId, id: UserId) -> Result<Option<OwnedUser>> {
        let query = sql(select_owned!()).bind(organization).bind(id);
        self.database.row(query, |mut row| read_owned(&mut row, organization)).await
    }

    /// These users, as far as the organization has them, with what it says of them.
    pub async fn get_owned_users(&self, organization: OrganizationId, ids: &[UserId]) -> Result<Vec<OwnedUser>> {
        let query = Bulk::new(concat!(
            "SELECT ",
            owned_columns!(),
            " FROM users WHERE id {in} AND (",
            in_organization!(":1"),
            ") IS TRUE"
        ));
        let ids = Cells::Uuids(ids.iter().map(|id| id.as_uuid()).collect());
        let query = query.column(ids).shared(organization);
        self.database.bulk_rows(query, |mut row| read_owned(&mut row, organization)).await
    }

    /// Ends decisions to disable users whose time is over, of all organizations, some at a time. Returns how many ended; the
    /// caller goes on until there are none. Each is in the audit log, once.
    pub async fn end_suspensions(&self, now: Timestamp) -> Result<u64> {
        let query = sql("SELECT u.id, o.id FROM users u JOIN organizations o ON o.seq = u.organization \
             WHERE u.suspended_until <= $1 ORDER BY u.suspended_until LIMIT 100");
        let due: Vec<(UserId, OrganizationId)> =
            self.database.rows(query.bind(now), |mut row| Ok((row.take()?, row.take()?))).await?;
        let mut count = 0;
        for (user, organization) in due {
            let mut tx = self.begin_identities(organization, now).await?;
            // An administrator may have decided anew since.
            let locked = tx.owned_user(user).await?;
            let ended = locked.and_then(|user| Some((user.row, user.suspension?)));
            let ended = ended.filter(|(_, suspension)| suspension.until.is_some_and(|until| until <= now));
            if let Some((row, suspension)) = ended {
                tx.resume(user).await?;
                tx.note(over(&row, &suspension, now));
                tx.commit().await?;
                count += 1;
            } else {
                tx.rollback().await?;
            }
        }
        Ok(count)
    }
}

/// The end of a decision whose time is over.
fn over(user: &UserRow, suspension: &Suspension, now: Timestamp) -> AuditNote {
    let Suspension { by, reason, until, .. } = suspension;
    AuditNote {
        organization: user.organization,
        at: now,
        actor: "system".to_owned(),
        actor_name: "system".to_owned(),
        address: None,
        action: "user.enabled".to_owned(),
        object_id: Some(user.id.as_uuid()),
        object: user.user_name.clone(),
        before: Some(json!({ "by": by, "reason": reason, "until": until })),
        after: None,
    }
}

impl Identities {
    /// One user of the organization, who cannot change until the transaction ends.
    pub async fn owned_user(&mut self, id: UserId) -> Result<Option<OwnedUser>> {
        let lock = sql("UPDATE users SET updated_at = updated_at WHERE id = $1 \
             AND organization = (SELECT seq FROM organizations WHERE id = $2)");
        self.tx.lock(lock.bind(id).bind(self.organization)).await?;
        let organization = self.organization;
        let query = sql(select_owned!()).bind(organization).bind(id);
        self.tx.row(query, |mut row| read_owned(&mut row, organization)).await
    }

    /// Which of these folded user names somebody has.
    pub async fn taken_names(&mut self, name_keys: Vec<String>) -> Result<Vec<String>> {
        let query = Bulk::new(
            "SELECT name_key FROM users WHERE name_key {in} \
             AND organization = (SELECT seq FROM organizations WHERE id = :1)",
        );
        let query = query.column(Cells::Texts(name_keys)).shared(self.organization);
        self.tx.bulk_rows(query, |mut row| row.take()).await
    }

    /// The user with this folded name, who cannot change until the transaction ends.
    pub async fn owned_user_of_name(&mut self, name_key: &str) -> Result<Option<OwnedUser>> {
        let query = sql("SELECT id FROM users WHERE name_key = $1 \
             AND organization = (SELECT seq FROM organizations WHERE id = $2)");
        let found = self.tx.row(query.bind(name_key).bind(self.organization), |mut row| row.take()).await?;
        match found {
            Some(id) => self.owned_user(id).await,
            None => Ok(None),
        }
    }

    /// The users with these folded names, who cannot change until the transaction ends.
    pub async fn owned_users_of_names(&mut self, name_keys: Vec<String>) -> Result<Vec<OwnedUser>> {
        let lock = Bulk::new(
            "UPDATE users SET updated_at = updated_at WHERE name_key {in} \
             AND organization = (SELECT seq FROM organizations WHERE id = :1)",
        );
        self.tx.lock_many(lock.column(Cells::Texts(name_keys.clone())).shared(self.organization)).await?;
        let organization = self.organization;
        let query = Bulk::new(concat!(
            "SELECT ",
            owned_columns!(),
            " FROM users WHERE name_key {in} AND ",
            in_organization!(":1")
        ));
        let query = query.column(Cells::Texts(name_keys)).shared(organization);
        self.tx.bulk_rows(query, |mut row| read_owned(&mut row, organization)).await
    }

    /// Writes new users that the organization makes itself, each with its own values. [`Error::Conflict`]: a name is taken.
    pub async fn insert_own_users(&mut self, users: Vec<(UserRow, String)>) -> Result<()> {
        let ids = users.iter().map(|(user, _)| user.id.as_uuid()).collect();
        let (rows, own): (Vec<UserRow>, Vec<String>) = users.into_iter().unzip();
        self.insert_users(rows).await?;
        let update = Bulk::new(
            "WITH v(id, own) AS ({rows}) {update} users SET is_own = TRUE, own = v.own FROM v WHERE users.id = v.id \
             AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        let update = update.column(Cells::Uuids(ids)).column(Cells::Texts(own)).shared(self.organization);
        self.tx.bulk(update).await.map(|_| ())
    }

    /// Writes a changed user with its own values. [`Error::Conflict`]: the name is taken.
    pub async fn write_owned(&mut self, row: UserRow, own: Option<String>) -> Result<()> {
        let update = sql("UPDATE users SET own = $1 WHERE id = $2 \
             AND organization = (SELECT seq FROM organizations WHERE id = $3)");
        let changed = self.tx.execute(update.bind(own).bind(row.id).bind(self.organization)).await?;
        if changed == 0 {
            return Err(Error::NotFound { what: "the user" });
        }
        self.update_users(vec![row]).await
    }

    /// Disables a user until an administrator enables it, or until a time.
    pub async fn suspend(&mut self, user: UserId, suspension: &Suspension) -> Result<()> {
        let update = sql("UPDATE users SET active_before = COALESCE(active_before, active), active = FALSE, \
             suspended_at = $1, suspended_by = $2, suspended_reason = $3, suspended_until = $4, updated_at = $5 \
             WHERE id = $6 AND organization = (SELECT seq FROM organizations WHERE id = $7)")
        .bind(suspension.at)
        .bind(&suspension.by)
        .bind(suspension.reason.as_deref())
        .bind(suspension.until)
        .bind(self.now)
        .bind(user)
        .bind(self.organization);
        self.tx.execute(update).await?;
        // Whoever is locked out does not wait behind all that is due.
        let first = sql("UPDATE marks SET not_before = -1 WHERE identity = $1 AND organization_id = $2");
        self.tx.execute(first.bind(user).bind(self.organization)).await.map(|_| ())
    }

    /// Ends the decision to disable a user. The user is active again if the directories say so, or if it was active before
    /// and no directory has it.
    pub async fn resume(&mut self, user: UserId) -> Result<()> {
        let update = sql("UPDATE users SET active = COALESCE(active_before, active), active_before = NULL, \
             suspended_at = NULL, suspended_by = NULL, suspended_reason = NULL, suspended_until = NULL, updated_at = $1 \
             WHERE id = $2 AND suspended_at IS NOT NULL \
             AND organization = (SELECT seq FROM organizations WHERE id = $3)");
        if self.tx.execute(update.bind(self.now).bind(user).bind(self.organization)).await? == 0 {
            return Ok(());
        }
        self.settle_users(&[user]).await
    }

    /// Adds what the organization says of these users where their directory says nothing.
    pub(super) async fn fill_from_own(&mut self, users: &mut [UserRow]) -> Result<()> {
        for (id, own) in self.own_of(users).await? {
            if let Some(user) = users.iter_mut().find(|user| user.id == id) {
                fill(user, &own)?;
            }
        }
        Ok(())
    }

    /// Gives these users what the organization says of them, in place of other values.
    pub(super) async fn replace_by_own(&mut self, users: &mut [UserRow]) -> Result<()> {
        for (id, own) in self.own_of(users).await? {
            let Some(user) = users.iter_mut().find(|user| user.id == id) else { continue };
            let mut alone = UserRow {
                given_name: None,
                family_name: None,
                display_name: None,
                email: None,
                attributes: "{}".to_owned(),
                ..user.clone()
            };
            fill(&mut alone, &own)?;
            let known = std::mem::replace(user, alone);
            fill_from(user, known)?;
        }
        Ok(())
    }

    async fn own_of(&mut self, users: &[UserRow]) -> Result<Vec<(UserId, String)>> {
        let query = Bulk::new(
            "SELECT id, own FROM users WHERE id {in} AND own IS NOT NULL \
             AND (organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        let query =
            query.column(Cells::Uuids(users.iter().map(|user| user.id.as_uuid()).collect())).shared(self.organization);
        self.tx.bulk_rows(query, |mut row| Ok((row.take()?, row.take()?))).await
    }
}

/// Adds values of a user where another one has none.
fn fill_from(user: &mut UserRow, values: UserRow) -> Result<()> {
    for (field, value) in [
        (&mut user.given_name, values.given_name),
        (&mut user.family_name, values.family_name),
        (&mut user.display_name, values.display_name),
        (&mut user.email, values.email),
    ] {
        if field.is_none() {
            *field = value;
        }
    }
    let read = |text: &str| serde_json::from_str(text).map_err(|_| Error::corrupt("a user's attributes"));
    let (mut known, further): (Map<String, Value>, Map<String, Value>) =
        (read(&user.attributes)?, read(&values.attributes)?);
    for (name, value) in further {
        known.entry(name).or_insert(value);
    }
    user.attributes = Value::Object(known).to_string();
    Ok(())
}

/// Adds own values to a profile where it has none.
fn fill(user: &mut UserRow, own: &str) -> Result<()> {
    let mut own: Map<String, Value> = serde_json::from_str(own).map_err(|_| Error::corrupt("a user's own values"))?;
    let further = own.remove("attributes").filter(Value::is_object).unwrap_or_else(|| Value::Object(Map::new()));
    let mut text = |name: &str| own.remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let values = UserRow {
        given_name: text("given_name"),
        family_name: text("family_name"),
        display_name: text("display_name"),
        email: text("email"),
        attributes: further.to_string(),
        ..user.clone()
    };
    fill_from(user, values)?;
    user.name_key = fold(&user.user_name);
    Ok(())
}
