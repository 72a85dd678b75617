//! Which users are active, and which are missing. A user is active if at least one directory says on and none says off;
//! unknown has no vote, and the order of imports does not matter. An account that said off when it went missing goes on
//! saying so. A user that no directory has any more becomes inactive by the organization's rule. Deleted directories
//! have no vote. But users that only they have do not change, and a deletion activates nobody.

use jiff::{SignedDuration, Timestamp};

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::identities::Identities;
use crate::ids::{AccountId, DirectoryId, GroupId, OrganizationId, UserId};
use crate::imports::{Intake, ids};
use crate::records::{NamedAccount, Switch};
use crate::sql::sql;
use crate::transaction::Tx;

/// A content hash that matches no entry.
const NO_CONTENT: [u8; 16] = [0; 16];

/// Groups that lose their members in one step.
const GROUPS: usize = 100;

/// The accounts of directories that are not deleted, without those that provisioning has made.
macro_rules! living {
    () => {
        "accounts a JOIN directories d ON d.seq = a.target AND d.deleted_at IS NULL AND NOT a.outbound"
    };
}

/// Until when the account `a` lets its user be active. An account that said off when it went missing goes on saying so,
/// because nobody knows better. Otherwise a missing account has no vote.
macro_rules! vote {
    () => {
        "CASE WHEN a.missing_since IS NULL OR a.on_until <= a.missing_since THEN a.on_until END"
    };
}

/// An administrator has disabled the user, at the time of the parameter.
macro_rules! suspended {
    ($user:literal, $now:literal) => {
        concat!($user, ".suspended_at IS NOT NULL AND COALESCE(", $user, ".suspended_until > ", $now, ", TRUE)")
    };
}

/// Since when all accounts of `users` or `groups` are missing; NULL while one is present.
macro_rules! missing_since {
    ($of:literal) => {
        concat!(
            "(SELECT CASE WHEN count(*) = 0 THEN ",
            $of,
            ".missing_since WHEN count(a.missing_since) = count(*) THEN max(a.missing_since) END FROM ",
            living!(),
            " WHERE a.identity = ",
            $of,
            ".id)"
        )
    };
}

/// `:1` is now, `:2` the time before which a missing user becomes inactive, `:3` the organization. `$only` is empty, or
/// a further condition.
macro_rules! settle_users {
    ($which:literal, $only:literal) => {
        concat!(
            "{update} users SET updated_at = :1, missing_since = ",
            missing_since!("users"),
            ", active = ",
            $only,
            "CASE WHEN ",
            suspended!("users", ":1"),
            " THEN FALSE ELSE ",
            "(SELECT CASE WHEN count(*) = 0 THEN users.active ",
            "WHEN count(a.missing_since) = count(*) THEN users.active AND max(a.missing_since) > :2 ",
            "ELSE COALESCE(min(",
            vote!(),
            ") > :1, FALSE) END ",
            "FROM ",
            living!(),
            " WHERE a.identity = users.id) END WHERE id ",
            $which,
            " AND (organization = (SELECT seq FROM organizations WHERE id = :3)) IS TRUE"
        )
    };
}

impl Identities {
    /// Updates whether these users are active and whether they are missing. Call it after their accounts are written,
    /// and only where somebody has decided or counted that users become active. Otherwise call [`Self::lower_users`].
    pub async fn settle_users(&mut self, users: &[UserId]) -> Result<()> {
        self.settle(settle_users!("{in}", ""), users).await
    }

    /// Does the same as [`Self::settle_users`], but activates nobody.
    pub async fn lower_users(&mut self, users: &[UserId]) -> Result<()> {
        self.settle(settle_users!("{in}", "users.active AND "), users).await
    }

    /// Forgets that missing accounts of a user said off: an administrator has decided. Returns how many said it.
    pub async fn forget_missing_off(&mut self, user: UserId) -> Result<u64> {
        let update = sql("UPDATE accounts SET on_until = NULL WHERE identity = $1 AND organization_id = $2 \
             AND missing_since IS NOT NULL AND on_until <= missing_since");
        self.tx.execute(update.bind(user).bind(self.organization)).await
    }

