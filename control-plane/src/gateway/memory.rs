//! How much memory deliveries may use: all together, those of one organization, and those of one agent. A delivery that
//! needs more waits for room for a limited time. An agent waits for its own deliveries first, then for those of its
//! organization; so one organization always leaves room for the others.
//!
//! A chunk passes four pools in this order and never asks an earlier pool while it holds a later one. This excludes
//! deadlocks: what was decided is written, and then freed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use postern_proto::limits::{CHUNK_TARGET_BYTES, MAX_CHUNK_BYTES, MAX_ENTRY_VALUE_BYTES};
use postern_store::OrganizationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

const MIB: usize = 1 << 20;
/// Pools count kibibytes, to fit a semaphore.
const UNIT: usize = 1 << 10;

/// How long a chunk may wait for room.
const PATIENCE: Duration = Duration::from_mins(2);

/// An ordinary chunk is closed at its target size: at most one entry more, and some framing.
pub(super) const ORDINARY_BYTES: usize = CHUNK_TARGET_BYTES + MAX_ENTRY_VALUE_BYTES + (256 << 10);

/// The stages of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Arriving, of ordinary size.
    Arriving,
    /// Arriving, and larger: a group with very many members.
    ArrivingLarge,
    /// Decompressed from a compressed chunk.
    Unpacked,
    /// Decided, not yet written.
    Decided,
}

/// The sizes of a pool, in bytes.
struct Sizes {
    all: usize,
    organization: usize,
    agent: usize,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Arriving, Self::ArrivingLarge, Self::Unpacked, Self::Decided];

    const fn sizes(self) -> Sizes {
        match self {
            Self::Arriving => Sizes { all: 256 * MIB, organization: 32 * MIB, agent: 8 * MIB },
            Self::ArrivingLarge => Sizes { all: 192 * MIB, organization: MAX_CHUNK_BYTES, agent: MAX_CHUNK_BYTES },
            Self::Unpacked => Sizes { all: 256 * MIB, organization: MAX_CHUNK_BYTES, agent: MAX_CHUNK_BYTES },
            Self::Decided => Sizes { all: 512 * MIB, organization: 192 * MIB, agent: 192 * MIB },
        }
    }

    /// The most that a single chunk may use of this pool.
    pub(super) fn most(self) -> usize {
        self.sizes().agent
    }

    const fn place(self) -> usize {
        match self {
            Self::Arriving => 0,
            Self::ArrivingLarge => 1,
            Self::Unpacked => 2,
            Self::Decided => 3,
        }
    }
}

/// The pools of all agents, of an organization, or of one agent.
#[derive(Debug)]
struct Pools([Arc<Semaphore>; 4]);

impl Pools {
    fn new(size: impl Fn(Sizes) -> usize) -> Self {
        Self(Stage::ALL.map(|stage| Arc::new(Semaphore::new(size(stage.sizes()) / UNIT))))
    }

    async fn take(&self, stage: Stage, units: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0[stage.place()]).acquire_many_owned(units).await.ok()
    }
}

/// The memory of all deliveries.
#[derive(Debug)]
pub(super) struct Memory {
    all: Arc<Pools>,
    /// The shares that are in use.
    organizations: DashMap<OrganizationId, Weak<Pools>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { all: Arc::new(Pools::new(|sizes| sizes.all)), organizations: DashMap::new() }
    }
}

impl Memory {
    /// The share of one agent of an organization.
    pub(super) fn share(&self, organization: OrganizationId) -> Share {
        self.organizations.retain(|_, pools| pools.strong_count() > 0);
        let mut entry = self.organizations.entry(organization).or_default();
        let organization = entry.upgrade().unwrap_or_else(|| {
            let pools = Arc::new(Pools::new(|sizes| sizes.organization));
            *entry = Arc::downgrade(&pools);
            pools
        });
        Share { own: Pools::new(|sizes| sizes.agent), organization, all: Arc::clone(&self.all) }
    }
}

/// The share of one agent.
#[derive(Debug)]
pub(super) struct Share {
    own: Pools,
    organization: Arc<Pools>,
    all: Arc<Pools>,
}

/// Memory in use until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    _permits: [Option<OwnedSemaphorePermit>; 3],
    /// Keeps the share while something of it is in use: an agent that reconnects gets no second one.
    _organization: Arc<Pools>,
}

/// There was no room in time.
#[derive(Debug, thiserror::Error)]
#[error("no room for a chunk within {} s: the chunks of {of} use all of it; deliver it again", PATIENCE.as_secs())]
pub(super) struct Full {
    of: &'static str,
}

