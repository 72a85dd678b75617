//! Limits the refusals of an address. An address that guesses tokens, or repeats a wrong one, must wait; a valid token
//! is always accepted, because many clients share an address behind a proxy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::crowd::network;

/// Refusals allowed at once.
const BURST: f64 = 20.0;
/// Refusals allowed in each further second.
const PER_SECOND: f64 = 0.5;
/// Addresses that are remembered. Beyond that, addresses with a full allowance are forgotten, then all.
const MOST: usize = 10_000;

/// The addresses that were refused recently.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<IpAddr, Bucket>>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Bucket {
    fn refilled(self, now: Timestamp) -> Self {
        let seconds = now.duration_since(self.at).as_secs_f64().max(0.0);
        Self { left: (self.left + seconds * PER_SECOND).min(BURST), at: now }
    }
}

impl Refusals {
    /// Counts a refusal. `Err`: there were too many; how long to wait before the next try.
    pub(crate) fn count(&self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let mut addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= MOST {
            addresses.retain(|_, bucket| bucket.refilled(now).left < BURST);
            if addresses.len() >= MOST {
                addresses.clear();
            }
        }
        let bucket = addresses.entry(network(address)).or_insert(Bucket { left: BURST, at: now });
        *bucket = bucket.refilled(now);
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / PER_SECOND));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_too_many_refusals_must_wait_and_others_need_not() {
        let (refusals, now) = (Refusals::default(), Timestamp::UNIX_EPOCH);
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let allowed = (0..100).filter(|_| refusals.count(one, now).is_ok()).count();
        assert_eq!(allowed, 20);
        assert_eq!(refusals.count(one, now), Err(Duration::from_secs(2)));
        assert!(refusals.count(other, now).is_ok());
        assert!(refusals.count(one, now + Duration::from_secs(2)).is_ok());
        assert!(refusals.count(one, now + Duration::from_secs(2)).is_err());
    }

    #[test]
    fn no_more_addresses_are_remembered_than_fit() {
        let (refusals, now) = (Refusals::default(), Timestamp::UNIX_EPOCH);
        for number in 0..3 * u32::try_from(MOST).unwrap() {
            let _ = refusals.count(std::net::Ipv4Addr::from(number).into(), now);
        }
        assert!(refusals.0.lock().unwrap().len() <= MOST);
    }
}
