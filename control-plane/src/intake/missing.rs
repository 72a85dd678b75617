//! Who would go missing: accounts that are present in the store and absent from a proven import.

use postern_store::{AccountId, AccountKind, Directory, ExternalKey, JobId, OrganizationId, Store};

use super::decide::recorded_key;

/// Accounts compared at a time.
const PAGE: u32 = 5_000;
/// Of those who would go missing, as many are shown.
const SAMPLES: usize = 20;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The comparison of a proven import with the store.
#[derive(Debug, Default)]
pub struct Missing {
    /// The accounts that the import did not contain.
    pub accounts: Vec<AccountId>,
    /// Accounts present in the store, of both kinds.
    pub present: u64,
    /// External ids of some of the missing.
    pub samples: Vec<String>,
}

impl Missing {
    /// Whether so many are missing that an administrator shall decide. `created` are those that this very import
    /// brought: who came today cannot outweigh who left.
    pub fn exceeds(&self, directory: &Directory, created: u64) -> bool {
        let missing = self.accounts.len() as u64;
        let before = self.present.saturating_sub(created).max(missing);
        let percent = u64::from(directory.missing_threshold_percent);
        missing >= u64::from(directory.missing_threshold_minimum).max(1) && missing * 100 > before * percent
    }
}

/// Compares. Memory: 16 bytes for each entry of the import, and for each missing account.
pub async fn find(store: &Store, directory: &Directory, job: JobId, generation: u32) -> Result<Missing> {
    let seen = seen(store, directory.organization, job, generation).await?;
    let mut missing = Missing::default();
    for kind in [AccountKind::User, AccountKind::Group] {
        let mut after: Option<ExternalKey> = None;
        loop {
            let page = store.present_accounts(directory.organization, directory.id, kind, after.as_ref(), PAGE).await?;
            missing.present += page.len() as u64;
            for account in &page {
                if seen.binary_search(&recorded_key(kind, &account.external_key)).is_err() {
                    missing.accounts.push(account.id);
                    if missing.samples.len() < SAMPLES {
                        missing.samples.push(account.external_key.to_text());
                    }
                }
            }
            let full = page.len() >= PAGE as usize;
            after = page.into_iter().next_back().map(|account| account.external_key);
            if !full {
                break;
            }
        }
    }
    Ok(missing)
}

/// The keys of all entries of the import, sorted.
async fn seen(store: &Store, organization: OrganizationId, job: JobId, generation: u32) -> Result<Vec<u128>> {
    let mut seen = Vec::new();
    let mut from = 0;
    loop {
        let page = store.staged_keys(organization, job, generation, from, 64).await?;
        let Some(last) = page.last() else { break };
        from = last.sequence + 1;
        for chunk in &page {
            seen.extend(
                chunk
                    .keys
                    .chunks_exact(size_of::<u128>())
                    .map(|key| key.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte))),
            );
        }
    }
    seen.sort_unstable();
    seen.dedup();
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use postern_store::{DirectoryId, Flavour};

    use super::*;

    fn directory() -> Directory {
        Directory {
            id: DirectoryId::new(),
            organization: OrganizationId::new(),
            name: "corp".into(),
            display_name: "corp".into(),
            flavour: Flavour::OpenLdap,
            disabled: false,
            missing_threshold_percent: 10,
            missing_threshold_minimum: 10,
            created_at: Timestamp::UNIX_EPOCH,
            deleted_at: None,
            agents: Vec::new(),
        }
    }

    fn missing(missing: usize, present: u64) -> Missing {
        Missing { accounts: (0..missing).map(|_| AccountId::new()).collect(), present, samples: Vec::new() }
    }

    #[test]
    fn an_import_is_held_above_the_share_and_the_minimum_only() {
        let exceeds = |count, present, created| missing(count, present).exceeds(&directory(), created);
        assert!(!exceeds(9, 9, 0), "fewer than the minimum never hold");
        assert!(exceeds(10, 10, 0));
        assert!(!exceeds(100, 1_000, 0), "exactly the share does not hold");
        assert!(exceeds(101, 1_000, 0));
        assert!(exceeds(100, 10_100, 10_000), "who came today does not outweigh who left");
        assert!(!exceeds(0, 0, 0));
    }
}
