//! What becomes of the accounts of users who lose them, said before it is done.

use jiff::Timestamp;
use postern_store::{AccountKind, Provisioning, Store};

use super::change::Change;
use super::pace::{self, Pace};
use super::settings::{Leaving, LeavingThen, Settings};

impl Settings {
    /// What becomes of the account of a user who should have none any more. What is not allowed does not happen.
    pub fn becomes(&self) -> Leaving {
        match self.leaving {
            Leaving::Delete if self.switches.delete_users => Leaving::Delete,
            Leaving::Disable if self.switches.enable_disable_users => Leaving::Disable,
            _ => Leaving::Keep,
        }
    }

    /// What else becomes of it. What is not allowed does not happen.
    pub fn also_becomes(&self) -> LeavingThen {
        if self.leaving != Leaving::Disable {
            return LeavingThen::default();
        }
        let LeavingThen { move_to, remove_groups, delete_after_days } = &self.leaving_then;
        LeavingThen {
            move_to: move_to.clone().filter(|_| self.switches.edit_users),
            remove_groups: *remove_groups && self.switches.sync_members,
            delete_after_days: delete_after_days.filter(|_| self.switches.delete_users),
        }
    }
}

/// How many accounts of a target may become this now without anybody being asked.
pub async fn room(
    store: &Store,
    provisioning: &Provisioning,
    settings: &Settings,
    now: Timestamp,
) -> Result<u64, postern_store::Error> {
    let change = match settings.becomes() {
        Leaving::Delete => Change::Delete,
        Leaving::Disable => Change::Disable,
        Leaving::Keep => return Ok(u64::MAX),
    };
    let (organization, target) = (provisioning.organization, provisioning.target);
    let recent = store.recent_operations(organization, target, pace::an_hour_before(now)).await?;
    let accounts = store.count_present(organization, target.directory(), AccountKind::User).await?;
    Ok(Pace::of(recent).room(&change, &settings.thresholds, accounts, now))
}
