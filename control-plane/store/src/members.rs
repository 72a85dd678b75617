//! Who is a member of what. A directory's groups name their members by DN or unique value; that name is kept, and the
//! user or group behind it is found when an import completes. A name whose meaning may have changed — its account was
//! renamed, went missing, or got another identity — is forgotten at once and found again.

use std::collections::HashSet;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{AccountId, DirectoryId, GroupId, OrganizationId, UserId};
use crate::imports::{Intake, ids, member_hash, name_hash};
use crate::records::{
    AccountKind, Member, MemberForm, MemberIdentity, MemberStats, NewAccount, Page, PageRequest, UnresolvedMember,
};
use crate::sql::{Row, sql};

/// Accounts whose hashes are made anew at a time, when a directory changes how its groups name members.
const REHASH_ROWS: i64 = 5_000;

impl Intake {
    /// Says how the groups of this directory name their members. Best said before the first account is written:
    /// afterwards every account of the directory is touched once.
    pub async fn set_member_form(&mut self, form: MemberForm) -> Result<()> {
        if form == self.form {
            return Ok(());
        }
        let update = sql("UPDATE directories SET member_form = $1 WHERE seq = $2");
        self.tx.execute(update.bind(form.as_str()).bind(self.directory)).await?;
        let forget = sql("UPDATE group_members SET member_kind = NULL, member_id = NULL \
             WHERE directory = $1 AND member_id IS NOT NULL");
        self.tx.execute(forget.bind(self.directory)).await?;
        self.form = form;
        let mut after = i64::MIN;
        loop {
            let query = sql("SELECT seq, kind, dn_key, unique_value FROM accounts \
                 WHERE directory = $1 AND seq > $2 ORDER BY seq LIMIT $3")
            .bind(self.directory)
            .bind(after)
            .bind(REHASH_ROWS);
            let rows: Vec<(i64, Option<i64>)> = self
                .tx
                .rows(query, |mut row| {
                    let (seq, kind) = (row.take()?, AccountKind::from_code(row.take()?)?);
                    let (dn_key, unique): (String, Option<String>) = (row.take()?, row.take()?);
                    Ok((seq, member_hash(form, kind, &dn_key, unique.as_deref())))
                })
                .await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = *last;
            let (seqs, hashes) = rows.into_iter().unzip();
            let update = Bulk::new(
                "WITH v(seq, member_hash) AS ({rows}) UPDATE accounts SET member_hash = v.member_hash FROM v \
                 WHERE accounts.seq = v.seq",
            );
            self.tx.bulk(update.column(Cells::Ints(seqs)).column(Cells::MaybeInts(hashes))).await?;
        }
    }

    /// Makes these the members of a group: writes the differences only. The keys are normalized DNs or unique values.
    /// Returns how many were added and removed. [`Error::NotFound`]: the organization has no such group.
    pub async fn replace_members(&mut self, group: GroupId, keys: &[String]) -> Result<u64> {
        let query = sql("SELECT id FROM groups WHERE organization_id = $1 AND id = $2");
        let there = self.tx.row(query.bind(self.organization).bind(group), |mut row| row.take::<GroupId>()).await?;
        if there.is_none() {
            return Err(Error::NotFound { what: "the group" });
        }
        let query = sql("SELECT member_key FROM group_members \
             WHERE organization_id = $1 AND group_id = $2 AND directory = $3")
        .bind(self.organization)
        .bind(group)
        .bind(self.directory);
        let known: HashSet<String> = self.tx.rows(query, |mut row| row.take()).await?.into_iter().collect();
        let wanted: HashSet<&str> = keys.iter().map(String::as_str).collect();
        let mut added: Vec<String> =
            wanted.iter().filter(|key| !known.contains(**key)).map(|key| (*key).to_owned()).collect();
        // In the order of the index.
        added.sort_unstable();
        let removed: Vec<String> = known.into_iter().filter(|key| !wanted.contains(key.as_str())).collect();
        let changes = (added.len() + removed.len()) as u64;
        let delete = Bulk::new(
            "DELETE FROM group_members WHERE group_id = :2 AND member_key {in} \
             AND (organization_id = :1) IS TRUE AND (directory = :3) IS TRUE",
        );
        let delete = delete.column(Cells::Texts(removed));
        self.tx.bulk(delete.shared(self.organization).shared(group).shared(self.directory)).await?;
        let insert = Bulk::new(
            "WITH v(member_key, key_hash) AS ({rows}) \
             INSERT INTO group_members (organization_id, group_id, directory, member_key, key_hash) \
             SELECT :1, :2, :3, v.member_key, v.key_hash FROM v",
        );
        let hashes = added.iter().map(|key| name_hash(key)).collect();
        let insert = insert.column(Cells::Texts(added)).column(Cells::Ints(hashes));
        self.tx.bulk(insert.shared(self.organization).shared(group).shared(self.directory)).await?;
        Ok(changes)
    }

