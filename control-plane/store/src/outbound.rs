//! Accounts that provisioning has made or adopted: their users and groups get nothing from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::Store;
use crate::accounts::{self, select_accounts};
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::identities::Identities;
use crate::ids::{AccountId, GroupId, OrganizationId, TargetId, UserId};
use crate::imports::Intake;
use crate::member_names::name_hash;
use crate::records::{Account, AccountKind, ExternalKey, IdentityId};
use crate::sql::{Row, sql};

/// The account of a user or group in a target, as provisioning needs it.
#[derive(Clone, Debug)]
pub struct TargetAccount {
    /// The account.
    pub account: Account,
    /// The values that both ends had last, a JSON object.
    pub agreed: Value,
    /// Since when it is the account of a user who should have none any more. `None`: the user should have it.
    pub left_at: Option<Timestamp>,
    /// Whether it is disabled because provisioning has disabled it.
    pub disabled_here: bool,
}

fn read(mut row: Row) -> Result<TargetAccount> {
    let account = accounts::read(&mut row)?;
    let agreed = row.take::<Option<Value>>()?.unwrap_or_default();
    Ok(TargetAccount { account, agreed, left_at: row.take()?, disabled_here: row.take()? })
}

impl Store {
    /// The accounts of these users and groups in a target, the present ones first.
    pub async fn accounts_in(
        &self,
        organization: OrganizationId,
        target: TargetId,
        identities: &[IdentityId],
    ) -> Result<Vec<TargetAccount>> {
        // Not a join of all accounts: right after an import PostgreSQL would read the whole table.
        let query = Bulk::new(
            "WITH v(identity) AS ({rows}) SELECT a.id, a.organization_id, \
             (SELECT d.id FROM directories d WHERE d.seq = a.target), (SELECT d.name FROM directories d WHERE d.seq = a.target), \
             a.kind, a.external_key, a.dn, a.unique_value, a.attributes, a.missing_since, a.identity, a.former_user, \
             a.conflict, a.updated_at, a.on_until, a.switch_hidden, a.outbound, a.agreed, a.left_at, a.disabled_here \
             FROM v {each}accounts a{where}a.identity = v.identity AND (a.organization_id = :1) IS TRUE \
             AND (a.target = (SELECT seq FROM targets WHERE id = :2)) IS TRUE{every}",
        );
        let ids = Cells::Uuids(identities.iter().map(|identity| identity.as_uuid()).collect());
        let query = query.column(ids).shared(organization).shared(target);
        let mut found: Vec<TargetAccount> = self.database.bulk_rows(query, read).await?;
        found.sort_by_key(|found| (found.account.missing_since.is_some(), found.account.id));
        Ok(found)
    }

    /// The account with this external id in a target.
    pub async fn account_of_key(
        &self,
        organization: OrganizationId,
        target: TargetId,
        kind: AccountKind,
        key: &ExternalKey,
    ) -> Result<Option<TargetAccount>> {
        let query = sql(select_accounts!(
            ", a.agreed, a.left_at, a.disabled_here",
            "WHERE a.organization_id = $1 AND a.target = (SELECT seq FROM targets WHERE id = $2) AND a.kind = $3 \
             AND a.external_key = $4"
        ));
        let query = query.bind(organization).bind(target).bind(kind.code()).bind(key.as_bytes());
        self.database.row(query, read).await
    }
}

impl Identities {
    /// Notes since when the user of an account should have none any more; `None`: the user should have it again.
    pub async fn note_left(&mut self, account: AccountId, left_at: Option<Timestamp>) -> Result<()> {
        let update = sql("UPDATE accounts SET left_at = $1 WHERE id = $2 AND organization_id = $3 AND outbound");
        self.tx.execute(update.bind(left_at).bind(account).bind(self.organization)).await.map(|_| ())
    }

    /// Makes an account that nobody has, or whose user was deleted, the outbound account of a user. `false`: somebody has it.
    pub async fn link_outbound(&mut self, account: AccountId, user: UserId) -> Result<bool> {
        // One at a time for a user, so that each sees what the one before it has linked.
        if self.owned_user(user).await?.is_none() {
            return Ok(false);
        }
        let update =
            sql("UPDATE accounts SET outbound = TRUE, identity = $1, conflict = NULL, agreed = NULL, left_at = NULL, \
             updated_at = $4 WHERE id = $2 AND organization_id = $3 AND kind = 1 AND missing_since IS NULL \
             AND (identity IS NULL OR NOT EXISTS (SELECT 1 FROM users u WHERE u.id = accounts.identity)) \
             AND NOT EXISTS (SELECT 1 FROM accounts o WHERE o.identity = $1 AND o.target = accounts.target \
             AND o.missing_since IS NULL)");
        let update = update.bind(user).bind(account).bind(self.organization).bind(self.now);
        if self.tx.execute(update).await? == 0 {
            return Ok(false);
        }
        for delete in
            ["DELETE FROM ignored_accounts WHERE account_id = $1", "DELETE FROM account_matches WHERE account_id = $1"]
        {
            self.tx.execute(sql(delete).bind(account)).await?;
        }
        Ok(true)
    }
}

