//! Reads of accounts: for administrators, and for imports that compare them with what a directory returns.

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{AccountId, DirectoryId, OrganizationId, TargetId};
use crate::records::{Account, AccountKind, Conflict, ExternalKey, KnownAccount, Page, PageRequest, Room, Switch};
use crate::sql::{Row, Statement, sql};

/// The columns that [`read`] reads, of `accounts a` and `directories d`.
macro_rules! select_accounts {
    ($more:literal, $($rest:literal),+) => {
        concat!(
            "SELECT a.id, a.organization_id, d.id, d.name, a.kind, a.external_key, a.dn, a.unique_value, ",
            "a.attributes, a.missing_since, a.identity, a.former_user, a.conflict, a.updated_at, a.on_until, a.switch_hidden, a.outbound ",
            $more,
            " FROM accounts a JOIN directories d ON d.seq = a.target ",
            $($rest),+
        )
    };
}
pub(crate) use select_accounts;

/// The sizes of the accounts of a page, and the accounts themselves: `$1` the organization, `$2` the directory, `$3` the
/// kind, `$4` the key after which it begins, `$5` the most rows.
macro_rules! page_of {
    ($filter:literal) => {
        [
            concat!(
                "SELECT CAST(octet_length(a.attributes) AS BIGINT) FROM accounts a WHERE a.organization_id = $1 ",
                "AND a.target = $2 AND a.kind = $3 AND a.external_key > $4 ",
                $filter,
                "ORDER BY a.external_key LIMIT $5"
            ),
            concat!(
                select_accounts!(
                    "",
                    "WHERE a.organization_id = $1 AND a.target = $2 AND a.kind = $3 AND a.external_key > $4 "
                ),
                $filter,
                "ORDER BY a.external_key LIMIT $5"
            ),
        ]
    };
}

pub(crate) fn read(row: &mut Row) -> Result<Account> {
    Ok(Account {
        id: row.take()?,
        organization: row.take()?,
        target: row.take()?,
        target_name: row.take()?,
        kind: AccountKind::from_code(row.take()?)?,
        external_key: ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?,
        dn: row.take()?,
        unique_value: row.take()?,
        attributes: row.take()?,
        missing_since: row.take()?,
        identity: row.take()?,
        former_user: row.take()?,
        conflict: row.take()?,
        updated_at: row.take()?,
        switch: Switch::from_on_until(row.take()?),
        switch_hidden: row.take()?,
        outbound: row.take()?,
    })
}

/// The accounts with these keys: `:1` the directory, `:2` the kind. The keys come first, so each is found by the index.
fn known(directory: i64, kind: AccountKind, keys: &[ExternalKey]) -> Bulk {
    Bulk::new(
        "WITH v(external_key) AS ({rows}) SELECT a.id, a.external_key, a.hash, a.identity, a.former_user, \
         a.missing_since IS NOT NULL, a.conflict IS NOT NULL, a.outbound \
         FROM v {each}accounts a{where}a.target = :1 AND a.kind = :2 AND a.external_key = v.external_key{end}",
    )
    .column(Cells::Blobs(keys.iter().map(|key| key.as_bytes().to_vec()).collect()))
    .shared(directory)
    .shared(kind.code())
}

fn read_known(mut row: Row) -> Result<KnownAccount> {
    Ok(KnownAccount {
        id: row.take()?,
        external_key: ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?,
        hash: row.take()?,
        identity: row.take()?,
        former_user: row.take()?,
        missing: row.take()?,
        conflict: row.take()?,
        outbound: row.take()?,
    })
}

/// Conflicts of user names of a directory (`$2`) of an organization (`$1`).
macro_rules! select_conflicts {
    ($rest:literal) => {
        select_accounts!(
            ", u.id, (SELECT h.dn FROM accounts h WHERE h.identity = u.id \
             ORDER BY h.target <> $2, h.missing_since IS NOT NULL, h.id LIMIT 1), \
             CASE WHEN u.id IS NULL THEN 'nobody' \
             WHEN EXISTS (SELECT 1 FROM accounts h WHERE h.identity = u.id AND h.missing_since IS NULL) THEN 'directory' \
             WHEN u.is_own AND NOT EXISTS (SELECT 1 FROM accounts h WHERE h.identity = u.id) THEN 'organization' \
             ELSE 'gone' END",
            "LEFT JOIN users u ON u.organization = (SELECT seq FROM organizations WHERE id = $1) AND u.name_key = a.conflict \
             WHERE a.organization_id = $1 AND a.target = $2 AND a.conflict IS NOT NULL AND a.kind = 1 AND a.missing_since IS NULL ",
            $rest
        )
    };
}

fn read_conflict(mut row: Row) -> Result<Conflict> {
    let account = read(&mut row)?;
    let name_key = account.conflict.clone().unwrap_or_default();
    let (user, holder_dn) = (row.take()?, row.take()?);
    Ok(Conflict { account, name_key, user, holder_dn, holder: row.take::<String>()?.parse()? })
}

impl Store {
    /// The internal number of a directory; `None` when the organization has no such directory.
    pub(crate) async fn directory_seq(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
    ) -> Result<Option<i64>> {
        let query = sql("SELECT seq FROM directories WHERE organization_id = $1 AND id = $2");
        self.database.row(query.bind(organization).bind(directory), |mut row| row.take()).await
    }

    /// The internal number of a target; `None` when the organization has no such target.
    pub(crate) async fn target_seq(&self, organization: OrganizationId, target: TargetId) -> Result<Option<i64>> {
        let query = sql("SELECT seq FROM targets WHERE organization_id = $1 AND id = $2");
        self.database.row(query.bind(organization).bind(target), |mut row| row.take()).await
    }