    /// Finds the users and groups behind the members of this directory's groups that are not known yet, and counts. An
    /// account that is there goes before a missing one of the same name.
    pub async fn resolve_members(&mut self, form: MemberForm) -> Result<MemberStats> {
        self.set_member_form(form).await?;
        let present = sql("UPDATE group_members SET member_kind = a.kind, member_id = a.identity FROM accounts a \
             WHERE group_members.directory = $1 AND group_members.member_id IS NULL AND a.directory = $1 \
             AND a.member_hash = group_members.key_hash AND a.identity IS NOT NULL AND a.missing_since IS NULL \
             AND (a.dn_key = group_members.member_key OR a.unique_value = group_members.member_key)");
        self.tx.execute(present.bind(self.directory)).await?;
        let missing = sql("UPDATE group_members SET member_kind = a.kind, member_id = a.identity FROM accounts a \
             WHERE group_members.directory = $1 AND group_members.member_id IS NULL AND a.directory = $1 \
             AND a.member_hash = group_members.key_hash AND a.identity IS NOT NULL \
             AND (a.dn_key = group_members.member_key OR a.unique_value = group_members.member_key)");
        self.tx.execute(missing.bind(self.directory)).await?;
        let query = sql("SELECT (SELECT count(*) FROM group_members WHERE directory = $1), \
             (SELECT count(*) FROM group_members WHERE directory = $1 AND member_id IS NULL)");
        let counted = self
            .tx
            .row(query.bind(self.directory), |mut row| {
                let (all, unresolved): (u64, u64) = (row.take()?, row.take()?);
                Ok(MemberStats { resolved: all.saturating_sub(unresolved), unresolved })
            })
            .await?;
        Ok(counted.unwrap_or_default())
    }

    /// Forgets who the old names of accounts meant, if they are about to change.
    pub(crate) async fn forget_old_names(&mut self, accounts: &[NewAccount]) -> Result<()> {
        let hash = |account: &NewAccount| {
            member_hash(self.form, account.kind, &account.dn_key, account.unique_value.as_deref())
        };
        let query = Bulk::new(
            "WITH v(id, member_hash, identity) AS ({rows}) SELECT a.member_hash FROM v \
             {each}accounts a{where}a.id = v.id AND (a.directory = :1) IS TRUE AND a.member_hash IS NOT NULL \
             AND (a.member_hash IS DISTINCT FROM v.member_hash OR a.identity IS DISTINCT FROM v.identity){end}",
        )
        .column(Cells::Uuids(accounts.iter().map(|account| account.id.as_uuid()).collect()))
        .column(Cells::MaybeInts(accounts.iter().map(hash).collect()))
        .column(Cells::MaybeUuids(accounts.iter().map(|account| account.identity).collect()))
        .shared(self.directory);
        let hashes = self.tx.bulk_rows(query, |mut row| row.take()).await?;
        self.forget_names(hashes).await
    }

    /// Forgets who the names of these accounts meant.
    pub(crate) async fn forget_names_of(&mut self, accounts: &[AccountId]) -> Result<()> {
        let query = Bulk::new(
            "WITH v(id) AS ({rows}) SELECT a.member_hash FROM v {each}accounts a{where}\
             a.id = v.id AND (a.directory = :1) IS TRUE AND a.member_hash IS NOT NULL AND a.missing_since IS NULL{end}",
        );
        let hashes =
            self.tx.bulk_rows(query.column(ids(accounts)).shared(self.directory), |mut row| row.take()).await?;
        self.forget_names(hashes).await
    }

    async fn forget_names(&mut self, hashes: Vec<i64>) -> Result<()> {
        let forget = Bulk::new(
            "UPDATE group_members SET member_kind = NULL, member_id = NULL \
             WHERE directory = :1 AND key_hash {in} AND member_id IS NOT NULL",
        );
        self.tx.bulk(forget.column(Cells::Ints(hashes)).shared(self.directory)).await.map(|_| ())
    }
}

impl Store {
    /// Up to `limit` members of a directory's groups that are nobody known.
    pub async fn unresolved_members(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        limit: u32,
    ) -> Result<Vec<UnresolvedMember>> {
        let query = sql("SELECT m.group_id, g.display_name, m.member_key \
             FROM group_members m JOIN directories d ON d.seq = m.directory JOIN groups g ON g.id = m.group_id \
             WHERE d.organization_id = $1 AND d.id = $2 AND m.member_id IS NULL \
             ORDER BY m.group_id, m.member_key LIMIT $3")
        .bind(organization)
        .bind(directory)
        .bind(limit);
        let read =
            |mut row: Row| Ok(UnresolvedMember { group: row.take()?, group_name: row.take()?, key: row.take()? });
        self.database.rows(query, read).await
    }

    /// The members of a group, by key; every page costs the same.
    pub async fn list_group_members(
        &self,
        organization: OrganizationId,
        group: GroupId,
        page: &PageRequest,
    ) -> Result<Page<Member>> {
        let query = sql("SELECT m.member_key, m.member_kind, m.member_id, u.user_name, u.display_name, \
             g.display_name FROM group_members m \
             LEFT JOIN users u ON m.member_kind = 1 AND u.id = m.member_id \
             LEFT JOIN groups g ON m.member_kind = 2 AND g.id = m.member_id \
             WHERE m.organization_id = $1 AND m.group_id = $2 AND m.member_key > $3 ORDER BY m.member_key LIMIT $4")
        .bind(organization)
        .bind(group)
        .bind(page.after.as_deref().unwrap_or_default())
        .bind(page.probe());
        Ok(Page::cut(self.database.rows(query, read).await?, page, |last| last.key.clone()))
    }
}

fn read(mut row: Row) -> Result<Member> {
    let key = row.take()?;
    let kind: Option<i64> = row.take()?;
    let id: Option<uuid::Uuid> = row.take()?;
    let (user_name, user_display): (Option<String>, Option<String>) = (row.take()?, row.take()?);
    let group_display: Option<String> = row.take()?;
    let identity = match (kind.map(AccountKind::from_code).transpose()?, id, user_name, group_display) {
        (Some(AccountKind::User), Some(id), Some(user_name), _) => {
            Some(MemberIdentity::User { id: UserId::from_uuid(id), user_name, display_name: user_display })
        }
        (Some(AccountKind::Group), Some(id), _, Some(display_name)) => {
            Some(MemberIdentity::Group { id: GroupId::from_uuid(id), display_name })
        }
        _ => None,
    };
    Ok(Member { key, identity })
}