impl Intake {
    /// The DNs and unique values that accounts with these external ids have now.
    pub async fn names_of(&mut self, kind: AccountKind, keys: &[ExternalKey]) -> Result<Vec<(String, Option<String>)>> {
        let query = Bulk::new(
            "WITH v(external_key) AS ({rows}) SELECT a.dn, a.unique_value FROM v {each}accounts a{where}\
             a.target = :1 AND a.kind = :2 AND a.external_key = v.external_key AND (a.organization_id = :3) IS TRUE{every}",
        );
        let query = query.column(Cells::Blobs(keys.iter().map(|key| key.as_bytes().to_vec()).collect()));
        let query = query.shared(self.directory).shared(kind.code()).shared(self.identities.organization);
        self.identities.tx.bulk_rows(query, |mut row| Ok((row.take()?, row.take()?))).await
    }

    /// The user or group that has the account with this external id.
    pub async fn owner_of(&mut self, kind: AccountKind, key: &ExternalKey) -> Result<Option<Uuid>> {
        let query = sql("SELECT identity FROM accounts WHERE organization_id = $1 AND target = $2 AND kind = $3 \
             AND external_key = $4")
        .bind(self.identities.organization)
        .bind(self.directory)
        .bind(kind.code())
        .bind(key.as_bytes());
        Ok(self.identities.tx.row(query, |mut row| row.take::<Option<Uuid>>()).await?.flatten())
    }

    /// Links an account to a user or group that gets nothing from it.
    pub async fn make_outbound(&mut self, kind: AccountKind, key: &ExternalKey, identity: Uuid) -> Result<bool> {
        let update = sql("UPDATE accounts SET outbound = TRUE, identity = $1, conflict = NULL \
             WHERE organization_id = $2 AND target = $3 AND kind = $4 AND external_key = $5")
        .bind(identity)
        .bind(self.identities.organization)
        .bind(self.directory)
        .bind(kind.code())
        .bind(key.as_bytes());
        Ok(self.identities.tx.execute(update).await? > 0)
    }

    /// Records the values that both ends have now.
    pub async fn agree(&mut self, kind: AccountKind, key: &ExternalKey, agreed: &Value) -> Result<()> {
        let update = sql("UPDATE accounts SET agreed = $1 \
             WHERE organization_id = $2 AND target = $3 AND kind = $4 AND external_key = $5")
        .bind(agreed)
        .bind(self.identities.organization)
        .bind(self.directory)
        .bind(kind.code())
        .bind(key.as_bytes());
        self.identities.tx.execute(update).await.map(|_| ())
    }

    /// Records that provisioning has disabled an account. An import that finds it enabled forgets it.
    pub async fn note_disabled(&mut self, kind: AccountKind, key: &ExternalKey) -> Result<()> {
        let update = sql("UPDATE accounts SET disabled_here = TRUE \
             WHERE organization_id = $1 AND target = $2 AND kind = $3 AND external_key = $4")
        .bind(self.identities.organization)
        .bind(self.directory)
        .bind(kind.code())
        .bind(key.as_bytes());
        self.identities.tx.execute(update).await.map(|_| ())
    }

    /// Records that a group got these members in its target, by the names that the target knows, and lost those.
    pub async fn change_outbound_members(
        &mut self,
        group: &ExternalKey,
        add: Vec<String>,
        remove: Vec<String>,
    ) -> Result<()> {
        let query = sql("SELECT id FROM accounts WHERE organization_id = $1 AND target = $2 AND kind = 2 \
             AND external_key = $3");
        let query = query.bind(self.identities.organization).bind(self.directory).bind(group.as_bytes());
        let Some(account) = self.identities.tx.row(query, |mut row| row.take::<AccountId>()).await? else {
            return Ok(());
        };
        let delete = Bulk::new("DELETE FROM outbound_members WHERE name {in} AND (account_id = :1) IS TRUE");
        self.identities.tx.bulk(delete.column(Cells::Texts(remove)).shared(account)).await?;
        let insert = Bulk::new(
            "WITH v(name) AS ({rows}) INSERT INTO outbound_members (account_id, name) \
             SELECT :1, v.name FROM v WHERE TRUE ON CONFLICT (account_id, name) DO UPDATE SET sure = TRUE",
        );
        self.identities.tx.bulk(insert.column(Cells::Texts(add)).shared(account)).await.map(|_| ())
    }

