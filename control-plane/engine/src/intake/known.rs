//! Finds the accounts of entries by external id.

use std::collections::HashMap;

use foldhash::quality::RandomState;
use postern_store::{AccountId, AccountKind, Comparison, Directory, ExternalKey, Store};

use super::keys::recorded_key;

/// A known account.
#[derive(Debug)]
pub(super) struct Known {
    /// Its id.
    pub(super) account: AccountId,
    /// Its DN as written.
    pub(super) dn: String,
}

/// The accounts of these external ids, by [`recorded_key`].
pub(super) async fn by_id(
    store: &Store,
    directory: &Directory,
    ids: &[(AccountKind, ExternalKey)],
) -> Result<HashMap<u128, Known, RandomState>, postern_store::Error> {
    let mut known = HashMap::default();
    for kind in [AccountKind::User, AccountKind::Group] {
        let of_kind = ids.iter().filter(|(of, _)| *of == kind);
        // No content has this hash, so every existing account is returned.
        let keys: Vec<_> = of_kind.map(|(_, id)| (id.clone(), [0; 16])).collect();
        if keys.is_empty() {
            continue;
        }
        let found = store.compare_accounts(directory.organization, directory.id, kind, &keys).await?;
        let accounts: HashMap<AccountId, u128, RandomState> = found
            .into_iter()
            .filter_map(|found| match found {
                Comparison::Known(account) => Some((account.id, recorded_key(kind, &account.external_key))),
                _ => None,
            })
            .collect();
        let accounts_only: Vec<AccountId> = accounts.keys().copied().collect();
        for content in store.known_contents(directory.organization, &accounts_only).await? {
            if let Some(key) = accounts.get(&content.account) {
                known.insert(*key, Known { account: content.account, dn: content.dn });
            }
        }
    }
    Ok(known)
}
