//! Accounts: what directories returned, entry by entry.

use super::access::{Access, Services};
use super::actor::Actor;
use super::error::{Error, Result};
use super::pages::{Listed, chained, listed, uncounted};
use super::rights::Right;
use super::{known_directories, resolve};
use crate::records::{Account, AccountKind, DirectoryId, PageRequest};

/// Read access to accounts.
#[derive(Debug)]
pub struct Accounts<'s>(Access<'s>);

/// Which accounts to list. Unset: all.
#[derive(Clone, Copy, Debug)]
pub struct AccountFilter {
    directory: Option<DirectoryId>,
    kind: Option<AccountKind>,
    missing: Option<bool>,
    unknown: bool,
}

impl Services {
    /// Opens the accounts.
    pub fn accounts<'s>(&'s self, actor: &'s Actor) -> Result<Accounts<'s>> {
        self.open(actor, Right::ReadPeople).map(Accounts)
    }
}

impl Accounts<'_> {
    /// A filter by directory (name or id), by kind, by whether the last complete import found them, and by whether it is
    /// unknown if their users are enabled (`unknown`).
    pub async fn filter(
        &self,
        directory: Option<&str>,
        kind: Option<AccountKind>,
        missing: Option<bool>,
        unknown: bool,
    ) -> Result<AccountFilter> {
        Ok(AccountFilter { directory: known_directories::wanted(self.0, directory).await?, kind, missing, unknown })
    }

    /// Accounts, directory by directory.
    pub async fn list(&self, filter: AccountFilter, request: &PageRequest) -> Result<Listed<Account>> {
        let (store, organization, missing) = (self.0.store(), self.0.organization(), filter.missing);
        if filter.unknown {
            return self.unknown(filter, request).await;
        }
        let kinds = filter.kind.as_ref().map_or(AccountKind::ALL, std::slice::from_ref);
        let directories = known_directories::one_or_all(self.0, filter.directory).await?;
        let lists: Vec<_> = directories.iter().flat_map(|id| kinds.iter().map(move |kind| (*id, *kind))).collect();
        let names: Vec<_> = lists.iter().map(|(id, kind)| format!("{id}-{kind}")).collect();
        let page = chained(&names, request, |number, request| {
            let (directory, kind) = lists[number];
            async move { store.list_accounts_where(organization, directory, kind, missing, &request).await }
        });
        listed(request, page.await?, store.total_accounts(organization, &lists, missing)).await
    }

    /// Users' accounts whose entries do not say whether the user is enabled.
    async fn unknown(&self, filter: AccountFilter, request: &PageRequest) -> Result<Listed<Account>> {
        let (store, organization, missing) = (self.0.store(), self.0.organization(), filter.missing);
        let directories = match filter.kind {
            // A group has no switch.
            Some(AccountKind::Group) => Vec::new(),
            _ => known_directories::one_or_all(self.0, filter.directory).await?,
        };
        let names: Vec<_> = directories.iter().map(ToString::to_string).collect();
        let page = chained(&names, request, |number, request| {
            let directory = directories[number];
            async move { store.list_unknown_accounts(organization, directory, missing, &request).await }
        });
        Ok(uncounted(request, page.await?))
    }

    /// The account with this id or external id, or of the user with this user name.
    pub async fn get(&self, named: &str) -> Result<Account> {
        let id = resolve::account(self.0, named).await?;
        let found = self.0.store().get_account(self.0.organization(), id).await?;
        found.ok_or_else(|| Error::no("account"))
    }
}