    /// Records that a member of groups has another name now, and returns the groups. Some servers change the groups with it,
    /// others do not: until a group is compared, it may have either name.
    pub async fn rename_outbound_member(&mut self, before: &str, now: &str) -> Result<Vec<GroupId>> {
        let insert = sql("INSERT INTO outbound_members (account_id, name, sure) SELECT m.account_id, $1, FALSE \
             FROM outbound_members m JOIN accounts a ON a.id = m.account_id AND a.target = $3 AND a.organization_id = $4 \
             WHERE m.name = $2 ON CONFLICT (account_id, name) DO NOTHING")
        .bind(now)
        .bind(before)
        .bind(self.directory)
        .bind(self.identities.organization);
        self.identities.tx.execute(insert).await?;
        let groups = sql("SELECT a.identity FROM outbound_members m JOIN accounts a ON a.id = m.account_id \
             AND a.target = $2 AND a.organization_id = $3 WHERE m.name = $1 AND a.identity IS NOT NULL")
        .bind(now)
        .bind(self.directory)
        .bind(self.identities.organization);
        self.identities.tx.rows(groups, |mut row| row.take()).await
    }

    /// Records the members that these outbound groups have in their target; only differences are written.
    pub async fn replace_outbound_members(&mut self, groups: Vec<(AccountId, Vec<String>)>) -> Result<()> {
        for (account, names) in groups {
            let query = sql("SELECT name, sure FROM outbound_members WHERE account_id = $1").bind(account);
            let known: BTreeMap<String, bool> =
                self.identities.tx.rows(query, |mut row| Ok((row.take()?, row.take()?))).await?.into_iter().collect();
            let names: BTreeSet<String> = names.into_iter().collect();
            let delete = Bulk::new("DELETE FROM outbound_members WHERE name {in} AND (account_id = :1) IS TRUE")
                .column(Cells::Texts(known.keys().filter(|name| !names.contains(*name)).cloned().collect()))
                .shared(account);
            self.identities.tx.bulk(delete).await?;
            let insert = Bulk::new(
                "WITH v(name) AS ({rows}) INSERT INTO outbound_members (account_id, name) \
                 SELECT :1, v.name FROM v WHERE TRUE ON CONFLICT (account_id, name) DO UPDATE SET sure = TRUE",
            )
            .column(Cells::Texts(names.into_iter().filter(|name| known.get(name) != Some(&true)).collect()))
            .shared(account);
            self.identities.tx.bulk(insert).await?;
        }
        Ok(())
    }

    /// Deletes an account whose entry is gone because provisioning has deleted it.
    pub async fn delete_account(&mut self, account: AccountId) -> Result<()> {
        for delete in [
            "DELETE FROM shared_ids WHERE account_id = $1",
            "DELETE FROM ignored_accounts WHERE account_id = $1",
            "DELETE FROM account_matches WHERE account_id = $1",
            "DELETE FROM outbound_members WHERE account_id = $1",
        ] {
            self.identities.tx.execute(sql(delete).bind(account)).await?;
        }
        let delete = sql("DELETE FROM accounts WHERE id = $1 AND organization_id = $2 AND target = $3")
            .bind(account)
            .bind(self.identities.organization)
            .bind(self.directory);
        self.identities.tx.execute(delete).await.map(|_| ())
    }
}

/// A member that the organization has added to a group, with its account in a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAccount {
    /// The user or group.
    pub identity: IdentityId,
    /// The external id of the account.
    pub external_key: ExternalKey,
    /// Its DN.
    pub dn: String,
    /// The value of its unique attribute.
    pub unique_value: Option<String>,
    /// Whether it is the account of a user who should have none any more.
    pub left: bool,
}

fn read_member(mut row: Row) -> Result<MemberAccount> {
    let (kind, id) = (row.take()?, row.take()?);
    let external_key = ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?;
    let identity = IdentityId::from_code(kind, id)?;
    Ok(MemberAccount { identity, external_key, dn: row.take()?, unique_value: row.take()?, left: row.take()? })
}

impl Store {
    /// The present accounts in a target of the members that the organization has added to a group, up to `limit`.
    pub async fn own_members_in(
        &self,
        organization: OrganizationId,
        target: TargetId,
        group: IdentityId,
        limit: u32,
    ) -> Result<Vec<MemberAccount>> {
        let query = sql("SELECT a.kind, a.identity, a.external_key, a.dn, a.unique_value, a.left_at IS NOT NULL \
             FROM own_members o JOIN accounts a ON a.identity = o.member_id AND a.target = (SELECT seq FROM targets WHERE id = $3) \
             AND a.missing_since IS NULL WHERE o.organization_id = $1 AND o.group_id = $2 ORDER BY o.member_id LIMIT $4")
        .bind(organization)
        .bind(group.as_uuid())
        .bind(target)
        .bind(limit);
        self.database.rows(query, read_member).await
    }

