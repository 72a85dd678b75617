//! Compares a directory's entries with the known accounts. Every entry of every import passes here, and most are
//! unchanged. The numbers of unchanged entries come in one text: a row for each, with its values copied, would cost
//! more than finding it.

use std::collections::{HashMap, HashSet};

use crate::Store;
use crate::dialect::{self, Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{DirectoryId, OrganizationId};
use crate::records::{AccountKind, Comparison, ExternalKey, KnownAccount, PresentAccount, Unseen};
use crate::sql::sql;

/// Keys that are compared at a time.
const KEYS: u32 = 10_000;

/// The entries that have an account, and those whose account is unchanged.
fn compared(directory: i64, kind: AccountKind, entries: &[(ExternalKey, [u8; 16])]) -> Bulk {
    Bulk::new(
        "WITH v(place, external_key, hash) AS ({rows}) SELECT string_agg(CAST(v.place AS TEXT), ' '), \
         string_agg(CASE WHEN a.hash = v.hash AND a.missing_since IS NULL AND a.conflict IS NULL \
         THEN CAST(v.place AS TEXT) END, ' ') \
         FROM v {each}accounts a{where}a.target = :1 AND a.kind = :2 AND a.external_key = v.external_key{end}",
    )
    .column(Cells::Ints((0..).take(entries.len()).collect()))
    .column(Cells::Blobs(entries.iter().map(|(key, _)| key.as_bytes().to_vec()).collect()))
    .column(Cells::Blobs(entries.iter().map(|(_, hash)| hash.to_vec()).collect()))
    .shared(directory)
    .shared(kind.code())
}

impl Store {
    /// Compares entries, by external id and content hash, with the accounts as last committed; does not wait for
    /// writers. One answer for each entry, in their order.
    pub async fn compare_accounts(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        kind: AccountKind,
        entries: &[(ExternalKey, [u8; 16])],
    ) -> Result<Vec<Comparison>> {
        let mut answers = vec![Comparison::New; entries.len()];
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(answers) };
        let found: Vec<(Option<String>, Option<String>)> =
            self.database.bulk_rows(compared(seq, kind, entries), |mut row| Ok((row.take()?, row.take()?))).await?;
        let mut known = vec![false; entries.len()];
        for (there, unchanged) in &found {
            for place in places(there.as_deref()) {
                *known.get_mut(place?).ok_or_else(out_of_place)? = true;
            }
            for place in places(unchanged.as_deref()) {
                let place = place?;
                *known.get_mut(place).ok_or_else(out_of_place)? = false;
                *answers.get_mut(place).ok_or_else(out_of_place)? = Comparison::Unchanged;
            }
        }
        let changed: Vec<ExternalKey> =
            entries.iter().zip(&known).filter(|(_, known)| **known).map(|((key, _), _)| key.clone()).collect();
        if changed.is_empty() {
            return Ok(answers);
        }
        let accounts = self.known_accounts(organization, directory, kind, &changed).await?;
        let accounts: HashMap<ExternalKey, KnownAccount> =
            accounts.into_iter().map(|account| (account.external_key.clone(), account)).collect();
        for ((key, _), answer) in entries.iter().zip(&mut answers) {
            if let Some(account) = accounts.get(key) {
                *answer = Comparison::Known(account.clone());
            }
        }
        Ok(answers)
    }

    /// The accounts that are not marked missing and that a proven import has not seen, by key.
    pub async fn unseen_accounts(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        kind: AccountKind,
        mut seen: impl FnMut(&ExternalKey) -> bool,
    ) -> Result<Unseen> {
        let mut unseen = Unseen::default();
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(unseen) };
        let query = sql("SELECT external_key FROM accounts \
             WHERE target = $1 AND kind = $2 AND missing_since IS NOT NULL")
        .bind(seq)
        .bind(kind.code());
        let missing: HashSet<Vec<u8>> = self.database.rows(query, |mut row| row.take()).await?.into_iter().collect();
        let (mut after, mut sought) = (Vec::new(), Vec::new());
        loop {
            let query = dialect::account_keys(self.backend()).bind(seq).bind(kind.code()).bind(after).bind(KEYS);
            let keys: Option<Option<String>> = self.database.row(query, |mut row| row.take()).await?;
            let Some(keys) = keys.flatten() else { break };
            let mut last = Vec::new();
            for hex in keys.split(' ') {
                last = bytes(hex)?;
                if missing.contains(&last) {
                    continue;
                }
                unseen.present += 1;
                let key = ExternalKey::from_bytes(&last)?;
                if !seen(&key) {
                    sought.push(key);
                }
            }
            after = last;
        }
        for keys in sought.chunks(KEYS as usize) {
            let accounts = self.known_accounts(organization, directory, kind, keys).await?;
            let present = accounts.into_iter().filter(|account| !account.missing);
            unseen
                .accounts
                .extend(present.map(|account| PresentAccount { id: account.id, external_key: account.external_key }));
        }
        unseen.accounts.sort_unstable_by(|one, other| one.external_key.as_bytes().cmp(other.external_key.as_bytes()));
        Ok(unseen)
    }
}

/// The numbers of a text, separated by blanks.
fn places(text: Option<&str>) -> impl Iterator<Item = Result<usize>> {
    text.into_iter().flat_map(|text| text.split(' ')).map(|place| place.parse().map_err(|_| out_of_place()))
}

fn out_of_place() -> Error {
    Error::corrupt("the comparison answers what was not asked")
}

/// Bytes from hexadecimal digits of either case.
fn bytes(hex: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    hex.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Error::corrupt("an external id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_in_either_case() {
        assert_eq!(bytes("00ffFf1A").unwrap(), [0, 255, 255, 26]);
        assert!(bytes("").unwrap().is_empty());
        assert!(bytes("0").is_err());
        assert!(bytes("0g").is_err());
    }
}
