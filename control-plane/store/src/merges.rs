//! Two users that are one person become one user, and a user whose accounts are of two persons becomes two.

use crate::Store;
use crate::accounts::{self, select_accounts};
use crate::dialect::Bulk;
use crate::error::{Error, Result};
use crate::identities::Identities;
use crate::ids::{AccountId, GroupId, OrganizationId, UserId};
use crate::imports::ids;
use crate::records::{Account, MergedUser};
use crate::sql::{Row, sql};

impl Identities {
    /// All accounts of a user, in the order of their directories.
    pub async fn all_accounts_of(&mut self, user: UserId) -> Result<Vec<Account>> {
        let query = sql(select_accounts!(
            "",
            "WHERE a.identity = $1 AND a.organization_id = $2 AND a.kind = 1 ORDER BY d.rank, a.id"
        ));
        self.tx.rows(query.bind(user).bind(self.organization), |mut row| accounts::read(&mut row)).await
    }

    /// The groups of the organization that a user was put into, with their names.
    pub async fn own_groups_of(&mut self, user: UserId) -> Result<Vec<(GroupId, String)>> {
        let query = sql("SELECT g.id, g.display_name FROM own_members o JOIN groups g ON g.id = o.group_id \
             WHERE o.member_id = $1 AND o.organization_id = $2 ORDER BY g.display_key, g.id");
        let query = query.bind(user).bind(self.organization);
        self.tx.rows(query, |mut row: Row| Ok((row.take()?, row.take()?))).await
    }

    /// Moves accounts, memberships that the organization has added, values of unique attributes and marks from one user to
    /// another, and deletes the one. Its id stays known. The caller has locked both, and writes the profile of the other.
    pub async fn merge_users(&mut self, into: UserId, gone: (UserId, &str), by: &str) -> Result<()> {
        let (id, user_name) = gone;
        for statement in [
            "UPDATE accounts SET former_user = $1 WHERE former_user = $2 AND organization_id = $3 \
             AND missing_since IS NOT NULL AND target IN (SELECT seq FROM targets WHERE organization_id = $3)",
            "UPDATE accounts SET former_user = $1 WHERE former_user = $2 AND organization_id = $3 \
             AND conflict IS NOT NULL AND target IN (SELECT seq FROM targets WHERE organization_id = $3)",
            "UPDATE accounts SET identity = $1 WHERE identity = $2 AND organization_id = $3",
            "INSERT INTO own_members (organization_id, group_id, member_id, kind, added_at) \
             SELECT o.organization_id, o.group_id, $1, o.kind, o.added_at FROM own_members o \
             WHERE o.member_id = $2 AND o.organization_id = $3 ON CONFLICT DO NOTHING",
            "UPDATE unique_values SET user_id = $1 WHERE user_id = $2 AND organization_id = $3 AND NOT EXISTS \
             (SELECT 1 FROM unique_values o WHERE o.user_id = $1 AND o.name = unique_values.name)",
            "INSERT INTO marks (organization_id, target, identity, kind, times, marked_at) \
             SELECT m.organization_id, m.target, $1, m.kind, m.times, m.marked_at FROM marks m \
             WHERE m.identity = $2 AND m.organization_id = $3 \
             ON CONFLICT (target, identity) DO UPDATE SET times = marks.times + 1, marked_at = excluded.marked_at",
            "UPDATE merged_users SET into_id = $1 WHERE into_id = $2 AND organization_id = $3",
        ] {
            self.tx.execute(sql(statement).bind(into).bind(id).bind(self.organization)).await?;
        }
        for delete in [
            "DELETE FROM own_members WHERE member_id = $1",
            "DELETE FROM pending_changes WHERE identity = $1",
            "DELETE FROM unique_values WHERE user_id = $1",
            "DELETE FROM match_keys WHERE user_id = $1",
            "DELETE FROM account_matches WHERE user_id = $1",
            "DELETE FROM marks WHERE identity = $1",
            "DELETE FROM users WHERE id = $1",
        ] {
            self.tx.execute(sql(delete).bind(id)).await?;
        }
        let insert = sql("INSERT INTO merged_users (organization_id, id, user_name, into_id, merged_at, merged_by) \
             VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(self.organization)
        .bind(id)
        .bind(user_name)
        .bind(into)
        .bind(self.now)
        .bind(by);
        self.tx.execute(insert).await.map(|_| ())
    }

    /// Says that the organization has made a user itself.
    pub async fn set_own(&mut self, user: UserId) -> Result<()> {
        let update = sql("UPDATE users SET is_own = TRUE WHERE id = $1 \
             AND organization = (SELECT seq FROM organizations WHERE id = $2)");
        self.tx.execute(update.bind(user).bind(self.organization)).await.map(|_| ())
    }

    /// Gives accounts of one user to another. [`Error::NotFound`]: one of them is not an account of the user.
    pub async fn move_accounts(&mut self, accounts: &[AccountId], from: UserId, to: UserId) -> Result<()> {
        let update = Bulk::new(
            "{update} accounts SET identity = :1, updated_at = :2 WHERE id {in} AND (identity = :3) IS TRUE \
             AND (organization_id = :4) IS TRUE AND kind = 1",
        )
        .column(ids(accounts))
        .shared(to)
        .shared(self.now)
        .shared(from)
        .shared(self.organization);
        if self.tx.bulk(update).await? < accounts.len() as u64 {
            return Err(Error::NotFound { what: "the account" });
        }
        Ok(())
    }
}

impl Store {
    /// What became of a user that was merged into another. `None`: it was not.
    pub async fn merged_user(&self, organization: OrganizationId, id: UserId) -> Result<Option<MergedUser>> {
        let query = sql("SELECT user_name, into_id, merged_at, merged_by FROM merged_users \
             WHERE organization_id = $1 AND id = $2");
        let read = |mut row: Row| {
            Ok(MergedUser { id, user_name: row.take()?, into: row.take()?, at: row.take()?, by: row.take()? })
        };
        self.database.row(query.bind(organization).bind(id), read).await
    }
}
