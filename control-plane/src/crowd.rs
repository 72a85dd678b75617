//! Places of connections whose peer has not proved who it is. A new one always gets a place: an address with too many
//! loses its oldest, and when there are too many in all, the address with the most does. So a peer that proves itself
//! within moments gets in, however many others only occupy places.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How many strangers may be connected at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// In total.
    pub(crate) all: usize,
    /// From one address. Sites behind one proxy or balancer share it.
    pub(crate) per_address: usize,
}

/// The connected strangers. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Crowd(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    here: Mutex<Here>,
}

#[derive(Debug, Default)]
struct Here {
    next: u64,
    count: usize,
    /// The oldest first.
    addresses: HashMap<IpAddr, VecDeque<(u64, CancellationToken)>>,
}

/// A stranger's place; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Stranger {
    crowd: Arc<Inner>,
    address: IpAddr,
    number: u64,
    evicted: CancellationToken,
}

impl Stranger {
    /// Ends when the place is given to another.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.crowd.here().remove(self.address, self.number);
    }
}

impl Crowd {
    /// An empty crowd.
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner { limits, here: Mutex::default() }))
    }

    /// Gives a stranger a place, and evicts another one if there is no room.
    pub(crate) fn enter(&self, address: IpAddr) -> Stranger {
        let address = network(address);
        let mut here = self.0.here();
        if here.addresses.get(&address).is_some_and(|those| those.len() >= self.0.limits.per_address) {
            here.evict(address);
        } else if here.count >= self.0.limits.all
            && let Some(crowded) = here.most_crowded()
        {
            here.evict(crowded);
        }
        let (number, evicted) = (here.next, CancellationToken::new());
        here.next += 1;
        here.count += 1;
        here.addresses.entry(address).or_default().push_back((number, evicted.clone()));
        drop(here);
        Stranger { crowd: Arc::clone(&self.0), address, number, evicted }
    }
}

impl Inner {
    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    fn remove(&mut self, address: IpAddr, number: u64) {
        let Some(those) = self.addresses.get_mut(&address) else { return };
        let before = those.len();
        those.retain(|(other, _)| *other != number);
        self.count -= before - those.len();
        if those.is_empty() {
            self.addresses.remove(&address);
        }
    }

    fn evict(&mut self, address: IpAddr) {
        let longest = self.addresses.get(&address).and_then(|those| those.front().cloned());
        if let Some((number, evicted)) = longest {
            evicted.cancel();
            self.remove(address, number);
        }
    }

    fn most_crowded(&self) -> Option<IpAddr> {
        self.addresses.iter().max_by_key(|(_, those)| those.len()).map(|(address, _)| *address)
    }
}

/// The state of a connection: a stranger's, until a request on it has proved who sent it.
#[derive(Debug)]
pub(crate) struct Standing {
    known: Arc<Semaphore>,
    place: Mutex<Place>,
    evicted: CancellationToken,
}

#[derive(Debug)]
enum Place {
    Stranger { _place: Stranger },
    Known { _place: OwnedSemaphorePermit },
}

impl Standing {
    /// A stranger's connection, with a limited number of places for known ones.
    pub(crate) fn new(stranger: Stranger, known: &Arc<Semaphore>) -> Self {
        let evicted = stranger.evicted.clone();
        Self { known: Arc::clone(known), place: Mutex::new(Place::Stranger { _place: stranger }), evicted }
    }

    /// A request on it has proved who sent it: it is no longer evicted for strangers, if there is a place for known
    /// connections.
    pub(crate) fn is_known(&self) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Place::Stranger { .. } = *place
            && !self.evicted.is_cancelled()
            && let Ok(permit) = Arc::clone(&self.known).try_acquire_owned()
        {
            *place = Place::Known { _place: permit };
        }
    }

    /// Ends when the place is given to another.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

/// Counts an IPv6 network as one address: one host has all of its addresses (RFC 6177).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { all: 5, per_address: 3 };

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn gone(strangers: &[Stranger]) -> Vec<bool> {
        strangers.iter().map(|one| one.evicted.is_cancelled()).collect()
    }

    #[test]
    fn one_more_of_a_full_address_takes_the_place_of_its_oldest() {
        let crowd = Crowd::new(LIMITS);
        let strangers: Vec<_> = (0..4).map(|_| crowd.enter(address(1))).collect();
        assert_eq!(gone(&strangers), [true, false, false, false]);
    }

    #[test]
    fn a_full_house_makes_room_at_the_cost_of_the_most_crowded_address() {
        let crowd = Crowd::new(LIMITS);
        let strangers: Vec<_> = [1, 2, 2, 2, 3, 4].map(|last| crowd.enter(address(last))).into();
        assert_eq!(gone(&strangers), [false, true, false, false, false, false]);
    }

    #[test]
    fn a_connection_that_closes_frees_its_place() {
        let crowd = Crowd::new(LIMITS);
        for _ in 0..20 {
            let _left = crowd.enter(address(1));
        }
        let strangers: Vec<_> = (0..3).map(|_| crowd.enter(address(1))).collect();
        assert_eq!(gone(&strangers), [false; 3]);
        drop(strangers);
        assert_eq!(crowd.0.here().count, 0);
        assert!(crowd.0.here().addresses.is_empty());
    }

    #[test]
    fn a_known_connection_is_not_evicted() {
        let (crowd, known) = (Crowd::new(LIMITS), Arc::new(Semaphore::new(1)));
        let standings: Vec<_> = (0..2).map(|_| Standing::new(crowd.enter(address(1)), &known)).collect();
        standings.iter().for_each(Standing::is_known);
        let strangers: Vec<_> = (0..4).map(|_| crowd.enter(address(1))).collect();
        let evicted = standings.iter().map(|one| one.evicted.is_cancelled());
        assert_eq!(evicted.collect::<Vec<_>>(), [false, true], "there was one place");
        assert_eq!(gone(&strangers), [true, false, false, false]);
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let addresses = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"].map(|text| network(text.parse().unwrap()));
        assert_eq!(addresses[0], addresses[1]);
        assert_ne!(addresses[0], network("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), address(1));
    }
}
