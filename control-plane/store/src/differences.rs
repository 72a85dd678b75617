//! What an import has changed in a working copy, compared with what was copied.

use serde_json::Value;

use crate::error::Result;
use crate::ids::{AccountId, GroupId, UserId};
use crate::records::{AccountKind, ChangedAccount, IdentityState, MemberChanges, Room};
use crate::sql::{Row, sql};
use crate::working_copy::{WorkingCopy, members_into};

/// Accounts in one page, unless they are large.
const PAGE: u32 = 500;

/// The directory of the import.
macro_rules! this_target {
    () => {
        "(SELECT d.seq FROM directories d JOIN jobs j ON j.directory_id = d.id)"
    };
}

/// The columns of a user, and of a group in their place.
macro_rules! user {
    ($table:literal) => {
        concat!(
            $table,
            ".id, ",
            $table,
            ".user_name, ",
            $table,
            ".active, ",
            $table,
            ".missing_since IS NOT NULL, ",
            "json_object('user_name', ",
            $table,
            ".user_name, 'given_name', ",
            $table,
            ".given_name, 'family_name', ",
            $table,
            ".family_name, 'display_name', ",
            $table,
            ".display_name, 'email', ",
            $table,
            ".email), ",
            $table,
            ".attributes"
        )
    };
}
macro_rules! group {
    ($table:literal) => {
        concat!(
            $table,
            ".id, ",
            $table,
            ".display_name, TRUE, ",
            $table,
            ".missing_since IS NOT NULL, ",
            "json_object('display_name', ",
            $table,
            ".display_name, 'description', ",
            $table,
            ".description), NULL"
        )
    };
}
/// The columns of an account now and before.
macro_rules! account {
    () => {
        "a.seq, a.id, a.dn, a.unique_value, a.conflict IS NOT NULL, a.missing_since IS NOT NULL, a.attributes, \
         b.id IS NOT NULL, b.dn, COALESCE(b.conflict IS NOT NULL, FALSE), COALESCE(b.missing_since IS NOT NULL, FALSE), \
         b.attributes"
    };
}
/// Whether an account differs.
macro_rules! account_differs {
    () => {
        "(b.id IS NULL OR a.hash IS NOT b.hash OR a.dn IS NOT b.dn OR a.identity IS NOT b.identity \
         OR (a.conflict IS NULL) IS NOT (b.conflict IS NULL) \
         OR (a.missing_since IS NULL) IS NOT (b.missing_since IS NULL))"
    };
}
macro_rules! user_differs {
    () => {
        "(p.id IS NULL OR u.user_name IS NOT p.user_name OR u.given_name IS NOT p.given_name \
         OR u.family_name IS NOT p.family_name OR u.display_name IS NOT p.display_name OR u.email IS NOT p.email \
         OR u.active IS NOT p.active OR u.attributes IS NOT p.attributes \
         OR (u.missing_since IS NULL) IS NOT (p.missing_since IS NULL))"
    };
}

impl WorkingCopy {
    /// Compares who is in which group, for [`Self::changed_accounts`]. Call it again after each further change.
    pub async fn compare_members(&self) -> Result<()> {
        let mut tx = self.store().database.begin().await?;
        for statement in [
            "DROP TABLE IF EXISTS after_members",
            "DROP TABLE IF EXISTS member_changes",
            "CREATE TABLE after_members (group_id BLOB NOT NULL, member BLOB NOT NULL, PRIMARY KEY (group_id, member)) \
             WITHOUT ROWID",
            "CREATE TABLE member_changes (group_id BLOB NOT NULL, member BLOB NOT NULL, added INTEGER NOT NULL, \
             PRIMARY KEY (group_id, added, member)) WITHOUT ROWID",
        ] {
            tx.execute(sql(statement)).await?;
        }
        tx.execute(members_into("after_members")).await?;
        for statement in [
            "INSERT INTO member_changes (group_id, member, added) \
             SELECT group_id, member, TRUE FROM (SELECT group_id, member FROM after_members \
             EXCEPT SELECT group_id, member FROM before_members)",
            "INSERT INTO member_changes (group_id, member, added) \
             SELECT group_id, member, FALSE FROM (SELECT group_id, member FROM before_members \
             EXCEPT SELECT group_id, member FROM after_members)",
        ] {
            tx.execute(sql(statement)).await?;
        }
        tx.commit().await
    }

