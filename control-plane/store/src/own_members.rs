//! Members of groups that the organization has added: stored by the id of their user or group, in a table of their own,
//! so that imports neither remove nor read them.

use std::collections::HashSet;

use uuid::Uuid;

use crate::Store;
use crate::backend::Backend;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::identities::Identities;
use crate::ids::{GroupId, OrganizationId, UserId};
use crate::records::{IdentityId, Member, MemberIdentity};
use crate::sql::{Row, sql};

/// The organization's own members `o` of a group: `$1` the organization, `$2` the group. Without those that an import
/// names as well.
macro_rules! from_own_members {
    () => {
        concat!(
            "own_members o WHERE o.organization_id = $1 AND o.group_id = $2 \
             AND (NOT EXISTS (SELECT 1 FROM group_members n WHERE n.group_id = $2) OR NOT EXISTS (SELECT 1 FROM accounts a \
             JOIN member_names m ON m.target = a.target AND m.name_hash = a.member_hash AND m.group_id = o.group_id \
             WHERE a.identity = o.member_id AND NOT EXISTS (",
            $crate::twins::other_of_the_name!(),
            ")))"
        )
    };
}

/// Counts own members; `$3` is the most to count.
pub(crate) const COUNT: &str =
    concat!("SELECT count(*), count(*) FROM (SELECT 1 FROM ", from_own_members!(), " LIMIT $3) found");

fn read(mut row: Row) -> Result<Member> {
    let (id, kind): (Uuid, i64) = (row.take()?, row.take()?);
    let (user_name, display_name, group_name): (Option<String>, Option<String>, Option<String>) =
        (row.take()?, row.take()?, row.take()?);
    let identity = match IdentityId::from_code(kind, id)? {
        IdentityId::User(id) => user_name.map(|user_name| MemberIdentity::User { id, user_name, display_name }),
        IdentityId::Group(id) => group_name.map(|display_name| MemberIdentity::Group { id, display_name }),
    };
    Ok(Member { key: None, identity })
}

impl Store {
    /// The groups among these that the organization has added members to.
    pub async fn groups_with_own_members(
        &self,
        organization: OrganizationId,
        groups: &[GroupId],
    ) -> Result<HashSet<GroupId>> {
        // One member of each is enough. PostgreSQL would read the whole table to test that there is one.
        let query = Bulk::new(match self.backend() {
            Backend::Sqlite => {
                "WITH v(id) AS ({rows}) SELECT v.id FROM v WHERE EXISTS (SELECT 1 FROM own_members o \
                 WHERE o.group_id = v.id AND (o.organization_id = :1) IS TRUE)"
            }
            Backend::Postgres => {
                "WITH v(id) AS ({rows}) SELECT v.id FROM v {each}own_members a{where}a.group_id = v.id \
                 AND (a.organization_id = :1) IS TRUE{end}"
            }
        });
        let ids = Cells::Uuids(groups.iter().map(|group| group.as_uuid()).collect());
        let found = self.database.bulk_rows(query.column(ids).shared(organization), |mut row| row.take()).await?;
        Ok(found.into_iter().collect())
    }

    /// Own members of a group, ordered by id, after this one.
    pub(crate) async fn own_members(
        &self,
        organization: OrganizationId,
        group: GroupId,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Member>> {
        // Not joins: without statistics, PostgreSQL would read all users for each member.
        let query = sql(concat!(
            "SELECT o.member_id, o.kind, (SELECT user_name FROM users WHERE id = o.member_id), \
             (SELECT display_name FROM users WHERE id = o.member_id), \
             (SELECT display_name FROM groups WHERE id = o.member_id) FROM (SELECT o.member_id, o.kind FROM ",
            from_own_members!(),
            " AND o.member_id > $3 ORDER BY o.member_id LIMIT $4) o ORDER BY o.member_id"
        ));
        self.database.rows(query.bind(organization).bind(group).bind(after).bind(limit), read).await
    }
}

impl Identities {
    /// Adds users and groups of the organization to its groups. Returns how many were not members before.
    /// [`Error::NotFound`]: one of them does not exist; then nothing is written.
    pub async fn add_members(&mut self, members: &[(GroupId, IdentityId)]) -> Result<u64> {
        let groups = members.iter().map(|(group, _)| IdentityId::Group(*group));
        self.require(groups.chain(members.iter().map(|(_, member)| *member)).collect()).await?;
        let insert = Bulk::new(
            "WITH v(group_id, member_id, kind) AS ({rows}) \
             INSERT INTO own_members (organization_id, group_id, member_id, kind, added_at) \
             SELECT :1, v.group_id, v.member_id, v.kind, :2 FROM v WHERE TRUE ON CONFLICT DO NOTHING",
        );
        let kinds = Cells::Ints(members.iter().map(|(_, member)| member.code()).collect());
        let insert = pairs(insert, members).column(kinds).shared(self.organization).shared(self.now);
        let added = self.tx.bulk(insert).await?;
        self.changed_members(added, members).await
    }

