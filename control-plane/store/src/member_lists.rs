//! Reads of groups' members. A name means the account with that DN or unique value in its directory, a present one
//! before a missing one ([`crate::twins`]). It is looked up on each read.

use std::collections::HashMap;
use std::str::FromStr;

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::groups;
use crate::ids::{GroupId, OrganizationId, UserId};
use crate::member_names::{name_hash, read_names};
use crate::member_rows::FEWEST_NAMES;
use crate::records::{AccountKind, GroupRow, Member, MemberIdentity, Page, PageRequest};
use crate::sql::sql;
use crate::twins::{Candidate, Meaning, other_of_the_name};

/// Where a list of members continues: first the members that a directory names, by name, then the own ones, by id.
enum Cursor {
    Named(String),
    Own(Uuid),
}

impl Default for Cursor {
    fn default() -> Self {
        Self::Named(String::new())
    }
}

/// Where the list of a group's members continues after this one.
pub(crate) fn cursor_after(last: &Member) -> String {
    Cursor::text(last)
}

impl Cursor {
    fn text(last: &Member) -> String {
        match (&last.key, &last.identity) {
            (Some(name), _) => format!("n{name}"),
            (None, Some(MemberIdentity::User { id, .. })) => format!("o{id}"),
            (None, Some(MemberIdentity::Group { id, .. })) => format!("o{id}"),
            (None, None) => format!("o{}", Uuid::max()),
        }
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        match (text.strip_prefix('n'), text.strip_prefix('o')) {
            (Some(name), _) => Ok(Self::Named(name.to_owned())),
            (_, Some(id)) => id.parse().map(Self::Own).map_err(|_| ()),
            _ => Err(()),
        }
    }
}

impl Store {
    /// The members of a group: first those that its directory names, by name, then those that the organization has
    /// added. Every page costs the same.
    pub async fn list_group_members(
        &self,
        organization: OrganizationId,
        group: GroupId,
        page: &PageRequest,
    ) -> Result<Page<Member>> {
        let cursor: Cursor = page.cursor()?.unwrap_or_default();
        let (mut found, after) = match cursor {
            Cursor::Named(name) => (self.named_members(organization, group, &name, page.probe()).await?, Uuid::nil()),
            Cursor::Own(id) => (Vec::new(), id),
        };
        let wanted = page.probe() - i64::try_from(found.len()).unwrap_or(i64::MAX);
        if wanted > 0 {
            found.extend(self.own_members(organization, group, after, wanted).await?);
        }
        Ok(Page::cut(found, page, Cursor::text))
    }

    /// Up to `limit` members that a directory names, after this name.
    async fn named_members(
        &self,
        organization: OrganizationId,
        group: GroupId,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Member>> {
        let few = limit / i64::try_from(FEWEST_NAMES).unwrap_or(i64::MAX) + 2;
        let mut rows = self.rows_of_names(organization, group, after, few).await?;
        let names: usize = rows.iter().map(|(_, names)| names.len()).sum();
        if i64::try_from(rows.len()).is_ok_and(|count| count == few && few < limit) && names <= rows.len() {
            // Users name this group: each member has a row of its own.
            rows = self.rows_of_names(organization, group, after, limit + 1).await?;
        }
        let Some((directory, _)) = rows.first() else { return Ok(Vec::new()) };
        let directory = *directory;
        let names = rows.into_iter().flat_map(|(_, names)| names).filter(|name| name.as_str() > after);
        let names: Vec<String> = names.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
        let identities = self.identities(organization, directory, &names).await?;
        let member = |name: String| Member { identity: identities.get(&name_hash(&name)).cloned(), key: Some(name) };
        Ok(names.into_iter().map(member).collect())
    }

    /// Up to `limit` rows of a group's names, each with its directory, beginning with the row that this name is in.
    pub(crate) async fn rows_of_names(
        &self,
        organization: OrganizationId,
        group: GroupId,
        after: &str,
        limit: i64,
    ) -> Result<Vec<(i64, Vec<String>)>> {
        let query = sql("SELECT target, names FROM group_members WHERE organization_id = $1 AND group_id = $2 \
             AND first_name >= COALESCE((SELECT max(first_name) FROM group_members \
             WHERE group_id = $2 AND first_name <= $3), '') ORDER BY first_name LIMIT $4")
        .bind(organization)
        .bind(group)
        .bind(after)
        .bind(limit);
        self.database.rows(query, |mut row| Ok((row.take()?, read_names(&mut row)?))).await
    }

    /// The users and groups that these names mean in a directory.
    pub(crate) async fn identities(
        &self,
        organization: OrganizationId,
        directory: i64,
        names: &[String],
    ) -> Result<HashMap<[u8; 16], MemberIdentity>> {
        let hashes = Cells::Blobs(names.iter().map(|name| name_hash(name).to_vec()).collect());
        let (accounts, by_login) = self.accounts_of_names(directory, hashes).await?;
        let ids = |kind| {
            let of_kind = accounts.iter().filter(move |(found, _)| *found == kind);
            Cells::Uuids(of_kind.filter_map(|(_, account)| account.identity).collect())
        };
        let query = Bulk::new(
            "SELECT id, name_key, user_name, display_name FROM users WHERE id {in} \
             AND (organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        let users = self.database.bulk_rows(query.column(ids(AccountKind::User)).shared(organization), |mut row| {
            let (id, name_key): (Uuid, String) = (row.take()?, row.take()?);
            let (user_name, display_name) = (row.take()?, row.take()?);
            Ok((id, name_key, MemberIdentity::User { id: UserId::from_uuid(id), user_name, display_name }))
        });
        let (mut known, mut user_names) = (HashMap::new(), HashMap::new());
        for (id, name_key, user) in users.await? {
            known.insert(id, user);
            user_names.insert(id, name_key);
        }
        let query = Bulk::new("SELECT id, display_name FROM groups WHERE id {in} AND (organization_id = :1) IS TRUE");
        let groups = self.database.bulk_rows(query.column(ids(AccountKind::Group)).shared(organization), |mut row| {
            let id: Uuid = row.take()?;
            Ok((id, MemberIdentity::Group { id: GroupId::from_uuid(id), display_name: row.take()? }))
        });
        known.extend(groups.await?);
        let meaning = Meaning { user_names: &user_names, by_login };
        let meant = meaning.of(accounts.into_iter().map(|(_, account)| account).collect());
        Ok(meant.into_iter().filter_map(|(hash, id)| Some((hash, known.get(&id)?.clone()))).collect())
    }

