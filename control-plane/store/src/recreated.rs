//! Groups that were deleted and created again between two imports: the new entry gets the group of the old one.

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{AccountId, DirectoryId, GroupId, JobId, OrganizationId};
use crate::imports::Intake;
use crate::sql::{Row, sql};

/// A new group's account, whose name another group of the directory had when it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsettledGroup {
    /// The account.
    pub account: AccountId,
    /// Its group.
    pub group: GroupId,
    /// Its DN.
    pub dn: String,
    /// The group's folded name.
    pub name_key: String,
}

/// A group that passes from a missing account to a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSuccession {
    /// The new account.
    pub account: AccountId,
    /// The group that it came with, which is deleted.
    pub from: GroupId,
    /// The group that it gets.
    pub to: GroupId,
}

fn read(mut row: Row) -> Result<UnsettledGroup> {
    Ok(UnsettledGroup { account: row.take()?, group: row.take()?, dn: row.take()?, name_key: row.take()? })
}

impl Store {
    /// Accounts of new groups that are not settled: up to `limit` after this account.
    pub async fn unsettled_groups(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        after: AccountId,
        limit: u32,
    ) -> Result<Vec<UnsettledGroup>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(Vec::new()) };
        let query = sql("SELECT id, identity, dn, conflict FROM accounts WHERE target = $1 AND kind = 2 \
             AND conflict IS NOT NULL AND missing_since IS NULL AND identity IS NOT NULL AND id > $2 \
             ORDER BY id LIMIT $3");
        self.database.rows(query.bind(seq).bind(after).bind(limit), read).await
    }
}

impl Intake {
    /// Those of these folded names that groups of this directory have.
    pub async fn group_names_here(&mut self, names: Vec<String>) -> Result<Vec<String>> {
        let query = Bulk::new(
            "WITH v(name) AS ({rows}) SELECT v.name FROM v WHERE EXISTS (SELECT 1 FROM groups g \
             JOIN accounts a ON a.identity = g.id WHERE g.organization_id = :1 AND g.display_key = v.name \
             AND (a.target = :2) IS TRUE)",
        );
        let query = query.column(Cells::Texts(names)).shared(self.identities.organization).shared(self.directory);
        self.identities.tx.bulk_rows(query, |mut row| row.take()).await
    }

    /// Groups with these folded names whose accounts this import has marked missing, with those accounts.
    pub async fn groups_that_left(&mut self, job: JobId, names: Vec<String>) -> Result<Vec<UnsettledGroup>> {
        let query = Bulk::new(
            "WITH v(name) AS ({rows}) SELECT a.id, g.id, a.dn, g.display_key FROM v \
             JOIN groups g ON g.organization_id = :1 AND g.display_key = v.name JOIN accounts a ON a.identity = g.id \
             WHERE (a.target = :2) IS TRUE AND (a.missing_job = :3) IS TRUE",
        );
        let query =
            query.column(Cells::Texts(names)).shared(self.identities.organization).shared(self.directory).shared(job);
        self.identities.tx.bulk_rows(query, read).await
    }

    /// Settles new groups. Those in `successions` get the groups of missing accounts, with their own names and members;
    /// the others stay unchanged.
    pub async fn settle_groups(&mut self, settled: &[AccountId], successions: &[GroupSuccession]) -> Result<()> {
        let ids = |groups: fn(&GroupSuccession) -> GroupId| -> Vec<Uuid> {
            successions.iter().map(|succession| groups(succession).as_uuid()).collect()
        };
        let (from, to) = (ids(|succession| succession.from), ids(|succession| succession.to));
        let known = successions.iter().map(|succession| (succession.from, Vec::new())).collect::<Vec<_>>();
        let mut members = self.rows_of(&known).await?;
        let moved = successions
            .iter()
            .map(|succession| (succession.to, members.remove(&succession.from).unwrap_or_default().concat()));
        let moved: Vec<(GroupId, Vec<String>)> = moved.collect();
        self.replace_members(known).await?;
        let heirs: Vec<_> = successions.iter().map(|succession| (succession.from, succession.to)).collect();
        self.identities.pass_members_on(&heirs).await?;
        self.replace_members(moved).await?;
        let update = Bulk::new(
            "WITH v(newer, older) AS ({rows}) {update} groups SET display_key = n.display_key, \
             display_name = n.display_name, description = n.description, missing_since = NULL, updated_at = :2 \
             FROM v JOIN groups n ON n.id = v.newer WHERE groups.id = v.older AND (groups.organization_id = :1) IS TRUE",
        );
        let update = update.column(Cells::Uuids(from.clone())).column(Cells::Uuids(to.clone()));
        self.identities.tx.bulk(update.shared(self.identities.organization).shared(self.identities.now)).await?;
        self.take_over_groups(&to).await?;
        let links: Vec<(AccountId, Uuid)> =
            successions.iter().map(|succession| (succession.account, succession.to.as_uuid())).collect();
        self.identities.link_accounts(&links).await?;
        let delete = Bulk::new("DELETE FROM groups WHERE id {in} AND (organization_id = :1) IS TRUE");
        self.identities.tx.bulk(delete.column(Cells::Uuids(from)).shared(self.identities.organization)).await?;
        let update = Bulk::new(
            "{update} accounts SET conflict = NULL WHERE id {in} AND (organization_id = :1) IS TRUE \
             AND (target = :2) IS TRUE AND kind = 2",
        );
        let update =
            update.column(crate::imports::ids(settled)).shared(self.identities.organization).shared(self.directory);
        self.identities.tx.bulk(update).await.map(|_| ())
    }

    async fn take_over_groups(&mut self, groups: &[Uuid]) -> Result<()> {
        let update = Bulk::new(
            "{update} accounts SET former_user = NULL, identity = NULL WHERE identity {in} \
             AND (organization_id = :1) IS TRUE AND (target = :2) IS TRUE AND missing_since IS NOT NULL",
        );
        let update = update.column(Cells::Uuids(groups.to_vec()));
        self.identities.tx.bulk(update.shared(self.identities.organization).shared(self.directory)).await.map(|_| ())
    }
}
