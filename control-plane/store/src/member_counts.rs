//! Counts the members of a directory's groups, and lists those whose names mean nobody. A name may belong to no imported
//! entry, to an entry without a user, or to several entries ([`crate::twins`]).

use std::collections::HashMap;

use crate::Store;
use crate::dialect::Cells;
use crate::error::Result;
use crate::ids::{DirectoryId, GroupId, OrganizationId};
use crate::member_names::{name_hash, read_names};
use crate::records::{MemberStats, UnresolvedMember};
use crate::sql::sql;
use crate::twins::names_of_nobody;

/// Sorts after every hash of a name.
const AFTER_ALL_HASHES: &[u8] = &[0xFF; 17];
/// Most DNs that are listed for a name.
const MOST_SHARED: usize = 5;

/// An account in directory `$1` with this name that is not missing and has a user or group.
macro_rules! with_user {
    ($name:literal) => {
        concat!(
            "SELECT 1 FROM accounts b WHERE b.target = $1 AND b.member_hash = ",
            $name,
            " AND b.identity IS NOT NULL AND b.missing_since IS NULL"
        )
    };
}

impl Store {
    /// Counts the members of a directory's groups: those that are users or groups of the organization, those without a
    /// user, and the others.
    pub async fn count_members(&self, organization: OrganizationId, directory: DirectoryId) -> Result<MemberStats> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(MemberStats::default()) };
        // Every member is looked up at the end of every import, when nothing else is left to do: so two queries run in
        // parallel.
        let middle = [0x80];
        let (lower, upper) =
            tokio::try_join!(self.count_named(seq, &[], &middle), self.count_named(seq, &middle, AFTER_ALL_HASHES))?;
        let (without_user, of_missing) = self.count_without_user(seq).await?;
        let known = lower.known + upper.known;
        let of_nobody = lower.of_nobody + upper.of_nobody;
        Ok(MemberStats {
            resolved: known.saturating_sub(of_nobody),
            unresolved: (lower.all + upper.all + of_nobody).saturating_sub(known + without_user),
            shared: of_nobody.saturating_sub(of_missing),
            without_user,
        })
    }

    /// The members that are accounts without a user; and of these, those whose names missing accounts with users have
    /// too. Few accounts have no user, so these are looked up among the members.
    async fn count_without_user(&self, directory: i64) -> Result<(u64, u64)> {
        let query = sql(concat!(
            "SELECT count(*), COALESCE(sum(CASE WHEN EXISTS (SELECT 1 FROM accounts b WHERE b.target = $1 \
             AND b.member_hash = t.member_hash AND b.identity IS NOT NULL) THEN 1 ELSE 0 END), 0) \
             FROM (SELECT DISTINCT a.member_hash FROM accounts a WHERE a.target = $1 \
             AND a.identity IS NULL AND a.member_hash IS NOT NULL AND a.missing_since IS NULL AND NOT EXISTS (",
            with_user!("a.member_hash"),
            ")) t JOIN member_names m ON m.target = $1 AND m.name_hash = t.member_hash"
        ));
        let counted = self.database.row(query.bind(directory), |mut row| Ok((row.take()?, row.take()?)));
        Ok(counted.await?.unwrap_or_default())
    }

    /// Counts the members whose hash of the name is in this range, without its end.
    async fn count_named(&self, directory: i64, from: &[u8], to: &[u8]) -> Result<Counted> {
        let query = sql(concat!(
            "SELECT count(*), COALESCE(sum(CASE WHEN EXISTS (SELECT 1 FROM accounts a \
             WHERE a.target = $1 AND a.member_hash = m.name_hash AND a.identity IS NOT NULL) THEN 1 ELSE 0 END), 0), \
             COALESCE(sum(CASE WHEN m.name_hash IN (",
            names_of_nobody!(),
            ") THEN 1 ELSE 0 END), 0) \
             FROM member_names m WHERE m.target = $1 AND m.name_hash >= $2 AND m.name_hash < $3"
        ))
        .bind(directory)
        .bind(from)
        .bind(to);
        let counted = self
            .database
            .row(query, |mut row| Ok(Counted { all: row.take()?, known: row.take()?, of_nobody: row.take()? }));
        Ok(counted.await?.unwrap_or_default())
    }

    /// Up to `limit` members of a directory's groups whose names belong to no imported entry, or to several.
    pub async fn unresolved_members(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        limit: u32,
    ) -> Result<Vec<UnresolvedMember>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(Vec::new()) };
        let query = sql(concat!(
            // An account without a user is an imported entry.
            "SELECT m.name_hash, m.group_id, g.display_name \
             FROM member_names m JOIN groups g ON g.id = m.group_id \
             WHERE m.target = $1 AND m.name_hash >= $2 AND m.name_hash < $3 AND m.organization_id = $4 \
             AND (NOT EXISTS (SELECT 1 FROM accounts a \
             WHERE a.target = $1 AND a.member_hash = m.name_hash AND a.identity IS NOT NULL) OR m.name_hash IN (",
            names_of_nobody!(),
            ")) AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.target = $1 AND a.member_hash = m.name_hash \
             AND a.identity IS NULL AND a.missing_since IS NULL AND NOT EXISTS (",
            with_user!("a.member_hash"),
            ")) ORDER BY m.name_hash, m.group_id LIMIT $5"
        ))
        .bind(seq)
        .bind(&[][..])
        .bind(AFTER_ALL_HASHES)
        .bind(organization)
        .bind(limit);
        let found: Vec<([u8; 16], GroupId, String)> =
            self.database.rows(query, |mut row| Ok((row.take()?, row.take()?, row.take()?))).await?;
        let shared = self.dns_of_names(seq, found.iter().map(|(hash, ..)| hash.to_vec()).collect()).await?;
        let mut unresolved = Vec::with_capacity(found.len());
        let mut names: HashMap<GroupId, HashMap<[u8; 16], String>> = HashMap::new();
        for (hash, group, group_name) in found {
            if let std::collections::hash_map::Entry::Vacant(place) = names.entry(group) {
                place.insert(self.names_by_hash(group).await?);
            }
            let name = names.get(&group).and_then(|names| names.get(&hash));
            if let Some(key) = name.cloned() {
                let shared_by = shared.get(&hash).cloned().unwrap_or_default();
                unresolved.push(UnresolvedMember { group, group_name, key, shared_by });
            }
        }
        Ok(unresolved)
    }

    async fn names_by_hash(&self, group: GroupId) -> Result<HashMap<[u8; 16], String>> {
        let query = sql("SELECT names FROM group_members WHERE group_id = $1").bind(group);
        let rows = self.database.rows(query, |mut row| read_names(&mut row)).await?;
        Ok(rows.into_iter().flatten().map(|name| (name_hash(&name), name)).collect())
    }

    /// The DNs of the accounts that have names with these hashes, oldest first; of those that are not missing, if there
    /// are any.
    async fn dns_of_names(&self, directory: i64, hashes: Vec<Vec<u8>>) -> Result<HashMap<[u8; 16], Vec<String>>> {
        let (accounts, _) = self.accounts_of_names(directory, Cells::Blobs(hashes)).await?;
        let mut accounts: Vec<_> = accounts.into_iter().map(|(_, account)| account).collect();
        accounts.sort_by_key(|account| (account.missing, account.id));
        let mut dns: HashMap<[u8; 16], (bool, Vec<String>)> = HashMap::new();
        for account in accounts {
            let (missing, of_name) = dns.entry(account.hash).or_insert((account.missing, Vec::new()));
            if *missing == account.missing && of_name.len() < MOST_SHARED && !of_name.contains(&account.dn) {
                of_name.push(account.dn);
            }
        }
        Ok(dns.into_iter().map(|(hash, (_, dns))| (hash, dns)).collect())
    }
}

/// Members, by what their names belong to.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    all: u64,
    /// To an account with a user or group.
    known: u64,
    /// Of these, those that mean none of the accounts.
    of_nobody: u64,
}