    /// The present accounts of users and groups in a target.
    pub async fn member_accounts(
        &self,
        organization: OrganizationId,
        target: TargetId,
        identities: &[Uuid],
    ) -> Result<Vec<MemberAccount>> {
        let query = Bulk::new(
            "SELECT kind, identity, external_key, dn, unique_value, left_at IS NOT NULL FROM accounts WHERE identity {in} \
             AND missing_since IS NULL AND (organization_id = :1) IS TRUE \
             AND (target = (SELECT seq FROM targets WHERE id = :2)) IS TRUE",
        )
        .column(Cells::Uuids(identities.to_vec()));
        self.database.bulk_rows(query.shared(organization).shared(target), read_member).await
    }

    /// The external ids and DNs of the present accounts in a target that groups name so, by these names. A name that several
    /// accounts have says nothing.
    pub async fn accounts_named(
        &self,
        organization: OrganizationId,
        target: TargetId,
        names: &[String],
    ) -> Result<HashMap<String, (ExternalKey, String)>> {
        let hashes: HashMap<[u8; 16], &String> = names.iter().map(|name| (name_hash(name), name)).collect();
        let query = Bulk::new(
            "WITH v(hash) AS ({rows}) SELECT v.hash, a.external_key, a.dn FROM v {each}accounts a{where}\
             a.target = (SELECT seq FROM targets WHERE id = :1) AND a.member_hash = v.hash AND a.identity IS NOT NULL \
             AND (a.organization_id = :2) IS TRUE AND a.missing_since IS NULL{every}",
        );
        let query = query.column(Cells::Blobs(hashes.keys().map(|hash| hash.to_vec()).collect()));
        let read = |mut row: Row| {
            let (hash, key): ([u8; 16], Vec<u8>) = (row.take()?, row.take()?);
            Ok((hash, ExternalKey::from_bytes(&key)?, row.take::<String>()?))
        };
        let mut found: HashMap<String, Option<(ExternalKey, String)>> = HashMap::new();
        for (hash, key, dn) in self.database.bulk_rows(query.shared(target).shared(organization), read).await? {
            if let Some(name) = hashes.get(&hash) {
                found.entry((*name).clone()).and_modify(|several| *several = None).or_insert(Some((key, dn)));
            }
        }
        Ok(found.into_iter().filter_map(|(name, account)| Some((name, account?))).collect())
    }

    /// The external ids of other users' accounts in a target that have one of these logins. It reads all accounts of the
    /// target: for what is seldom asked.
    pub async fn accounts_with_logins(
        &self,
        organization: OrganizationId,
        target: TargetId,
        logins: &[String],
        except: IdentityId,
    ) -> Result<Vec<String>> {
        let query = Bulk::new(
            "SELECT external_key FROM accounts WHERE unique_value {in} AND kind = 1 AND identity IS NOT NULL AND identity <> :1 \
             AND organization_id = :2 AND target = (SELECT seq FROM targets WHERE id = :3)",
        );
        let query = query.column(Cells::Texts(logins.to_vec()));
        let query = query.shared(except.as_uuid()).shared(organization).shared(target);
        let read = |mut row: Row| Ok(ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?.to_text());
        self.database.bulk_rows(query, read).await
    }

    /// The groups that the organization has made members of a group, up to `limit`.
    pub async fn own_groups_in(
        &self,
        organization: OrganizationId,
        group: GroupId,
        limit: u32,
    ) -> Result<Vec<GroupId>> {
        let query = sql("SELECT member_id FROM own_members WHERE kind = 2 AND group_id = $1 AND organization_id = $2 \
             ORDER BY member_id LIMIT $3");
        self.database.rows(query.bind(group).bind(organization).bind(limit), |mut row| row.take()).await
    }

    /// The names of the members that an outbound group has in its target, and whether it surely has each.
    pub async fn outbound_members(&self, account: AccountId) -> Result<HashMap<String, bool>> {
        let query = sql("SELECT name, sure FROM outbound_members WHERE account_id = $1").bind(account);
        let read = |mut row: Row| Ok((row.take()?, row.take()?));
        Ok(self.database.rows(query, read).await?.into_iter().collect())
    }

    /// The last entry of the audit log about an object: when, what, and who.
    pub async fn last_change_of(
        &self,
        organization: OrganizationId,
        object: Uuid,
    ) -> Result<Option<(Timestamp, String, String)>> {
        // The number first: to put the entries in their order, SQLite would read the whole log from its end.
        let query = sql("SELECT at, action, actor_name FROM audit WHERE organization_id = $1 AND seq = \
             (SELECT max(seq) FROM audit WHERE organization_id = $1 AND object_id = $2)");
        let read = |mut row: Row| Ok((row.take()?, row.take()?, row.take()?));
        self.database.row(query.bind(organization).bind(object), read).await
    }
}
