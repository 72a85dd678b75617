//! Which user an account belongs to: who has a name, who is missing, and how users pass from one account to another.

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{AccountId, DirectoryId, JobId, OrganizationId, UserId};
use crate::imports::{Intake, ids};
use crate::records::{HeldUser, NamedUser};
use crate::sql::sql;

/// The place of the first other directory that is not deleted and has a present account of the user `a`; `:2` is this
/// directory. NULL: there is none.
macro_rules! elsewhere {
    () => {
        "(SELECT min(d.rank) FROM accounts h JOIN directories d ON d.seq = h.target WHERE h.identity = a.id \
         AND (h.target <> :2) IS TRUE AND h.missing_since IS NULL AND d.deleted_at IS NULL AND NOT h.outbound)"
    };
}

/// The user `a` is missing or inactive, or an account of a deleted directory has expired at the time `:4`. A deletion
/// changes no user that only that directory has, so the user shows what was true then.
macro_rules! has_left {
    () => {
        "(NOT a.active OR a.missing_since IS NOT NULL OR EXISTS (SELECT 1 FROM accounts h \
         JOIN directories d ON d.seq = h.target WHERE h.identity = a.id AND d.deleted_at IS NOT NULL \
         AND h.on_until > 0 AND h.on_until <= :4))"
    };
}

/// An account of the user `a` in this directory.
macro_rules! here {
    ($column:literal, $rest:literal) => {
        concat!("SELECT ", $column, " FROM accounts h WHERE h.identity = a.id AND (h.target = :2) IS TRUE AND ", $rest)
    };
}

/// A user whose account in one directory has left, and of whom another directory or the organization says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heir {
    /// The user.
    pub user: UserId,
    /// The account that has left.
    pub left: AccountId,
}

impl Intake {
    /// The organization's users with these folded names, and their accounts in this directory and in others. `job` is
    /// the import for [`NamedUser::left_now`].
    pub async fn users_by_name(&mut self, name_keys: &[String], job: Option<JobId>) -> Result<Vec<NamedUser>> {
        let query = Bulk::new(concat!(
            "WITH v(name_key) AS ({rows}) SELECT a.name_key, a.id, (",
            here!("h.id", "h.missing_since IS NULL ORDER BY h.id LIMIT 1"),
            "), (",
            here!("h.dn", "h.missing_since IS NULL ORDER BY h.id LIMIT 1"),
            "), EXISTS (",
            here!("1", "h.missing_since IS NOT NULL"),
            "), EXISTS (",
            here!("1", "(h.missing_job = :3) IS TRUE"),
            "), EXISTS (",
            here!("1", "(h.missing_job = :3) IS TRUE AND h.on_until > h.missing_since"),
            "), ",
            elsewhere!(),
            ", EXISTS (SELECT 1 FROM accounts h JOIN directories d ON d.seq = h.target WHERE h.identity = a.id \
             AND (h.target <> :2) IS TRUE AND h.missing_since IS NOT NULL AND d.deleted_at IS NULL AND NOT h.outbound), ",
            has_left!(),
            ", a.is_own, a.suspended_at IS NOT NULL AND COALESCE(a.active_before, FALSE) AND a.missing_since IS NULL, \
             (SELECT o.joins_users FROM organizations o WHERE o.id = :1) \
             FROM v {each}users a{where}a.organization = (SELECT seq FROM organizations WHERE id = :1) \
             AND a.name_key = v.name_key{end}",
        ))
        .column(Cells::Texts(name_keys.to_vec()))
        .shared(self.identities.organization)
        .shared(self.directory)
        .shared(job.map(JobId::as_uuid))
        .shared(self.identities.now);
        let rank = self.rank;
        let mut found: Vec<NamedUser> = self
            .identities
            .tx
            .bulk_rows(query, |mut row| {
                let (name_key, user, account, dn) = (row.take()?, row.take()?, row.take()?, row.take()?);
                let (missing_here, left_now, left_on) = (row.take()?, row.take()?, row.take()?);
                let first_other: Option<i64> = row.take()?;
                Ok(NamedUser {
                    name_key,
                    user,
                    account,
                    dn,
                    missing_here,
                    left_now,
                    left_on,
                    elsewhere: first_other.is_some(),
                    owned_elsewhere: first_other.is_some_and(|other| other < rank),
                    missing_elsewhere: row.take()?,
                    has_left: row.take()?,
                    is_own: row.take()?,
                    only_suspended: row.take()?,
                    may_be_joined: row.take()?,
                })
            })
            .await?;
        found.sort_by(|one, other| one.name_key.cmp(&other.name_key));
        found.dedup_by(|later, earlier| later.name_key == earlier.name_key);
        Ok(found)
    }

