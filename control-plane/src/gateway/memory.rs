//! How much memory deliveries may use, in total and for each agent. A delivery that needs more waits for room; only the
//! agent that uses much waits for it.
//!
//! A chunk passes four pools in this order and never asks an earlier pool while it holds a later one. This excludes
//! deadlocks: what was decided is written, and then freed.

use std::sync::Arc;

use postern_proto::limits::{CHUNK_TARGET_BYTES, MAX_CHUNK_BYTES, MAX_ENTRY_VALUE_BYTES};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MIB: usize = 1 << 20;
/// Pools count kibibytes, to fit a semaphore.
const UNIT: usize = 1 << 10;

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
    agent: usize,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Arriving, Self::ArrivingLarge, Self::Unpacked, Self::Decided];

    const fn sizes(self) -> Sizes {
        match self {
            Self::Arriving => Sizes { all: 256 * MIB, agent: 8 * MIB },
            Self::ArrivingLarge => Sizes { all: 192 * MIB, agent: MAX_CHUNK_BYTES },
            Self::Unpacked => Sizes { all: 256 * MIB, agent: MAX_CHUNK_BYTES },
            Self::Decided => Sizes { all: 512 * MIB, agent: 192 * MIB },
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

/// The pools, of all agents or of one.
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
pub(super) struct Memory(Arc<Pools>);

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Pools::new(|sizes| sizes.all)))
    }
}

impl Memory {
    /// The share of one agent.
    pub(super) fn share(&self) -> Share {
        Share { own: Pools::new(|sizes| sizes.agent), all: Arc::clone(&self.0) }
    }
}

/// The share of one agent.
#[derive(Debug)]
pub(super) struct Share {
    own: Pools,
    all: Arc<Pools>,
}

/// Memory in use until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Takes this many bytes of a pool, as soon as there is room. More than the limit of a single chunk counts as that
    /// limit.
    pub(super) async fn take(&self, stage: Stage, bytes: usize) -> Taken {
        let units = u32::try_from(bytes.min(stage.most()).div_ceil(UNIT)).unwrap_or(u32::MAX);
        // The agent's own share first: its excess waits here without holding memory of the others.
        let own = self.own.take(stage, units).await;
        Taken { _own: own, _all: self.all.take(stage, units).await }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_agents_excess_waits_for_itself_and_keeps_nobody_else_waiting() {
        let memory = Memory::default();
        let (greedy, modest) = (memory.share(), memory.share());
        let first = greedy.take(Stage::Decided, Stage::Decided.most()).await;
        let mut second = Box::pin(greedy.take(Stage::Decided, MIB));
        assert!((&mut second).now_or_never().is_none(), "it has taken all that it may");
        assert!(modest.take(Stage::Decided, 4 * MIB).now_or_never().is_some());
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[tokio::test]
    async fn all_together_are_bounded() {
        let memory = Memory::default();
        let shares: Vec<Share> = (0..4).map(|_| memory.share()).collect();
        let taken: Vec<Taken> =
            shares.iter().map_while(|share| share.take(Stage::Decided, usize::MAX).now_or_never()).collect();
        assert_eq!(taken.len(), 2);
        assert!(shares[3].take(Stage::Arriving, ORDINARY_BYTES).now_or_never().is_some(), "the pools are apart");
    }
}