    /// The accounts that have names with these hashes, newest first, without those that are missing and have no user.
    /// Also whether groups name members by login.
    pub(crate) async fn accounts_of_names(
        &self,
        directory: i64,
        hashes: Cells,
    ) -> Result<(Vec<(AccountKind, Candidate)>, bool)> {
        let with_user = Bulk::new(
            "WITH v(name_hash) AS ({rows}) SELECT a.member_hash, a.kind, a.id, a.identity, \
             a.missing_since IS NOT NULL, a.dn, a.conflict FROM v {each}accounts a{where}a.target = :1 AND a.member_hash = v.name_hash \
             AND a.identity IS NOT NULL ORDER BY a.id DESC{every}",
        );
        let without = Bulk::new(
            "WITH v(name_hash) AS ({rows}) SELECT a.member_hash, a.kind, a.id, a.identity, \
             a.missing_since IS NOT NULL, a.dn, a.conflict FROM v {each}accounts a{where}a.target = :1 AND a.member_hash = v.name_hash \
             AND a.identity IS NULL AND (a.missing_since IS NULL) IS TRUE{every}",
        );
        let read = |mut row: crate::sql::Row| {
            let (hash, kind) = (row.take()?, AccountKind::from_code(row.take()?)?);
            let (id, identity, missing) = (row.take()?, row.take()?, row.take()?);
            Ok((kind, Candidate { hash, id, identity, missing, dn: row.take()?, waits_for: row.take()? }))
        };
        let mut accounts = self.database.bulk_rows(with_user.column(hashes.clone()).shared(directory), read).await?;
        accounts.extend(self.database.bulk_rows(without.column(hashes).shared(directory), read).await?);
        let query = sql("SELECT member_form <> 'dn' FROM directories WHERE seq = $1").bind(directory);
        Ok((accounts, self.database.row(query, |mut row| row.take()).await?.unwrap_or_default()))
    }

    /// The groups that a user or group is a direct member of, oldest first.
    pub async fn groups_of(
        &self,
        organization: OrganizationId,
        member: Uuid,
        page: &PageRequest,
    ) -> Result<Page<GroupRow>> {
        let after: Option<GroupId> = page.cursor()?;
        // A missing account gives its name up to a present one.
        let query = sql(concat!(
            "SELECT g.id, g.organization_id, g.display_name, g.description, g.created_at, g.updated_at, \
             g.missing_since \
             FROM groups g JOIN (SELECT m.group_id FROM accounts a \
             JOIN member_names m ON m.target = a.target AND m.name_hash = a.member_hash \
             WHERE a.organization_id = $1 AND a.identity = $2 AND m.group_id > $3 AND NOT EXISTS (",
            other_of_the_name!(),
            ") UNION SELECT o.group_id FROM own_members o \
             WHERE o.organization_id = $1 AND o.member_id = $2 AND o.group_id > $3 ORDER BY 1 LIMIT $4) m ON m.group_id = g.id ORDER BY g.id"
        ))
        .bind(organization)
        .bind(member)
        .bind(after.unwrap_or(GroupId::from_uuid(Uuid::nil())))
        .bind(page.probe());
        let found = self.database.rows(query, |mut row| groups::read(&mut row)).await?;
        Ok(Page::cut(found, page, |last| last.id.to_string()))
    }
}
