//! Who manages a user: the attribute `manager` of an account names an entry, and this finds the user of that entry.

use super::access::Access;
use super::error::Result;
use crate::identity::membership;
use crate::identity::stored::StoredAccount;
use crate::records::{Account, UserRow};

/// The attribute that names the manager's entry (RFC 2798 §9.1.7, MS-ADA2).
const MANAGER: &str = "manager";

/// The manager that a directory names.
#[derive(Clone, Debug)]
pub struct Manager {
    /// The directory that says so.
    pub directory: String,
    /// The DN of the manager's entry.
    pub dn: String,
    /// Whose entry it is. `None`: no user has it, or it is not clear who does.
    pub user: Option<UserRow>,
}

/// The manager of the user who has these accounts, which are in the order of their directories.
pub(super) async fn of(access: Access<'_>, accounts: &[Account]) -> Result<Option<Manager>> {
    let (store, organization) = (access.store(), access.organization());
    for account in accounts.iter().filter(|account| account.missing_since.is_none() && !account.outbound) {
        let Some(dn) = StoredAccount::of(account).and_then(|stored| stored.text(MANAGER)) else { continue };
        let found = store.users_of_name(organization, account.target, &membership::dn_key(&dn)).await?;
        let user = match found.as_slice() {
            [only] => store.get_user(organization, *only).await?,
            _ => None,
        };
        return Ok(Some(Manager { directory: account.target_name.clone(), dn, user }));
    }
    Ok(None)
}
