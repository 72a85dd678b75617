//! Reads of groups' members. A name means the account with that DN or unique value in its directory, a present one
//! before a missing one ([`crate::twins`]). It is looked up on each read.

use std::collections::HashMap;
use std::str::FromStr;

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::groups;
use crate::ids::{DirectoryId, GroupId, OrganizationId, UserId};
use crate::member_names::{name_hash, read_names};
use crate::member_rows::FEWEST_NAMES;
use crate::records::{AccountKind, GroupRow, Member, MemberIdentity, MemberStats, Page, PageRequest, UnresolvedMember};
use crate::sql::sql;
use crate::twins::{self, Candidate, names_of_nobody, other_of_the_name};

/// Sorts after every hash of a name.
const AFTER_ALL_HASHES: &[u8] = &[0xFF; 17];

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
        let rows = limit / i64::try_from(FEWEST_NAMES).unwrap_or(i64::MAX) + 2;
        let query = sql("SELECT target, names FROM group_members WHERE organization_id = $1 AND group_id = $2 \
             AND first_name >= COALESCE((SELECT max(first_name) FROM group_members \
             WHERE group_id = $2 AND first_name <= $3), '') ORDER BY first_name LIMIT $4")
        .bind(organization)
        .bind(group)
        .bind(after)
        .bind(rows);
        let rows: Vec<(i64, Vec<String>)> =
            self.database.rows(query, |mut row| Ok((row.take()?, read_names(&mut row)?))).await?;
        let Some((directory, _)) = rows.first() else { return Ok(Vec::new()) };
        let directory = *directory;
        let names = rows.into_iter().flat_map(|(_, names)| names).filter(|name| name.as_str() > after);
        let names: Vec<String> = names.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
        let identities = self.identities(organization, directory, &names).await?;
        let member = |name: String| Member { identity: identities.get(&name_hash(&name)).cloned(), key: Some(name) };
        Ok(names.into_iter().map(member).collect())
    }

    /// The users and groups that these names mean in a directory.
    async fn identities(
        &self,
        organization: OrganizationId,
        directory: i64,
        names: &[String],
    ) -> Result<HashMap<[u8; 16], MemberIdentity>> {
        let query = Bulk::new(
            "WITH v(name_hash) AS ({rows}) SELECT a.member_hash, a.kind, a.identity, a.missing_since IS NOT NULL, a.dn \
             FROM v {each}accounts a{where}a.target = :1 AND a.member_hash = v.name_hash \
             AND a.identity IS NOT NULL ORDER BY a.id DESC{every}",
        );
        let hashes = names.iter().map(|name| name_hash(name).to_vec()).collect();
        let accounts: Vec<(AccountKind, Candidate)> = self
            .database
            .bulk_rows(query.column(Cells::Blobs(hashes)).shared(directory), |mut row| {
                let (hash, kind) = (row.take()?, AccountKind::from_code(row.take()?)?);
                let (identity, missing, dn) = (row.take()?, row.take()?, row.take()?);
                Ok((kind, Candidate { hash, identity, missing, dn }))
            })
            .await?;
        let ids = |kind| {
            let of_kind = accounts.iter().filter(move |(found, _)| *found == kind);
            Cells::Uuids(of_kind.map(|(_, account)| account.identity).collect())
        };
        let query = Bulk::new(
            "SELECT id, user_name, display_name FROM users WHERE id {in} \
             AND (organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        let users = self.database.bulk_rows(query.column(ids(AccountKind::User)).shared(organization), |mut row| {
            let id: Uuid = row.take()?;
            let (user_name, display_name) = (row.take()?, row.take()?);
            Ok((id, MemberIdentity::User { id: UserId::from_uuid(id), user_name, display_name }))
        });
        let mut known: HashMap<Uuid, MemberIdentity> = users.await?.into_iter().collect();
        let query = Bulk::new("SELECT id, display_name FROM groups WHERE id {in} AND (organization_id = :1) IS TRUE");
        let groups = self.database.bulk_rows(query.column(ids(AccountKind::Group)).shared(organization), |mut row| {
            let id: Uuid = row.take()?;
            Ok((id, MemberIdentity::Group { id: GroupId::from_uuid(id), display_name: row.take()? }))
        });
        known.extend(groups.await?);
        let meant = twins::meant(accounts.into_iter().map(|(_, account)| account).collect());
        Ok(meant.into_iter().filter_map(|(hash, id)| Some((hash, known.get(&id)?.clone()))).collect())
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

    /// Counts the members of a directory's groups: those that are users or groups of the organization, those whose name
    /// is unknown, and those without a user.
    pub async fn count_members(&self, organization: OrganizationId, directory: DirectoryId) -> Result<MemberStats> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(MemberStats::default()) };
        // Every member is looked up at the end of every import, when nothing else is left to do: so two queries run in
        // parallel.
        let middle = [0x80];
        let (lower, upper) =
            tokio::try_join!(self.count_named(seq, &[], &middle), self.count_named(seq, &middle, AFTER_ALL_HASHES))?;
        let without_user = self.count_without_user(seq).await?;
        let unresolved = (lower.unresolved + upper.unresolved).saturating_sub(without_user);
        Ok(MemberStats { resolved: lower.resolved + upper.resolved, unresolved, without_user })
    }

    /// The members that are accounts without a user. Few accounts have none, so these are looked up among the members.
    async fn count_without_user(&self, directory: i64) -> Result<u64> {
        let query = sql("SELECT count(*) FROM (SELECT DISTINCT a.member_hash FROM accounts a WHERE a.target = $1 \
             AND a.identity IS NULL AND a.member_hash IS NOT NULL AND a.missing_since IS NULL \
             AND NOT EXISTS (SELECT 1 FROM accounts b WHERE b.target = $1 AND b.member_hash = a.member_hash \
             AND b.identity IS NOT NULL)) t JOIN member_names m ON m.target = $1 AND m.name_hash = t.member_hash");
        Ok(self.database.row(query.bind(directory), |mut row| row.take()).await?.unwrap_or_default())
    }

    /// Counts the members whose hash of the name is in this range, without its end.
    async fn count_named(&self, directory: i64, from: &[u8], to: &[u8]) -> Result<MemberStats> {
        let query = sql(concat!(
            "SELECT count(*), COALESCE(sum(CASE WHEN EXISTS (SELECT 1 FROM accounts a \
             WHERE a.target = $1 AND a.member_hash = m.name_hash AND a.identity IS NOT NULL) \
             AND m.name_hash NOT IN (",
            names_of_nobody!(),
            ") THEN 1 ELSE 0 END), 0) \
             FROM member_names m WHERE m.target = $1 AND m.name_hash >= $2 AND m.name_hash < $3"
        ))
        .bind(directory)
        .bind(from)
        .bind(to);
        let counted = self.database.row(query, |mut row| {
            let (all, resolved): (u64, u64) = (row.take()?, row.take()?);
            Ok(MemberStats { resolved, unresolved: all.saturating_sub(resolved), without_user: 0 })
        });
        Ok(counted.await?.unwrap_or_default())
    }

    /// Up to `limit` members of a directory's groups whose name is unknown.
    pub async fn unresolved_members(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        limit: u32,
    ) -> Result<Vec<UnresolvedMember>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(Vec::new()) };
        let query = sql(concat!(
            // An account without a user is still within the imported scope.
            "SELECT m.name_hash, m.group_id, g.display_name \
             FROM member_names m JOIN groups g ON g.id = m.group_id \
             WHERE m.target = $1 AND m.name_hash >= $2 AND m.name_hash < $3 AND m.organization_id = $4 \
             AND ((NOT EXISTS (SELECT 1 FROM accounts a \
             WHERE a.target = $1 AND a.member_hash = m.name_hash AND a.identity IS NOT NULL) \
             AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.target = $1 AND a.member_hash = m.name_hash \
             AND a.identity IS NULL AND a.missing_since IS NULL)) OR m.name_hash IN (",
            names_of_nobody!(),
            ")) ORDER BY m.name_hash, m.group_id LIMIT $5"
        ))
        .bind(seq)
        .bind(&[][..])
        .bind(AFTER_ALL_HASHES)
        .bind(organization)
        .bind(limit);
        let found: Vec<([u8; 16], GroupId, String)> =
            self.database.rows(query, |mut row| Ok((row.take()?, row.take()?, row.take()?))).await?;
        let mut unresolved = Vec::with_capacity(found.len());
        let mut names: HashMap<GroupId, HashMap<[u8; 16], String>> = HashMap::new();
        for (hash, group, group_name) in found {
            if let std::collections::hash_map::Entry::Vacant(place) = names.entry(group) {
                place.insert(self.names_by_hash(group).await?);
            }
            let name = names.get(&group).and_then(|names| names.get(&hash));
            if let Some(key) = name.cloned() {
                unresolved.push(UnresolvedMember { group, group_name, key });
            }
        }
        Ok(unresolved)
    }

    async fn names_by_hash(&self, group: GroupId) -> Result<HashMap<[u8; 16], String>> {
        let query = sql("SELECT names FROM group_members WHERE group_id = $1").bind(group);
        let rows = self.database.rows(query, |mut row| read_names(&mut row)).await?;
        Ok(rows.into_iter().flatten().map(|name| (name_hash(&name), name)).collect())
    }
}
