//! Places of those who call: so many requests of a token, and so many reads of an organization, at a time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use postern_engine::records::{ApiTokenId, OrganizationId};
use tokio::sync::Semaphore;

/// Requests of one token that are answered at a time; a further one waits.
pub(super) const AT_ONCE: usize = 8;
/// Requests of one organization that read at a time, with any tokens: half of the connections that read a `SQLite`
/// file, so that parallel lists of one organization leave room for others.
pub(super) const READING_AT_ONCE: usize = 4;
/// Event streams of one organization at a time, to leave room for others.
pub(super) const FOLLOWING_AT_ONCE: usize = 250;
/// Shares that are kept before the unused ones are dropped.
const KEPT: usize = 1_024;

/// The shares of the tokens and organizations that were used of late.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    pub(super) tokens: Places<ApiTokenId>,
    pub(super) reading: Places<OrganizationId>,
    pub(super) following: Places<OrganizationId>,
}

/// So many places for each.
#[derive(Debug)]
pub(super) struct Places<Id>(Mutex<HashMap<Id, Arc<Semaphore>>>);

impl<Id> Default for Places<Id> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Id: Copy + Eq + Hash> Places<Id> {
    pub(super) fn of(&self, id: Id, places: usize) -> Arc<Semaphore> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= KEPT && !shares.contains_key(&id) {
            shares.retain(|_, share| Arc::strong_count(share) > 1);
        }
        Arc::clone(shares.entry(id).or_insert_with(|| Arc::new(Semaphore::new(places))))
    }
}
