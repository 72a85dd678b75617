//! What is known of some users and groups before they become members of a group, or cease to be.

use std::collections::HashSet;

use uuid::Uuid;

use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::identities::Identities;
use crate::ids::{GroupId, UserId};
use crate::keys::bounded;
use crate::member_names::name_hash;
use crate::records::IdentityId;
use crate::sql::sql;
use crate::twins::other_of_the_name;

/// Users and groups of the organization, and how they are members of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownMembers {
    /// Those that exist.
    pub identities: Vec<IdentityId>,
    /// Members that the organization has added.
    pub own: HashSet<Uuid>,
    /// Members that a directory names.
    pub named: HashSet<Uuid>,
    /// Those of them that the directory has only because the organization has added them.
    pub sent: HashSet<Uuid>,
}

impl Identities {
    /// What is known of these users and groups as members of a group.
    pub async fn known_members(&mut self, group: GroupId, ids: &[Uuid]) -> Result<KnownMembers> {
        let cells = || Cells::Uuids(ids.to_vec());
        let query = Bulk::new(
            "SELECT id FROM users WHERE id {in} \
             AND (organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        let query = query.column(cells()).shared(self.organization);
        let users: Vec<UserId> = self.tx.bulk_rows(query, |mut row| row.take()).await?;
        let query = Bulk::new("SELECT id FROM groups WHERE id {in} AND (organization_id = :1) IS TRUE");
        let query = query.column(cells()).shared(self.organization);
        let groups: Vec<GroupId> = self.tx.bulk_rows(query, |mut row| row.take()).await?;
        let query = Bulk::new(
            "SELECT member_id FROM own_members WHERE member_id {in} AND (group_id = :1) IS TRUE \
             AND (organization_id = :2) IS TRUE",
        );
        let query = query.column(cells()).shared(group).shared(self.organization);
        let own: Vec<Uuid> = self.tx.bulk_rows(query, |mut row| row.take()).await?;
        let query = Bulk::new(concat!(
            "SELECT a.identity, m.name_hash FROM accounts a JOIN member_names m ON m.target = a.target \
             AND m.name_hash = a.member_hash AND m.group_id = :1 WHERE a.identity {in} AND (a.organization_id = :2) IS TRUE \
             AND NOT EXISTS (",
            other_of_the_name!(),
            ")"
        ));
        let query = query.column(cells()).shared(group).shared(self.organization);
        let named: Vec<(Uuid, [u8; 16])> = self.tx.bulk_rows(query, |mut row| Ok((row.take()?, row.take()?))).await?;
        let sent = self.sent_members(group).await?;
        let sent = named.iter().filter(|(_, name)| sent.contains(name)).map(|(id, _)| *id).collect();
        let users = users.into_iter().map(IdentityId::User);
        let identities = users.chain(groups.into_iter().map(IdentityId::Group)).collect();
        let named = named.into_iter().map(|(id, _)| id).collect();
        Ok(KnownMembers { identities, own: own.into_iter().collect(), named, sent })
    }

    /// The names of the members that provisioning has added to a group of a directory.
    async fn sent_members(&mut self, group: GroupId) -> Result<HashSet<[u8; 16]>> {
        let query = sql("SELECT m.name FROM accounts a JOIN outbound_members m ON m.account_id = a.id \
             WHERE a.identity = $1 AND a.organization_id = $2 AND NOT a.outbound");
        let names: Vec<String> = self.tx.rows(query.bind(group).bind(self.organization), |mut row| row.take()).await?;
        Ok(names.into_iter().map(|name| name_hash(&bounded(name.into()))).collect())
    }
}