    async fn settle(&mut self, template: &'static str, users: &[UserId]) -> Result<()> {
        if users.is_empty() {
            return Ok(());
        }
        let before = inactive_before(&mut self.tx, self.organization, self.now).await?;
        let update = Bulk::new(template)
            .column(Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect()))
            .shared(self.now)
            .shared(before)
            .shared(self.organization);
        self.tx.bulk(update).await.map(|_| ())
    }
}

impl Intake {
    /// Updates these users, and activates nobody. Where an entry of this directory would activate its user, the next
    /// import reads it again, and counts that user among those who become active.
    pub async fn settle_uncounted(&mut self, users: &[UserId]) -> Result<()> {
        if users.is_empty() {
            return Ok(());
        }
        self.identities.lower_users(users).await?;
        let update = Bulk::new(concat!(
            "{update} accounts SET hash = :4 WHERE identity {in} AND (organization_id = :1) IS TRUE \
             AND (target = :2) IS TRUE AND missing_since IS NULL AND on_until > :3 \
             AND EXISTS (SELECT 1 FROM users u WHERE u.id = accounts.identity AND NOT u.active AND NOT (",
            suspended!("u", ":3"),
            ")) AND NOT EXISTS (SELECT 1 FROM ",
            living!(),
            " WHERE a.identity = accounts.identity AND ",
            vote!(),
            " <= :3)"
        ))
        .column(Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect()))
        .shared(self.identities.organization)
        .shared(self.directory)
        .shared(self.identities.now)
        .shared(NO_CONTENT.to_vec());
        self.identities.tx.bulk(update).await.map(|_| ())
    }

    /// Does the same as [`Identities::settle_users`] for the users of these accounts, but activates nobody.
    async fn settle_downwards(&mut self, accounts: &[AccountId]) -> Result<()> {
        let before =
            inactive_before(&mut self.identities.tx, self.identities.organization, self.identities.now).await?;
        let update = Bulk::new(settle_users!("IN (SELECT identity FROM accounts WHERE id {in})", "users.active AND "))
            .column(ids(accounts))
            .shared(self.identities.now)
            .shared(before)
            .shared(self.identities.organization);
        self.identities.tx.bulk(update).await.map(|_| ())
    }

    /// Switches accounts off, or shortens the time that they are on, while the rest of their entries waits. Switches
    /// that would activate are ignored. The next import reads these entries again, even if they are unchanged.
    pub async fn lower_switches(&mut self, switches: &[(AccountId, Switch)]) -> Result<()> {
        let (accounts, until): (Vec<AccountId>, Vec<i64>) =
            switches.iter().filter_map(|(account, switch)| Some((*account, switch.on_until()?))).unzip();
        if accounts.is_empty() {
            return Ok(());
        }
        // Unknown counts as inactive, so only "off" changes it.
        let update = Bulk::new(
            "WITH v(id, on_until) AS ({rows}) {update} accounts SET on_until = v.on_until, hash = :3, updated_at = :4 FROM v \
             WHERE accounts.id = v.id AND (accounts.organization_id = :1) IS TRUE AND (accounts.target = :2) IS TRUE \
             AND accounts.missing_since IS NULL AND COALESCE(accounts.on_until, 1) > v.on_until",
        )
        .column(ids(&accounts))
        .column(Cells::Ints(until))
        .shared(self.identities.organization)
        .shared(self.directory)
        .shared(NO_CONTENT.to_vec())
        .shared(self.identities.now);
        self.identities.tx.bulk(update).await?;
        self.settle_downwards(&accounts).await
    }

    /// Makes the next import read the entries of these accounts again, even if they are unchanged.
    pub async fn forget_contents(&mut self, accounts: &[AccountId]) -> Result<()> {
        let update = Bulk::new(
            "{update} accounts SET hash = :3 WHERE id {in} AND (organization_id = :1) IS TRUE \
             AND (target = :2) IS TRUE",
        )
        .column(ids(accounts))
        .shared(self.identities.organization)
        .shared(self.directory)
        .shared(NO_CONTENT.to_vec());
        if accounts.is_empty() { Ok(()) } else { self.identities.tx.bulk(update).await.map(|_| ()) }
    }

    /// Updates the users and groups of these accounts, which went missing. A missing group has no members, and nobody
    /// becomes active because an account that said off is missing.
    pub(crate) async fn settle_missing(&mut self, accounts: &[AccountId]) -> Result<()> {
        self.settle_downwards(accounts).await?;
        let update = Bulk::new(concat!(
            "{update} groups SET missing_since = ",
            missing_since!("groups"),
            " WHERE id IN (SELECT identity FROM accounts WHERE id {in}) AND (organization_id = :1) IS TRUE"
        ));
        self.identities.tx.bulk(update.column(ids(accounts)).shared(self.identities.organization)).await?;
        let query = Bulk::new(
            "SELECT id FROM groups WHERE id IN (SELECT identity FROM accounts WHERE id {in}) \
             AND missing_since IS NOT NULL AND (organization_id = :1) IS TRUE",
        );
        let query = query.column(ids(accounts)).shared(self.identities.organization);
        let gone: Vec<GroupId> = self.identities.tx.bulk_rows(query, |mut row| row.take()).await?;
        for groups in gone.chunks(GROUPS) {
            self.replace_members(groups.iter().map(|group| (*group, Vec::new())).collect()).await?;
        }
        Ok(())
    }
}

