//! Decisions about users, collected and written in one transaction.

use postern_store::{AccountId, Intake, UserId, UserRow};

use crate::identity::matching::Decision;

/// Decisions, by how they are written.
#[derive(Default)]
pub(super) struct Verdicts {
    created: Vec<UserRow>,
    updated: Vec<UserRow>,
    /// Users who get everything except another name.
    unnamed: Vec<UserRow>,
    /// Users who pass from missing accounts to others.
    taken_over: Vec<UserId>,
    /// Users who are gone and give up their names.
    giving_up: Vec<UserId>,
    /// Accounts that share a user with another directory from now on.
    joined: Vec<AccountId>,
    /// Existing users of the written accounts.
    touched: Vec<UserId>,
}

impl Verdicts {
    /// Adds a decision about an account.
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

    /// Accounts that share a user with another directory from now on. Mark them once they are written.
    pub(super) fn joined(&mut self) -> Vec<AccountId> {
        std::mem::take(&mut self.joined)
    }

    /// Existing users of the written accounts: settle afterwards whether they are active.
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