    /// Whether the directory has any account.
    pub async fn has_accounts(&self, organization: OrganizationId, directory: DirectoryId) -> Result<bool> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(false) };
        let query = sql("SELECT kind FROM accounts WHERE target = $1 LIMIT 1").bind(seq);
        Ok(self.database.row(query, |mut row| row.take::<i64>()).await?.is_some())
    }

    /// How many accounts of the directory are not marked missing. Reads only indexes.
    pub async fn count_present(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        kind: AccountKind,
    ) -> Result<u64> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(0) };
        let query = sql("SELECT (SELECT count(*) FROM accounts WHERE target = $1 AND kind = $2) \
             - (SELECT count(*) FROM accounts WHERE target = $1 AND kind = $2 AND missing_since IS NOT NULL)")
        .bind(seq)
        .bind(kind.code());
        Ok(self.database.row(query, |mut row| row.take()).await?.unwrap_or_default())
    }

    /// The existing accounts with these keys, in no certain order, as last committed; does not wait for writers.
    pub(crate) async fn known_accounts(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        kind: AccountKind,
        keys: &[ExternalKey],
    ) -> Result<Vec<KnownAccount>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(Vec::new()) };
        self.database.bulk_rows(known(seq, kind, keys), read_known).await
    }

    /// The accounts of a target, by external id, including the missing ones.
    pub async fn list_accounts(
        &self,
        organization: OrganizationId,
        target: impl Into<TargetId>,
        kind: AccountKind,
        page: &PageRequest,
    ) -> Result<Page<Account>> {
        self.list_accounts_where(organization, target, kind, None, page).await
    }

    /// Like [`Self::list_accounts`], only the missing accounts, or only the others.
    pub async fn list_accounts_where(
        &self,
        organization: OrganizationId,
        target: impl Into<TargetId>,
        kind: AccountKind,
        missing: Option<bool>,
        page: &PageRequest,
    ) -> Result<Page<Account>> {
        let texts = match missing {
            None => page_of!(""),
            // Repeats the condition of the index of missing accounts, which SQLite then uses.
            Some(true) => page_of!("AND a.missing_since IS NOT NULL "),
            Some(false) => page_of!("AND a.missing_since IS NULL "),
        };
        self.accounts_by(texts, organization, target.into(), kind, page).await
    }

    /// The users' accounts of a target whose entries do not say whether the user is enabled; of these only the missing
    /// ones, or only the others.
    pub async fn list_unknown_accounts(
        &self,
        organization: OrganizationId,
        target: impl Into<TargetId>,
        missing: Option<bool>,
        page: &PageRequest,
    ) -> Result<Page<Account>> {
        // Repeats the condition of the index.
        let texts = match missing {
            None => page_of!("AND a.switch_hidden "),
            Some(true) => page_of!("AND a.switch_hidden AND a.missing_since IS NOT NULL "),
            Some(false) => page_of!("AND a.switch_hidden AND a.missing_since IS NULL "),
        };
        self.accounts_by(texts, organization, target.into(), AccountKind::User, page).await
    }

    async fn accounts_by(
        &self,
        [sizes, accounts]: [&'static str; 2],
        organization: OrganizationId,
        target: TargetId,
        kind: AccountKind,
        page: &PageRequest,
    ) -> Result<Page<Account>> {
        let Some(seq) = self.target_seq(organization, target).await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let bound = |statement: Statement, limit: i64| {
            let after = page.after.as_ref().map_or(Vec::new(), |text| ExternalKey::from_text(text).as_bytes().to_vec());
            statement.bind(organization).bind(seq).bind(kind.code()).bind(after).bind(limit)
        };
        let sizes: Vec<i64> = self.database.rows(bound(sql(sizes), page.probe() - 1), |mut row| row.take()).await?;
        let page = &page.fitting(&sizes);
        let accounts = self.database.rows(bound(sql(accounts), page.probe()), |mut row| read(&mut row)).await?;
        Ok(Page::cut(accounts, page, |last| last.external_key.to_text()))
    }

    /// One account.
    pub async fn get_account(&self, organization: OrganizationId, id: AccountId) -> Result<Option<Account>> {
        let query = sql(select_accounts!("", "WHERE a.organization_id = $1 AND a.id = $2"));
        self.database.row(query.bind(organization).bind(id), |mut row| read(&mut row)).await
    }

    /// The conflict of an account. `None`: it has none, or does not exist.
    pub async fn get_conflict(&self, organization: OrganizationId, id: AccountId) -> Result<Option<Conflict>> {
        let query = sql("SELECT a.target FROM accounts a JOIN directories d ON d.seq = a.target \
             WHERE a.organization_id = $1 AND a.id = $2 AND d.deleted_at IS NULL");
        let target: Option<i64> = self.database.row(query.bind(organization).bind(id), |mut row| row.take()).await?;
        let Some(target) = target else { return Ok(None) };
        let query = sql(select_conflicts!("AND a.id = $3")).bind(organization).bind(target).bind(id);
        self.database.row(query, read_conflict).await
    }

    /// The accounts of a directory whose user name another user has, with the DNs of both, oldest first.
    pub async fn list_conflicts(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        page: &PageRequest,
    ) -> Result<Page<Conflict>> {
        let after: Option<AccountId> = page.cursor()?;
        let Some(seq) = self.directory_seq(organization, directory).await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let query = sql(select_conflicts!("AND a.id > $3 ORDER BY a.id LIMIT $4"))
            .bind(organization)
            .bind(seq)
            .bind(after.unwrap_or(AccountId::from_uuid(uuid::Uuid::nil())))
            .bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read_conflict).await?;
        Ok(Page::within(found, page, &room, |last| last.account.id.to_string()))
    }
}
