//! Decisions about users, collected and written in one transaction.

use std::collections::HashMap;

use postern_store::{AccountId, Intake, OrganizationId, Store, UserId, UserRow};
use uuid::Uuid;

use super::last_good;
use crate::identity::mapping::rules::Failed;
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

    /// Gives users who existed before their accounts the last good values of what failed. No failure, no query.
    pub(super) async fn keep_last_good(
        &mut self,
        store: &Store,
        organization: OrganizationId,
        failed: &HashMap<UserId, Vec<Failed>>,
    ) -> Result<(), postern_store::Error> {
        if failed.is_empty() {
            return Ok(());
        }
        let users = || self.updated.iter().chain(&self.unnamed).filter(|row| failed.contains_key(&row.id));
        let ids: Vec<Uuid> = users().map(|row| row.id.as_uuid()).collect();
        let known = last_good::profiles(store, organization, ids, Vec::new()).await?;
        for row in self.updated.iter_mut().chain(&mut self.unnamed) {
            if let (Some(failed), Some(good)) = (failed.get(&row.id), known.get(&row.id.as_uuid())) {
                last_good::restore(row, failed, good);
            }
        }
        Ok(())
    }

    /// Accounts that share a user with another directory from now on. Mark them once they are written.
    pub(super) fn joined(&mut self) -> Vec<AccountId> {
        std::mem::take(&mut self.joined)
    }

    /// Existing users of the written accounts: settle afterwards whether they are active.
    pub(super) fn touched(&mut self) -> Vec<UserId> {
        std::mem::take(&mut self.touched)
    }

    /// Writes the users. A new user of whose name an administrator had disabled one, who was deleted since, is disabled too.
    pub(super) async fn write(self, tx: &mut Intake) -> Result<(), postern_store::Error> {
        tx.take_over(&self.taken_over).await?;
        tx.identities().give_up_names(&self.giving_up).await?;
        let disabled = tx.identities().deleted_suspensions(&self.created).await?;
        tx.identities().insert_users(self.created).await?;
        for (user, suspension) in disabled {
            tx.identities().suspend(user, &suspension).await?;
        }
        tx.identities().update_users(self.updated).await?;
        tx.identities().update_profiles(self.unnamed).await
    }
}