    /// Accounts of the import's directory that differ from before, or whose user or group differs, from those with a
    /// later number on. Empty: there are no more.
    pub async fn changed_accounts(&self, kind: AccountKind, after: i64) -> Result<Vec<ChangedAccount>> {
        let query = match kind {
            AccountKind::User => sql(concat!(
                "SELECT ",
                account!(),
                ", ",
                user!("u"),
                ", ",
                user!("p"),
                " FROM accounts a LEFT JOIN before_accounts b ON b.id = a.id LEFT JOIN users u ON u.id = a.identity \
                 LEFT JOIN before_users p ON p.id = u.id WHERE a.target = ",
                this_target!(),
                " AND a.kind = 1 AND a.seq > $1 AND (",
                account_differs!(),
                " OR (u.id IS NOT NULL AND ",
                user_differs!(),
                ")) ORDER BY a.seq LIMIT $2"
            )),
            AccountKind::Group => sql(concat!(
                "SELECT ",
                account!(),
                ", ",
                group!("g"),
                ", ",
                group!("p"),
                " FROM accounts a LEFT JOIN before_accounts b ON b.id = a.id LEFT JOIN groups g ON g.id = a.identity \
                 LEFT JOIN before_groups p ON p.id = g.id WHERE a.target = ",
                this_target!(),
                " AND a.kind = 2 AND a.seq > $1 AND (",
                account_differs!(),
                " OR (g.id IS NOT NULL AND (p.id IS NULL \
                 OR g.display_name IS NOT p.display_name OR g.description IS NOT p.description \
                 OR (g.missing_since IS NULL) IS NOT (p.missing_since IS NULL) \
                 OR EXISTS (SELECT 1 FROM member_changes c WHERE c.group_id = g.id)))) ORDER BY a.seq LIMIT $2"
            )),
        };
        self.store()
            .database
            .rows_within(query.bind(after).bind(PAGE), &mut Room::default(), |row| read(row, kind))
            .await
    }

    /// Users that differ from before and have no account in the import's directory.
    pub async fn changed_without_account(
        &self,
        after: i64,
    ) -> Result<Vec<(i64, IdentityState<UserId>, Option<IdentityState<UserId>>)>> {
        let query = sql(concat!(
            "SELECT u.seq, ",
            user!("u"),
            ", ",
            user!("p"),
            " FROM users u LEFT JOIN before_users p ON p.id = u.id WHERE u.seq > $1 AND ",
            user_differs!(),
            " AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.identity = u.id AND a.target = ",
            this_target!(),
            ") \
             ORDER BY u.seq LIMIT $2"
        ));
        let read = |mut row: Row| {
            let seq = row.take()?;
            let now = state(&mut row)?.ok_or_else(|| crate::Error::corrupt("a user"))?;
            Ok((seq, now, state(&mut row)?))
        };
        self.store().database.rows_within(query.bind(after).bind(PAGE), &mut Room::default(), read).await
    }

    /// How many members a group gains and loses, with the names of some of them.
    pub async fn member_changes(&self, group: GroupId, samples: u32) -> Result<MemberChanges> {
        let count =
            sql("SELECT COALESCE(SUM(added), 0), COALESCE(SUM(NOT added), 0) FROM member_changes WHERE group_id = $1");
        let read = |mut row: Row| Ok((row.take::<u64>()?, row.take::<u64>()?));
        let (added, removed) = self.store().database.row(count.bind(group), read).await?.unwrap_or_default();
        let mut changes = MemberChanges { added, removed, ..MemberChanges::default() };
        for (count, is_added, names) in
            [(added, true, &mut changes.added_names), (removed, false, &mut changes.removed_names)]
        {
            if count == 0 {
                continue;
            }
            let some = sql("SELECT COALESCE(u.user_name, g.display_name) FROM member_changes c \
                 LEFT JOIN users u ON u.id = c.member LEFT JOIN groups g ON g.id = c.member \
                 WHERE c.group_id = $1 AND c.added = $2 AND (u.id IS NOT NULL OR g.id IS NOT NULL) LIMIT $3");
            let some = some.bind(group).bind(is_added).bind(samples);
            *names = self.store().database.rows(some, |mut row| row.take()).await?;
        }
        Ok(changes)
    }
}

fn read(mut row: Row, kind: AccountKind) -> Result<ChangedAccount> {
    let mut account = ChangedAccount {
        seq: row.take()?,
        id: row.take::<AccountId>()?,
        kind,
        dn: row.take()?,
        login: row.take()?,
        conflict: row.take()?,
        missing: row.take()?,
        attributes: row.take()?,
        known: row.take()?,
        dn_before: row.take()?,
        conflict_before: row.take()?,
        missing_before: row.take()?,
        attributes_before: row.take()?,
        user: None,
        user_before: None,
        group: None,
        group_before: None,
    };
    match kind {
        AccountKind::User => (account.user, account.user_before) = (state(&mut row)?, state(&mut row)?),
        AccountKind::Group => (account.group, account.group_before) = (state(&mut row)?, state(&mut row)?),
    }
    Ok(account)
}

fn state<I>(row: &mut Row) -> Result<Option<IdentityState<I>>>
where
    Option<I>: crate::sql::Column,
{
    let id: Option<I> = row.take()?;
    let name: Option<String> = row.take()?;
    let active: Option<bool> = row.take()?;
    let missing: Option<bool> = row.take()?;
    let fields: Option<Value> = row.take()?;
    let attributes: Option<Value> = row.take()?;
    let Some((id, name)) = id.zip(name) else { return Ok(None) };
    Ok(Some(IdentityState {
        id,
        name,
        active: active.unwrap_or_default(),
        missing: missing.unwrap_or_default(),
        fields: fields.unwrap_or_default(),
        attributes: attributes.unwrap_or_default(),
    }))
}
