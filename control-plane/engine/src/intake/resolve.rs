//! Decisions about an account that waits for a name: it belongs to the user who has the name, or to a new user, and a
//! user who is gone gives the name up.

use jiff::Timestamp;
use postern_store::{Account, AccountId, Intake, NamedUser, OrganizationId, Store, UserId, UserRow};

use super::claims::claim;
use super::joined_profiles::JoinedProfiles;
use super::last_good;
use super::place::Place;
use super::reading::rules_of;
use crate::identity::matching::Claim;

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The account belongs to the user who has the name.
    Link,
    /// The account gets a new user. The user who had the name gives it up.
    CreateUser,
}

impl Choice {
    /// Its name in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::CreateUser => "create_user",
        }
    }
}

/// Why a decision cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such conflict, or it was resolved.
    #[error("the account is in no conflict")]
    NoConflict,
    /// The account has a user and only waits for another name.
    #[error("the account has a user already, who waits for the name")]
    HasUser,
    /// The user who has the name has another account in the same directory.
    #[error("the user has the account {dn} in this directory")]
    Present {
        /// The DN of that account.
        dn: String,
    },
    /// The user who has the name is present in another directory.
    #[error("the user who has the name is there, in another directory")]
    PresentElsewhere,
    /// The organization made the user who has the name, and the user is in no directory.
    #[error("the organization made the user who has the name")]
    Own,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] postern_store::Error),
}

/// Carries a decision out, and returns the account's user.
pub async fn run(
    store: &Store,
    organization: OrganizationId,
    id: AccountId,
    choice: Choice,
    now: Timestamp,
) -> Result<UserId, Error> {
    let account = store.get_account(organization, id).await?.filter(|account| account.missing_since.is_none());
    let account = account.ok_or(Error::NoConflict)?;
    let name_key = account.conflict.clone().ok_or(Error::NoConflict)?;
    if account.identity.is_some() {
        return Err(Error::HasUser);
    }
    let directory = store.get_directory(organization, account.target.directory()).await?.ok_or(Error::NoConflict)?;
    let rules = rules_of(store, &directory).await?;
    let claim = claim(Place::of(&directory), rules.as_ref(), &account, now).ok_or(Error::NoConflict)?;
    let mut tx = store.begin_intake(organization, directory.id, now).await?;
    match place((store, &mut tx), &account, &name_key, choice, claim).await {
        Ok(user) => {
            JoinedProfiles::new(store, organization).write(tx.identities(), &[user], now).await?;
            tx.commit().await?;
            Ok(user)
        }
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

/// Gives the account its user.
async fn place(
    (store, tx): (&Store, &mut Intake),
    account: &Account,
    name_key: &str,
    choice: Choice,
    mut claim: Claim,
) -> Result<UserId, Error> {
    let holder = tx.users_by_name(&[name_key.to_owned()], None).await?.pop();
    let user = match (choice, holder) {
        (_, None) => create(tx, claim.wanted).await?,
        (Choice::Link, Some(holder)) => {
            let of_holder = std::iter::once((holder.user, &mut claim));
            last_good::keep_of_claims(store, account.organization, of_holder).await?;
            link(tx, account, &holder, claim.wanted).await?
        }
        (Choice::CreateUser, Some(holder)) => {
            if let Some(dn) = holder.dn {
                return Err(Error::Present { dn });
            }
            if holder.elsewhere {
                return Err(Error::PresentElsewhere);
            }
            if holder.is_own && !holder.missing_here && !holder.missing_elsewhere {
                return Err(Error::Own);
            }
            tx.identities().give_up_names(&[holder.user]).await?;
            create(tx, claim.wanted).await?
        }
    };
    match tx.decide_conflict(account.id, name_key, user).await {
        Err(postern_store::Error::NotFound { .. }) => return Err(Error::NoConflict),
        decided => decided?,
    }
    tx.identities().settle_users(&[user]).await?;
    Ok(user)
}

async fn create(tx: &mut Intake, row: UserRow) -> Result<UserId, Error> {
    let user = row.id;
    tx.identities().insert_users(vec![row]).await?;
    Ok(user)
}

async fn link(tx: &mut Intake, account: &Account, holder: &NamedUser, wanted: UserRow) -> Result<UserId, Error> {
    if let Some(dn) = holder.dn.clone() {
        return Err(Error::Present { dn });
    }
    let user = holder.user;
    tx.take_over(&[user]).await?;
    if !holder.owned_elsewhere {
        tx.identities().update_users(vec![UserRow { id: user, ..wanted }]).await?;
    }
    if holder.elsewhere {
        tx.mark_joined(&[account.id]).await?;
    }
    Ok(user)
}