impl From<Full> for Status {
    fn from(full: Full) -> Self {
        Self::unavailable(full.to_string())
    }
}

impl Share {
    /// Takes this many bytes of a pool, as soon as there is room. More than the limit of a single chunk counts as that
    /// limit.
    pub(super) async fn take(&self, stage: Stage, bytes: usize) -> Result<Taken, Full> {
        let units = u32::try_from(bytes.min(stage.most()).div_ceil(UNIT)).unwrap_or(u32::MAX);
        let mut of = "this agent";
        let taking = async {
            // The narrowest share first: what waits there holds nothing of the others.
            let own = self.own.take(stage, units).await;
            of = "this organization";
            let organization = self.organization.take(stage, units).await;
            of = "all organizations";
            [own, organization, self.all.take(stage, units).await]
        };
        let taken = tokio::time::timeout(PATIENCE, taking).await;
        let permits = taken.map_err(|_| Full { of })?;
        Ok(Taken { _permits: permits, _organization: Arc::clone(&self.organization) })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn organization(number: u128) -> OrganizationId {
        OrganizationId::from_uuid(Uuid::from_u128(number))
    }

    /// What a future gives at once. Tokio makes a task that has taken much wait for its next turn, which says nothing about
    /// room.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::task::unconstrained(future).now_or_never()
    }

    /// Takes again and again until there is no room.
    fn take_all(share: &Share, stage: Stage, bytes: usize) -> Vec<Taken> {
        std::iter::from_fn(|| now(share.take(stage, bytes))?.ok()).collect()
    }

    #[tokio::test]
    async fn an_agent_that_uses_its_share_waits_for_itself_and_for_no_other() {
        let memory = Memory::default();
        let (greedy, modest) = (memory.share(organization(1)), memory.share(organization(1)));
        let first = take_all(&greedy, Stage::Arriving, MIB);
        assert_eq!(first.len(), 8);
        let mut second = Box::pin(greedy.take(Stage::Arriving, MIB));
        assert!(now(&mut second).is_none(), "it has taken all that it may");
        assert!(now(modest.take(Stage::Arriving, 4 * MIB)).is_some());
        drop(first);
        assert!(now(second).is_some());
    }

    #[tokio::test]
    async fn an_organization_with_many_agents_leaves_room_for_another_in_every_pool() {
        let memory = Memory::default();
        for stage in Stage::ALL {
            let agents: Vec<Share> = (0..50).map(|_| memory.share(organization(1))).collect();
            let taken: Vec<Taken> = agents.iter().flat_map(|agent| take_all(agent, stage, MIB)).collect();
            assert!(!taken.is_empty());
            let other = memory.share(organization(2));
            assert!(now(other.take(stage, stage.most())).is_some(), "{stage:?}");
        }
    }

    #[tokio::test]
    async fn an_organization_gets_no_second_share_by_reconnecting() {
        let memory = Memory::default();
        let stage = Stage::ArrivingLarge;
        let taken = memory.share(organization(1)).take(stage, stage.most()).await;
        let again = memory.share(organization(1));
        assert!(now(again.take(stage, MIB)).is_none());
        drop(taken);
        assert!(now(again.take(stage, MIB)).is_some());
        drop(again);
        drop(memory.share(organization(2)));
        assert_eq!(memory.organizations.len(), 1, "shares that nobody uses are forgotten");
    }

    #[tokio::test]
    async fn all_together_are_bounded() {
        let memory = Memory::default();
        let shares: Vec<Share> = (0..4).map(|number| memory.share(organization(number))).collect();
        let taken: Vec<Taken> =
            shares.iter().map_while(|share| now(share.take(Stage::Decided, usize::MAX))).map(Result::unwrap).collect();
        assert_eq!(taken.len(), 2);
        assert!(now(shares[3].take(Stage::Arriving, ORDINARY_BYTES)).is_some(), "the pools are apart");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_room_ends_and_says_whose_chunks_use_it() {
        let memory = Memory::default();
        let (first, second) = (memory.share(organization(1)), memory.share(organization(1)));
        let _taken = first.take(Stage::Decided, usize::MAX).await.unwrap();
        let own = first.take(Stage::Decided, MIB).await.unwrap_err().to_string();
        assert!(own.contains("the chunks of this agent use all of it"), "{own}");
        let shared = second.take(Stage::Decided, MIB).await.unwrap_err().to_string();
        assert!(shared.contains("the chunks of this organization use all of it"), "{shared}");
    }
}
