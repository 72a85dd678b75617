//! An entry that is in a directory already becomes the account of a user, by an administrator's decision.

use serde_json::json;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::known_directories::find;
use super::rights::Right;
use super::{deleted_users, resolve};
use crate::records::{Account, IdentityId, TargetId, UserId};

/// Accounts, for somebody who may decide whose they are.
#[derive(Debug)]
pub struct AccountLinks<'s>(Access<'s>);

impl Services {
    /// Opens accounts to link them to users.
    pub fn link_accounts<'s>(&'s self, actor: &'s Actor) -> Result<AccountLinks<'s>> {
        self.open(actor, Right::ChangePeople).map(AccountLinks)
    }
}

impl AccountLinks<'_> {
    /// Makes an account that nobody has, or whose user was deleted, the account of a user in a directory. From then on the
    /// user decides what it holds.
    pub async fn link(&self, user: &str, directory: &str, account: &str) -> Result<(UserId, Account)> {
        let directory = find(self.0, directory).await?;
        let (store, organization, target) = (self.0.store(), self.0.organization(), TargetId::from(directory.id));
        let user = deleted_users::resolve(self.0, user).await?;
        let id = resolve::account(self.0, account).await?;
        let found = store.get_account(organization, id).await?.filter(|account| account.target == target);
        let account = found.ok_or_else(|| {
            let message = Message::new(format!("{} has no such account.", directory.name));
            Error::NotFound(message.cure(format!(
                "`postern accounts list --directory {}` shows those that imports have found.",
                directory.name
            )))
        })?;
        if store.get_provisioning(organization, target).await?.is_none() {
            let message = Message::new(format!("Nothing is provisioned to {}.", directory.name));
            return Err(Error::Conflict(
                message.cure("For a user who comes from the directory, see `postern conflicts`."),
            ));
        }
        let mut tx = store.begin_identities(organization, self.0.now()).await?;
        if !tx.link_outbound(account.id, user).await? {
            tx.rollback().await?;
            let own = store.accounts_in(organization, target, &[IdentityId::User(user)]).await?;
            if let Some(own) = own.iter().find(|own| own.account.missing_since.is_none()) {
                let message = Message::new(format!("The user has the account {} there already.", own.account.dn));
                return Err(Error::Conflict(message.cure("A user has one account in a directory.")));
            }
            let message = Message::new(format!("{} is the account of another user, or is gone.", account.dn));
            return Err(Error::Conflict(
                message.cure(format!("`postern accounts show {}` says whose it is.", account.id)),
            ));
        }
        tx.mark(target, &[IdentityId::User(user)]).await?;
        let change = Change::new("user.account_linked", user.as_uuid(), &account.dn);
        tx.note(self.0.note(change.after(&json!({ "target": directory.name, "account": account.id }))));
        tx.commit().await?;
        tracing::info!(%organization, by = %self.0.actor().who, %user, account = %account.id, "user.account_linked");
        Ok((user, account))
    }
}
