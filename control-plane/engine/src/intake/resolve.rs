//! Decisions about an account that waits for a name: it belongs to the user who has the name, or to a new user, and a
//! user who is gone gives the name up.

use jiff::Timestamp;
use postern_store::{Account, AccountId, Directory, Intake, NamedUser, OrganizationId, Store, UserId, UserRow};

use super::candidates;
use super::claims::claim;
use super::joined_profiles::JoinedProfiles;
use super::last_good;
use super::place::Place;
use super::reading::rules_of;
use crate::identity::match_rules::USER_NAME;
use crate::identity::matching::Claim;

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The account belongs to the user who has the name.
    Link,
    /// The account belongs to this user, who must be one of those that it may belong to.
    LinkTo(UserId),
    /// The account gets a new user. The user who had the name gives it up.
    CreateUser,
    /// The account stays without a user, and no import asks again.
    Ignore,
    /// An ignored account becomes a conflict again.
    AskAgain,
}

impl Choice {
    /// Its name in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link | Self::LinkTo(_) => "link",
            Self::CreateUser => "create_user",
            Self::Ignore => "ignore",
            Self::AskAgain => "ask_again",
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
    /// The account may belong to several users, and none was named.
    #[error("the account may belong to several users")]
    Several,
    /// The account cannot belong to the named user.
    #[error("nothing says that the account belongs to this user")]
    NoCandidate,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] postern_store::Error),
}

/// Carries a decision out by somebody (`by`, for people), and returns the account's user. `None`: it has none.
pub async fn run(
    store: &Store,
    organization: OrganizationId,
    id: AccountId,
    (choice, by): (Choice, &str),
    now: Timestamp,
) -> Result<Option<UserId>, Error> {
    let account = store.get_account(organization, id).await?.filter(|account| account.missing_since.is_none());
    let account = account.ok_or(Error::NoConflict)?;
    if account.identity.is_some() {
        return Err(if account.conflict.is_some() { Error::HasUser } else { Error::NoConflict });
    }
    let directory = store.get_directory(organization, account.target.directory()).await?.ok_or(Error::NoConflict)?;
    let mut tx = store.begin_intake(organization, directory.id, now).await?;
    let decided = match (choice, account.conflict.clone()) {
        (Choice::AskAgain, _) => tx.ask_again(id).await.map_err(known).map(|()| None),
        (_, None) => Err(Error::NoConflict),
        (Choice::Ignore, Some(name_key)) => tx.ignore_conflict(id, &name_key, by).await.map_err(known).map(|()| None),
        (choice, Some(name_key)) => {
            let deciding = Deciding { store, directory: &directory, account: &account, name_key: &name_key, now };
            deciding.give(&mut tx, choice).await.map(Some)
        }
    };
    match decided {
        Ok(user) => {
            tx.commit().await?;
            Ok(user)
        }
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

fn known(error: postern_store::Error) -> Error {
    match error {
        postern_store::Error::NotFound { .. } => Error::NoConflict,
        other => Error::Store(other),
    }
}

struct Deciding<'a> {
    store: &'a Store,
    directory: &'a Directory,
    account: &'a Account,
    name_key: &'a str,
    now: Timestamp,
}

impl Deciding<'_> {
    /// Gives the account its user.
    async fn give(&self, tx: &mut Intake, choice: Choice) -> Result<UserId, Error> {
        let organization = self.directory.organization;
        let rules = rules_of(self.store, self.directory).await?;
        let claim = claim(Place::of(self.directory), rules.as_ref(), self.account, self.now);
        let claim = claim.ok_or(Error::NoConflict)?;
        let choice = self.named(choice).await?;
        let user = place((self.store, tx), self.account, self.name_key, choice, claim).await?;
        JoinedProfiles::new(self.store, organization).write(tx.identities(), &[user], self.now).await?;
        Ok(user)
    }

    /// The choice with its user, who must be one of those that the account may belong to.
    async fn named(&self, choice: Choice) -> Result<Choice, Error> {
        if !matches!(choice, Choice::Link | Choice::LinkTo(_)) {
            return Ok(choice);
        }
        let waiting = [(self.account, self.name_key)];
        let found = candidates::of(self.store, self.directory, &waiting, self.now).await?.pop().unwrap_or_default();
        let holder = found.users.iter().any(|(_, field)| field == USER_NAME);
        match (choice, found.users.as_slice()) {
            (Choice::LinkTo(user), users) if users.iter().any(|(one, _)| one.id == user) => Ok(choice),
            (Choice::LinkTo(_), _) => Err(Error::NoCandidate),
            (_, [(user, _)]) if !holder => Ok(Choice::LinkTo(user.id)),
            (_, [_, _, ..]) => Err(Error::Several),
            _ => Ok(choice),
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
        (Choice::LinkTo(user), _) => link_to(tx, account, user).await?,
        (_, None) => create(tx, claim.wanted).await?,
        (Choice::Link, Some(holder)) => {
            let of_holder = std::iter::once((holder.user, &mut claim));
            last_good::keep_of_claims(store, account.organization, of_holder).await?;
            link(tx, account, &holder, claim.wanted).await?
        }
        (_, Some(holder)) => {
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

/// Links to a user who may have another name. The caller writes the profile.
async fn link_to(tx: &mut Intake, account: &Account, user: UserId) -> Result<UserId, Error> {
    let known = tx.identities().users_as_they_are(&[user]).await?.pop().ok_or(Error::NoCandidate)?;
    let holder = tx.users_by_name(&[known.name_key], None).await?.pop().ok_or(Error::NoCandidate)?;
    if let Some(dn) = holder.dn {
        return Err(Error::Present { dn });
    }
    tx.take_over(&[user]).await?;
    if holder.elsewhere {
        tx.mark_joined(&[account.id]).await?;
    }
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
