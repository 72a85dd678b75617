//! New entries that one server was asked for and gave no answer about. Until it can say what it did, no other server is
//! asked for the same entry: the entry may not have reached it yet, and it would make a second one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::operation::{Change, Operation};
use crate::config::DirectoryConfig;
use crate::error::Phase;

/// So long the server is waited for. By then the others have what it did, or it is gone for good.
const LONGEST: Duration = Duration::from_mins(15);
/// More are not remembered.
const MOST: usize = 10_000;

/// A server's place among those of its directory, and its address.
pub(crate) type Place = (usize, SocketAddr);

/// What a new entry is known by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key(Phase, String);

/// The servers that have to answer first.
#[derive(Default, Debug)]
pub(crate) struct Unsettled(Mutex<HashMap<Key, (Place, Instant)>>);

impl Key {
    /// Of a new entry. Other changes do no harm if two servers make them.
    pub(crate) fn of(operation: &Operation, config: &DirectoryConfig) -> Option<Self> {
        let Change::Create(create) = &operation.change else { return None };
        let by = match operation.phase {
            Phase::Users => config.users.unique_attribute.as_str(),
            Phase::Groups => "cn",
        };
        let (_, values) = create.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(by))?;
        let value = String::from_utf8_lossy(values.first()?).to_lowercase();
        Some(Self(operation.phase, value))
    }
}

impl Unsettled {
    /// The server that was asked for this entry.
    pub(crate) fn place(&self, key: &Key, now: Instant) -> Option<Place> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(_, since)| now.duration_since(*since) < LONGEST).map(|(place, _)| *place)
    }

    /// Notes a server that has not answered. The first time counts.
    pub(crate) fn remember(&self, key: Key, place: Place, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, since)| now.duration_since(*since) < LONGEST);
        if known.len() < MOST || known.contains_key(&key) {
            known.entry(key).or_insert((place, now)).0 = place;
        }
    }

    /// The server has answered.
    pub(crate) fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_waited_for_until_it_answers_and_not_for_ever() {
        let (unsettled, now) = (Unsettled::default(), Instant::now());
        let key = |name: &str| Key(Phase::Users, name.to_owned());
        let place = (1, SocketAddr::from(([127, 0, 0, 1], 636)));
        unsettled.remember(key("anna"), place, now);
        assert_eq!((unsettled.place(&key("anna"), now), unsettled.place(&key("bert"), now)), (Some(place), None));
        // Another try that fails does not prolong it.
        unsettled.remember(key("anna"), place, now + LONGEST / 2);
        assert_eq!(unsettled.place(&key("anna"), now + LONGEST), None);
        unsettled.remember(key("bert"), place, now);
        unsettled.forget(&key("bert"));
        assert_eq!(unsettled.place(&key("bert"), now), None);
        for number in 0..=MOST {
            unsettled.remember(key(&number.to_string()), place, now);
        }
        assert!(unsettled.0.lock().unwrap().len() <= MOST);
    }
}
