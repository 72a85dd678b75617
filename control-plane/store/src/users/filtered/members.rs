//! The users who are direct members of a group.

use uuid::Uuid;

use super::one_more;
use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{GroupId, OrganizationId, UserId};
use crate::member_rows::FEWEST_NAMES;
use crate::records::{AccountKind, MemberIdentity};
use crate::sql::sql;
use crate::twins::other_of_the_name;

impl Store {
    /// The users of a group, if it has at most this many members.
    pub(super) async fn few_members(
        &self,
        organization: OrganizationId,
        group: GroupId,
        most: usize,
    ) -> Result<Option<Vec<Uuid>>> {
        let query = sql(
            "SELECT member_id FROM own_members WHERE organization_id = $1 AND group_id = $2 AND kind = $3 LIMIT $4",
        );
        let query = query.bind(organization).bind(group).bind(AccountKind::User.code()).bind(one_more(most));
        let mut members: Vec<Uuid> = self.database.rows(query, |mut row| row.take()).await?;
        let Some(named) = self.few_named(organization, group, most).await? else { return Ok(None) };
        members.extend(named);
        members.sort_unstable();
        members.dedup();
        Ok(Some(members).filter(|members| members.len() <= most))
    }

    /// The users of a group that its directory names, if it names at most this many members.
    async fn few_named(&self, organization: OrganizationId, group: GroupId, most: usize) -> Result<Option<Vec<Uuid>>> {
        let few = most / FEWEST_NAMES + 2;
        let mut rows = self.rows_of_names(organization, group, "", one_more(few)).await?;
        if rows.len() > few && rows.iter().all(|(_, names)| names.len() == 1) {
            // Users name this group: each member has a row of its own.
            rows = self.rows_of_names(organization, group, "", one_more(most)).await?;
        }
        let Some((target, _)) = rows.first() else { return Ok(Some(Vec::new())) };
        let (target, names): (i64, Vec<String>) = (*target, rows.into_iter().flat_map(|(_, names)| names).collect());
        if names.len() > most {
            return Ok(None);
        }
        let members = self.identities(organization, target, &names).await?.into_values();
        let user = |member| match member {
            MemberIdentity::User { id, .. } => Some(id.as_uuid()),
            MemberIdentity::Group { .. } => None,
        };
        Ok(Some(members.filter_map(user).collect()))
    }

    /// Those of these users who are members of a group.
    pub(super) async fn members_among(
        &self,
        organization: OrganizationId,
        group: GroupId,
        users: &[UserId],
    ) -> Result<Vec<UserId>> {
        let cells = Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect());
        let named = Bulk::new(concat!(
            "WITH v(id) AS ({rows}) SELECT a.identity FROM v CROSS JOIN accounts a CROSS JOIN member_names m \
             WHERE a.identity = v.id AND (a.organization_id = :1) IS TRUE AND m.target = a.target \
             AND m.name_hash = a.member_hash AND m.group_id = :2 AND NOT EXISTS (",
            other_of_the_name!(),
            ")"
        ));
        let named = named.column(cells.clone()).shared(organization).shared(group);
        let mut found: Vec<UserId> = self.database.bulk_rows(named, |mut row| row.take()).await?;
        let own = Bulk::new(
            "WITH v(id) AS ({rows}) SELECT a.member_id FROM v {each}own_members a{where}a.group_id = :2 \
             AND a.member_id = v.id AND (a.organization_id = :1) IS TRUE{end}",
        );
        let own = own.column(cells).shared(organization).shared(group);
        found.extend(self.database.bulk_rows(own, |mut row| row.take::<UserId>()).await?);
        Ok(found)
    }
}