/// The time before which users must have gone missing to become inactive.
async fn inactive_before(tx: &mut Tx, organization: OrganizationId, now: Timestamp) -> Result<i64> {
    let query = sql("SELECT missing_user_days FROM organizations WHERE id = $1").bind(organization);
    let days: Option<Option<u32>> = tx.row(query, |mut row| row.take()).await?;
    Ok(days.flatten().map_or(i64::MIN, |days| before(now, days)))
}

/// Updates the users that a directory shares with others, after it was deleted or has come back. Activates nobody: the
/// next imports do, and count them.
pub(crate) async fn settle_shared(
    tx: &mut Tx,
    organization: OrganizationId,
    directory: DirectoryId,
    now: Timestamp,
) -> Result<()> {
    let query = sql("SELECT seq FROM directories WHERE organization_id = $1 AND id = $2");
    let Some(seq) = tx.row(query.bind(organization).bind(directory), |mut row| row.take::<i64>()).await? else {
        return Ok(());
    };
    let before = inactive_before(tx, organization, now).await?;
    let update = Bulk::new(settle_users!(
        "IN (SELECT s.identity FROM accounts s WHERE s.target {in} AND EXISTS (SELECT 1 FROM accounts l \
         JOIN directories o ON o.seq = l.target WHERE l.identity = s.identity AND l.target <> s.target \
         AND o.deleted_at IS NULL))",
        "users.active AND "
    ))
    .column(Cells::Ints(vec![seq]))
    .shared(now)
    .shared(before)
    .shared(organization);
    tx.bulk(update).await?;
    read_again(tx, seq, now).await
}

/// Makes the next import read accounts again whose users are inactive although no directory says off any more: their
/// directories have said on before, and their entries may never change. They are read as a change that activates.
async fn read_again(tx: &mut Tx, directory: i64, now: Timestamp) -> Result<()> {
    let update = sql(concat!(
        "UPDATE accounts SET on_until = NULL, hash = $3 WHERE missing_since IS NULL AND on_until > $2 ",
        "AND target IN (SELECT seq FROM directories WHERE deleted_at IS NULL) ",
        "AND identity IN (SELECT s.identity FROM accounts s JOIN users u ON u.id = s.identity ",
        "WHERE s.target = $1 AND NOT u.active) AND NOT EXISTS (SELECT 1 FROM ",
        living!(),
        " WHERE a.identity = accounts.identity AND ",
        vote!(),
        " <= $2)"
    ));
    tx.execute(update.bind(directory).bind(now).bind(NO_CONTENT.to_vec())).await.map(|_| ())
}