    /// Those of these users that belong to the organization.
    pub async fn held_users(&mut self, users: &[UserId]) -> Result<Vec<HeldUser>> {
        let query = Bulk::new(concat!(
            "WITH v(id) AS ({rows}) SELECT a.id, a.name_key, EXISTS (",
            here!("1", "h.missing_since IS NULL"),
            "), ",
            elsewhere!(),
            " FROM v {each}users a{where}a.id = v.id \
             AND (a.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE{end}",
        ))
        .column(Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect()))
        .shared(self.identities.organization)
        .shared(self.directory);
        let rank = self.rank;
        let read = |mut row: crate::sql::Row| {
            let (user, name_key, here) = (row.take()?, row.take()?, row.take()?);
            let first_other: Option<i64> = row.take()?;
            let owned_elsewhere = first_other.is_some_and(|other| other < rank);
            Ok(HeldUser { user, name_key, here, elsewhere: first_other.is_some(), owned_elsewhere })
        };
        self.identities.tx.bulk_rows(query, read).await
    }

    /// Unlinks users from missing accounts of this directory, because newer accounts have them now. The missing
    /// accounts record them as former users.
    pub async fn take_over(&mut self, users: &[UserId]) -> Result<u64> {
        let update = Bulk::new(
            "{update} accounts SET former_user = identity, identity = NULL \
             WHERE identity {in} AND (organization_id = :1) IS TRUE AND (target = :2) IS TRUE \
             AND missing_since IS NOT NULL",
        )
        .column(Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect()))
        .shared(self.identities.organization)
        .shared(self.directory);
        self.identities.tx.bulk(update).await
    }

    /// Those of these accounts that have no user or group.
    pub async fn unlinked(&mut self, accounts: &[AccountId]) -> Result<Vec<AccountId>> {
        let query = Bulk::new(
            "SELECT id FROM accounts WHERE id {in} AND (organization_id = :1) IS TRUE AND (target = :2) IS TRUE \
             AND identity IS NULL",
        )
        .column(ids(accounts))
        .shared(self.identities.organization)
        .shared(self.directory);
        self.identities.tx.bulk_rows(query, |mut row| row.take()).await
    }

    /// Accounts whose users or groups an operation has changed since a job began: what the job has read of them may be older.
    pub async fn written_since(&mut self, job: JobId, accounts: &[AccountId]) -> Result<Vec<AccountId>> {
        let query = Bulk::new(
            "SELECT a.id FROM accounts a WHERE a.id {in} AND (a.organization_id = :1) IS TRUE AND (a.target = :2) IS TRUE \
             AND EXISTS (SELECT 1 FROM operations o WHERE o.identity = a.identity AND (o.target = :2) IS TRUE \
             AND o.ended_at >= (SELECT j.started_at FROM jobs j WHERE j.id = :3))",
        )
        .column(ids(accounts))
        .shared(self.identities.organization)
        .shared(self.directory)
        .shared(job);
        self.identities.tx.bulk_rows(query, |mut row| row.take()).await
    }

    /// Links accounts to users whose names belong to others in the meantime; the conflicts stay.
    pub async fn link_nameless(&mut self, links: &[(AccountId, Uuid)]) -> Result<u64> {
        let (accounts, identities) = links.iter().map(|(account, identity)| (account.as_uuid(), *identity)).unzip();
        let update = Bulk::new(
            "WITH v(id, identity) AS ({rows}) {update} accounts SET identity = v.identity, former_user = NULL, \
             updated_at = :3 FROM v WHERE accounts.id = v.id \
             AND (accounts.organization_id = :1) IS TRUE AND (accounts.target = :2) IS TRUE",
        )
        .column(Cells::Uuids(accounts))
        .column(Cells::Uuids(identities))
        .shared(self.identities.organization)
        .shared(self.directory)
        .shared(self.identities.now);
        self.identities.tx.bulk(update).await
    }

    /// Links an account without a user to one, and ends its conflict about this name. [`Error::NotFound`]: it has a
    /// user, or its conflict is a different one now.
    pub async fn decide_conflict(&mut self, account: AccountId, name_key: &str, user: UserId) -> Result<()> {
        let update = sql("UPDATE accounts SET identity = $1, former_user = NULL, conflict = NULL, updated_at = $2 \
             WHERE id = $3 AND organization_id = $4 AND target = $5 AND conflict = $6 AND identity IS NULL \
             AND missing_since IS NULL")
        .bind(user)
        .bind(self.identities.now)
        .bind(account)
        .bind(self.identities.organization)
        .bind(self.directory)
        .bind(name_key);
        match self.identities.tx.execute(update).await? {
            0 => Err(Error::NotFound { what: "the conflict" }),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Users whose accounts this import of the directory has marked missing, and who have a present account in another
    /// directory, or of whom the organization itself says something: up to `limit` after this account, ordered by the accounts that left.
    pub async fn heirs(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        job: JobId,
        after: AccountId,
        limit: u32,
    ) -> Result<Vec<Heir>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(Vec::new()) };
        let query = sql("SELECT l.identity, l.id FROM accounts l \
             WHERE l.missing_job = $1 AND l.id > $2 AND l.target = $3 AND l.kind = 1 AND l.identity IS NOT NULL \
             AND (EXISTS (SELECT 1 FROM accounts h JOIN directories d ON d.seq = h.target \
             WHERE h.identity = l.identity AND h.missing_since IS NULL AND d.deleted_at IS NULL) \
             OR EXISTS (SELECT 1 FROM users u WHERE u.id = l.identity AND u.own IS NOT NULL)) \
             ORDER BY l.id LIMIT $4")
        .bind(job)
        .bind(after)
        .bind(seq)
        .bind(limit);
        let read = |mut row: crate::sql::Row| Ok(Heir { user: row.take()?, left: row.take()? });
        self.database.rows(query, read).await
    }
}
