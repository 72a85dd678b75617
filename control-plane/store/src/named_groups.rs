//! Groups that users name themselves (`memberOf`): each membership comes and goes with the entry of its user, and costs one
//! row, however large the group is.

use std::collections::HashMap;

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{AccountId, DirectoryId, GroupId, OrganizationId};
use crate::imports::Intake;
use crate::member_names::{account_name, name_hash};
use crate::records::{AccountKind, ExternalKey, MemberForm};
use crate::sql::{Row, named, sql};

/// The account of a group that users name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedGroup {
    /// The account.
    pub account: AccountId,
    /// Its group.
    pub group: GroupId,
    /// Whether the account is missing.
    pub missing: bool,
}

/// A membership that users name: a group, and the user's account by its external id.
pub type NamedMember = (GroupId, ExternalKey);

/// The groups that each of some accounts names, by account and group.
const NAMED_BY: &str = "WITH v(id) AS ({rows}) SELECT a.id, g.identity, g.external_key FROM v CROSS JOIN accounts a \
     CROSS JOIN member_names m CROSS JOIN accounts g WHERE a.id = v.id AND (a.target = :1) IS TRUE \
     AND m.target = a.target AND m.name_hash = a.member_hash AND g.identity = m.group_id AND (g.target = :1) IS TRUE \
     AND g.kind = 2";

/// A group that an account names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// The account of the user.
    pub account: AccountId,
    /// The group.
    pub group: GroupId,
    /// The key of the group.
    pub key: ExternalKey,
}

fn read(mut row: Row) -> Result<Naming> {
    let (account, group) = (row.take()?, row.take()?);
    Ok(Naming { account, group, key: ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)? })
}

/// Groups that were entries when the directory was read by entries are not named by users.
fn of_users(found: Vec<Naming>) -> Vec<Naming> {
    found.into_iter().filter(|naming| naming.key.is_named_group()).collect()
}

impl Store {
    /// How the groups of a directory name their members. `None`: there is no such directory.
    pub async fn member_form(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
    ) -> Result<Option<MemberForm>> {
        let query = sql("SELECT member_form FROM directories WHERE organization_id = $1 AND id = $2");
        self.database.row(query.bind(organization).bind(directory), |mut row| named(&mut row)).await
    }

    /// The groups that these accounts of a directory name, as last committed.
    pub async fn groups_named_by(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        accounts: &[AccountId],
    ) -> Result<Vec<Naming>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(Vec::new()) };
        let query = Bulk::new(NAMED_BY).column(crate::imports::ids(accounts)).shared(seq);
        Ok(of_users(self.database.bulk_rows(query, read).await?))
    }
}

impl Intake {
    /// The groups that these accounts name.
    pub async fn groups_named_by(&mut self, accounts: &[AccountId]) -> Result<Vec<Naming>> {
        let query = Bulk::new(NAMED_BY).column(crate::imports::ids(accounts)).shared(self.directory);
        Ok(of_users(self.identities.tx.bulk_rows(query, read).await?))
    }

    /// The groups with these keys that the directory has, missing ones too.
    pub async fn named_groups(&mut self, keys: &[ExternalKey]) -> Result<HashMap<ExternalKey, NamedGroup>> {
        let query = Bulk::new(
            "WITH v(external_key) AS ({rows}) SELECT a.external_key, a.id, a.identity, a.missing_since IS NOT NULL FROM v \
             {each}accounts a{where}a.target = :1 AND a.kind = 2 AND a.external_key = v.external_key \
             AND a.identity IS NOT NULL{end}",
        );
        let cells = Cells::Blobs(keys.iter().map(|key| key.as_bytes().to_vec()).collect());
        let found = self.identities.tx.bulk_rows(query.column(cells).shared(self.directory), |mut row| {
            let key = ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?;
            Ok((key, NamedGroup { account: row.take()?, group: row.take()?, missing: row.take()? }))
        });
        Ok(found.await?.into_iter().collect())
    }

    /// Adds users to groups that they name, and removes them from groups that they name no longer. Nothing else of the
    /// groups is read.
    pub async fn change_named_members(&mut self, joined: &[NamedMember], left: &[NamedMember]) -> Result<()> {
        let delete = Bulk::new(
            "WITH v(group_id, first_name) AS ({rows}) DELETE FROM group_members \
             WHERE (group_id, first_name) IN (SELECT v.group_id, v.first_name FROM v) AND (target = :1) IS TRUE",
        );
        let (groups, names, hashes, _) = columns(left)?;
        let delete = delete.column(groups.clone()).column(names).shared(self.directory);
        self.identities.tx.bulk(delete).await?;
        let delete = Bulk::new(
            "WITH v(name_hash, group_id) AS ({rows}) DELETE FROM member_names WHERE target = :1 \
             AND (name_hash, group_id) IN (SELECT v.name_hash, v.group_id FROM v)",
        );
        self.identities.tx.bulk(delete.column(hashes).column(groups).shared(self.directory)).await?;
        let insert = Bulk::new(
            "WITH v(group_id, first_name, names) AS ({rows}) \
             INSERT INTO group_members (organization_id, target, group_id, first_name, names) \
             SELECT :1, :2, v.group_id, v.first_name, v.names FROM v WHERE TRUE ON CONFLICT DO NOTHING",
        );
        let (groups, names, hashes, rows) = columns(joined)?;
        let insert = insert.column(groups.clone()).column(names).column(rows);
        self.identities.tx.bulk(insert.shared(self.identities.organization).shared(self.directory)).await?;
        let insert = Bulk::new(
            "WITH v(name_hash, group_id) AS ({rows}) \
             INSERT INTO member_names (organization_id, target, name_hash, group_id) \
             SELECT :1, :2, v.name_hash, v.group_id FROM v WHERE TRUE ON CONFLICT DO NOTHING",
        );
        let insert = insert.column(hashes).column(groups);
        self.identities.tx.bulk(insert.shared(self.identities.organization).shared(self.directory)).await?;
        self.identities.touch_groups(joined.iter().chain(left).map(|(group, _)| *group)).await
    }
}

/// The groups, the names of the members, their hashes, and their rows.
fn columns(members: &[NamedMember]) -> Result<(Cells, Cells, Cells, Cells)> {
    let mut sorted: Vec<(Uuid, String)> =
        members.iter().map(|(group, key)| (group.as_uuid(), account_name(AccountKind::User, key))).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let hashes = sorted.iter().map(|(_, name)| name_hash(name).to_vec()).collect();
    let row = |(_, name): &(Uuid, String)| serde_json::to_string(&[name]);
    let rows: std::result::Result<Vec<String>, _> = sorted.iter().map(row).collect();
    let rows = rows.map_err(|error| Error::corrupt(error.to_string()))?;
    let (groups, names) = sorted.into_iter().unzip();
    Ok((Cells::Uuids(groups), Cells::Texts(names), Cells::Blobs(hashes), Cells::Texts(rows)))
}