/// The time this many days before, in milliseconds.
fn before(now: Timestamp, days: u32) -> i64 {
    now.checked_sub(SignedDuration::from_hours(i64::from(days) * 24)).map_or(i64::MIN, Timestamp::as_millisecond)
}

impl Store {
    /// Those of these accounts whose users stay inactive whatever the account says: an administrator has disabled them, or
    /// another account says off.
    pub async fn barred(
        &self,
        organization: OrganizationId,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<Vec<AccountId>> {
        let query = Bulk::new(concat!(
            "SELECT b.id FROM accounts b WHERE b.id {in} AND (b.organization_id = :1) IS TRUE \
             AND (EXISTS (SELECT 1 FROM users u WHERE u.id = b.identity AND ",
            suspended!("u", ":2"),
            ") OR EXISTS (SELECT 1 FROM ",
            living!(),
            " WHERE a.identity = b.identity AND a.id <> b.id AND ",
            vote!(),
            " <= :2))"
        ))
        .column(ids(accounts))
        .shared(organization)
        .shared(now);
        if accounts.is_empty() { Ok(Vec::new()) } else { self.database.bulk_rows(query, |mut row| row.take()).await }
    }

    /// How many users of a directory went missing since a time and are inactive now.
    pub async fn count_deactivated(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        since: Timestamp,
    ) -> Result<u64> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(0) };
        let query = sql("SELECT count(*) FROM users WHERE NOT active AND missing_since IS NOT NULL \
             AND id IN (SELECT identity FROM accounts WHERE target = $1 AND missing_since >= $2)")
        .bind(seq)
        .bind(since);
        Ok(self.database.row(query, |mut row| row.take()).await?.unwrap_or_default())
    }

    /// Accounts of some of these users.
    pub async fn deactivated(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<NamedAccount>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(Vec::new()) };
        let query = sql("SELECT a.id, a.dn, COALESCE(u.display_name, u.user_name) FROM accounts a \
             JOIN users u ON u.id = a.identity WHERE NOT u.active AND u.missing_since IS NOT NULL \
             AND a.target = $1 AND a.missing_since >= $2 ORDER BY a.id LIMIT $3")
        .bind(seq)
        .bind(since)
        .bind(most);
        let read =
            |mut row: crate::sql::Row| Ok(NamedAccount { id: row.take()?, dn: row.take()?, display_name: row.take()? });
        self.database.rows(query, read).await
    }

    /// Deactivates users whose accounts have expired since the last import, or who went missing as many days ago as
    /// their organization waits. Covers all organizations; returns how many.
    pub async fn deactivate_due(&self, now: Timestamp) -> Result<u64> {
        let expired = sql("UPDATE users SET active = FALSE, updated_at = $1 WHERE active AND id IN \
             (SELECT identity FROM accounts WHERE on_until > 0 AND on_until <= $1 AND on_until < 9223372036854775807 \
             AND identity IS NOT NULL AND missing_since IS NULL \
             AND (EXISTS (SELECT 1 FROM directories d WHERE d.seq = accounts.target AND d.deleted_at IS NULL) \
             OR NOT EXISTS (SELECT 1 FROM accounts l JOIN directories d ON d.seq = l.target \
             WHERE l.identity = accounts.identity AND d.deleted_at IS NULL)))")
        .bind(now);
        let expired = self.database.execute(expired).await?;
        let left = sql("UPDATE users SET active = FALSE, updated_at = $1 WHERE active AND missing_since IS NOT NULL \
             AND EXISTS (SELECT 1 FROM organizations o WHERE o.seq = users.organization \
             AND users.missing_since + o.missing_user_days * 86400000 <= $1)")
        .bind(now);
        Ok(expired + self.database.execute(left).await?)
    }
}
