//! Since when users should have no account any more. It is noted with the account, so that it can be deleted days later,
//! also after a restart, and so that it is known what to undo if the user should have it again.

use jiff::Timestamp;
use postern_store::TargetAccount;

use super::settings::{Leaving, Settings};
use super::wanted::Wanted;

/// Whether a user has left the account behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Left {
    /// No, or nobody says so.
    #[default]
    No,
    /// Since then.
    Since(Timestamp),
    /// Since now: it has to be noted.
    Now,
    /// The user is back: what was noted goes.
    Back,
}

impl Left {
    /// What holds for the account of a user.
    pub(super) fn of(wanted: &Wanted, account: Option<&TargetAccount>, settings: &Settings) -> Self {
        let Some(account) = account.filter(|found| found.account.outbound) else { return Self::No };
        let disables = settings.leaving == Leaving::Disable;
        match (wanted.exists, account.left_at) {
            // Without a container it cannot be brought back yet.
            (Some(true), Some(_)) if !wanted.nowhere => Self::Back,
            (Some(false), Some(at)) if disables => Self::Since(at),
            (Some(false), None) if disables => Self::Now,
            _ => Self::No,
        }
    }

    /// When the account will be deleted. `None`: never, or it is overdue.
    pub(super) fn deletion(self, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
        let since = match self {
            Self::Since(at) => at,
            Self::Now => now,
            Self::No | Self::Back => return None,
        };
        settings.deletion_due(since).filter(|due| *due > now)
    }
}