    /// Removes members that the organization has added. Returns how many there were. Members that an import names stay.
    pub async fn remove_members(&mut self, members: &[(GroupId, IdentityId)]) -> Result<u64> {
        let delete = Bulk::new(
            "WITH v(group_id, member_id) AS ({rows}) DELETE FROM own_members \
             WHERE (group_id, member_id) IN (SELECT v.group_id, v.member_id FROM v) AND (organization_id = :1) IS TRUE",
        );
        let removed = self.tx.bulk(pairs(delete, members).shared(self.organization)).await?;
        self.changed_members(removed, members).await
    }

    /// Notes in the rows of the groups that their members have changed.
    async fn changed_members(&mut self, changed: u64, members: &[(GroupId, IdentityId)]) -> Result<u64> {
        if changed > 0 {
            self.touch_groups(members.iter().map(|(group, _)| *group)).await?;
        }
        Ok(changed)
    }

    /// Moves the own members and memberships of groups that end to others, by pairs of old and new.
    pub(crate) async fn pass_members_on(&mut self, groups: &[(GroupId, GroupId)]) -> Result<()> {
        let (from, to): (Vec<Uuid>, Vec<Uuid>) = groups.iter().map(|(from, to)| (from.as_uuid(), to.as_uuid())).unzip();
        for template in [
            "WITH v(gone, heir) AS ({rows}) \
             INSERT INTO own_members (organization_id, group_id, member_id, kind, added_at) \
             SELECT o.organization_id, v.heir, o.member_id, o.kind, o.added_at FROM v \
             JOIN own_members o ON o.group_id = v.gone WHERE o.organization_id = :1 AND o.member_id <> v.heir ON CONFLICT DO NOTHING",
            "WITH v(gone, heir) AS ({rows}) \
             INSERT INTO own_members (organization_id, group_id, member_id, kind, added_at) \
             SELECT o.organization_id, o.group_id, v.heir, o.kind, o.added_at FROM v \
             JOIN own_members o ON o.member_id = v.gone WHERE o.organization_id = :1 AND o.group_id <> v.heir ON CONFLICT DO NOTHING",
        ] {
            let insert = Bulk::new(template).column(Cells::Uuids(from.clone())).column(Cells::Uuids(to.clone()));
            self.tx.bulk(insert.shared(self.organization)).await?;
        }
        for template in [
            "DELETE FROM own_members WHERE group_id {in} AND (organization_id = :1) IS TRUE",
            "DELETE FROM own_members WHERE member_id {in} AND (organization_id = :1) IS TRUE",
        ] {
            let delete = Bulk::new(template).column(Cells::Uuids(from.clone()));
            self.tx.bulk(delete.shared(self.organization)).await?;
        }
        Ok(())
    }

    /// [`Error::NotFound`]: the organization does not have all of these users and groups.
    async fn require(&mut self, mut ids: Vec<IdentityId>) -> Result<()> {
        ids.sort_unstable();
        ids.dedup();
        let (users, groups): (Vec<IdentityId>, Vec<IdentityId>) =
            ids.into_iter().partition(|id| matches!(id, IdentityId::User(_)));
        let cells = |ids: &[IdentityId]| Cells::Uuids(ids.iter().map(|id| id.as_uuid()).collect());
        let query = Bulk::new(
            "SELECT id FROM users WHERE id {in} \
             AND (organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        let query = query.column(cells(&users)).shared(self.organization);
        let found: Vec<UserId> = self.tx.bulk_rows(query, |mut row| row.take()).await?;
        if found.len() < users.len() {
            return Err(Error::NotFound { what: "the user" });
        }
        let query = Bulk::new("SELECT id FROM groups WHERE id {in} AND (organization_id = :1) IS TRUE");
        let query = query.column(cells(&groups)).shared(self.organization);
        let found: Vec<GroupId> = self.tx.bulk_rows(query, |mut row| row.take()).await?;
        if found.len() < groups.len() {
            return Err(Error::NotFound { what: "the group" });
        }
        Ok(())
    }
}

fn pairs(bulk: Bulk, members: &[(GroupId, IdentityId)]) -> Bulk {
    let (groups, members) = members.iter().map(|(group, member)| (group.as_uuid(), member.as_uuid())).unzip();
    bulk.column(Cells::Uuids(groups)).column(Cells::Uuids(members))
}
