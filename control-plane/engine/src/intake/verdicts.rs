//! What was decided about users, gathered and written in one transaction.

use postern_store::{AccountId, Intake, UserId, UserRow};

use crate::identity::matching::Decision;

/// Decisions, sorted by what is done with them.
#[derive(Default)]
pub(super) struct Verdicts {
    created: Vec<UserRow>,
    updated: Vec<UserRow>,
    /// Users who get everything but another name.
    unnamed: Vec<UserRow>,
    /// Users who pass from accounts that are gone to others.
    taken_over: Vec<UserId>,
    /// Users who are gone and give their names up.
    giving_up: Vec<UserId>,
    /// Accounts that share a user with another directory from now on.
    joined: Vec<AccountId>,
    /// Users who were there before and of whom an account is written.
    touched: Vec<UserId>,
}

impl Verdicts {
    /// Takes up what was decided about an account.
    pub(super) fn add(&mut self, account: AccountId, decision: Decision) {
        if !matches!(decision, Decision::Create(_)) {
            self.touched.extend(decision.identity());
        }
        match decision {
            Decision::Create(row) => self.created.push(row),
            Decision::Update(row) => self.updated.push(row),
            Decision::Inherit { row, from } => {
                self.giving_up.push(from);
                self.updated.push(row);
            }
            Decision::Join { row, .. } => {
                self.joined.push(account);
                self.updated.extend(row);
            }
            Decision::TakeOver { user, row } => {
                self.taken_over.push(user);
                self.updated.extend(row);
            }
            Decision::Conflict { keeps, .. } | Decision::Nameless { keeps } => self.unnamed.extend(keeps),
            Decision::Keep(_) => {}
        }
    }

    /// Accounts that share a user with another directory from now on. They are marked once they are written.
    pub(super) fn joined(&mut self) -> Vec<AccountId> {
        std::mem::take(&mut self.joined)
    }

    /// Users who were there before and of whom an account is written: whether they are active is to be settled then.
    pub(super) fn touched(&mut self) -> Vec<UserId> {
        std::mem::take(&mut self.touched)
    }

    /// Writes the users.
    pub(super) async fn write(self, tx: &mut Intake) -> Result<(), postern_store::Error> {
        tx.take_over(&self.taken_over).await?;
        tx.identities().give_up_names(&self.giving_up).await?;
        tx.identities().insert_users(self.created).await?;
        tx.identities().update_users(self.updated).await?;
        tx.identities().update_profiles(self.unnamed).await
    }
}
