//! The chunks that were taken up and are not acknowledged: sent, or still to be sent on the present stream.

use std::collections::VecDeque;

use bytes::Bytes;

/// A chunk with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) sequence: u64,
    pub(super) payload: Bytes,
}

/// The two ends disagree on what was delivered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the control plane names chunk {sequence}, but the agent has {first} up to {end} (excluded)")]
pub(super) struct Gap {
    sequence: u64,
    first: u64,
    end: u64,
}

/// A bounded queue of numbered chunks with a mark between those sent and those to be sent.
pub(super) struct Window {
    max_chunks: usize,
    max_bytes: usize,
    chunks: VecDeque<Numbered>,
    bytes: usize,
    next_sequence: u64,
    sent: usize,
}

impl Window {
    pub(super) fn new(max_chunks: usize, max_bytes: usize) -> Self {
        Self {
            max_chunks: max_chunks.max(1),
            max_bytes: max_bytes.max(1),
            chunks: VecDeque::new(),
            bytes: 0,
            next_sequence: 0,
            sent: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether another chunk may be taken up. An empty window takes one of any size.
    pub(super) fn has_room(&self) -> bool {
        self.chunks.is_empty() || (self.chunks.len() < self.max_chunks && self.bytes < self.max_bytes)
    }

    pub(super) fn push(&mut self, payload: Bytes) {
        self.bytes += payload.len();
        self.chunks.push_back(Numbered { sequence: self.next_sequence, payload });
        self.next_sequence += 1;
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.chunks.len()
    }

    /// The next chunk to be sent on this stream; it counts as sent from now on.
    pub(super) fn next_unsent(&mut self) -> Option<Numbered> {
        let chunk = self.chunks.get(self.sent)?.clone();
        self.sent += 1;
        Some(chunk)
    }

    /// Everything through `sequence` is durable; returns how many chunks that drops. It may be repeated.
    pub(super) fn acknowledge(&mut self, sequence: u64) -> Result<u64, Gap> {
        if sequence >= self.next_sequence {
            return Err(self.gap(sequence));
        }
        Ok(self.forget_before(sequence + 1))
    }

    /// A new stream is open, and everything before `next` is durable: what is held from there on is sent again.
    pub(super) fn resume(&mut self, next: u64) -> Result<(), Gap> {
        if next < self.first() || next > self.next_sequence {
            return Err(self.gap(next));
        }
        self.forget_before(next);
        self.sent = 0;
        Ok(())
    }

    fn forget_before(&mut self, next: u64) -> u64 {
        let mut forgotten = 0;
        while let Some(chunk) = self.chunks.pop_front_if(|chunk| chunk.sequence < next) {
            self.bytes -= chunk.payload.len();
            self.sent = self.sent.saturating_sub(1);
            forgotten += 1;
        }
        forgotten
    }

    fn first(&self) -> u64 {
        self.chunks.front().map_or(self.next_sequence, |chunk| chunk.sequence)
    }

    fn gap(&self, sequence: u64) -> Gap {
        Gap { sequence, first: self.first(), end: self.next_sequence }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Produce(usize),
        Transmit,
        Acknowledge,
        Cut,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1_usize..600).prop_map(Step::Produce),
            Just(Step::Transmit),
            Just(Step::Transmit),
            Just(Step::Acknowledge),
            Just(Step::Cut),
        ]
    }

    proptest! {
        /// Whatever is cut and wherever: the other end sees every chunk, in order, and counts none twice.
        #[test]
        fn no_chunk_is_lost_or_doubled(steps in proptest::collection::vec(step(), 0..400)) {
            let mut window = Window::new(4, 1000);
            let (mut produced, mut durable) = (0_u64, Vec::new());
            let finish = (0..60).map(|turn| if turn % 2 == 0 { Step::Transmit } else { Step::Acknowledge });
            for step in steps.into_iter().chain(finish) {
                match step {
                    Step::Produce(bytes) if window.has_room() => {
                        window.push(Bytes::from(vec![0; bytes]));
                        produced += 1;
                    }
                    Step::Produce(_) => {}
                    Step::Transmit => {
                        if let Some(chunk) = window.next_unsent() {
                            prop_assert_eq!(chunk.sequence, durable.len() as u64);
                            durable.push(chunk.sequence);
                        }
                    }
                    Step::Acknowledge => {
                        if let Some(last) = durable.last() {
                            window.acknowledge(*last).unwrap();
                        }
                    }
                    Step::Cut => window.resume(durable.len() as u64).unwrap(),
                }
                prop_assert!(window.len() <= 4);
                prop_assert!(window.bytes < 1000 + 600);
            }
            prop_assert_eq!(durable.len() as u64, produced);
            prop_assert!(window.is_empty());
        }
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_is_a_gap() {
        let mut window = Window::new(4, 1000);
        assert!(window.acknowledge(0).is_err());
        window.push(Bytes::from_static(b"a"));
        assert_eq!(window.acknowledge(0), Ok(1));
        assert_eq!(window.acknowledge(0), Ok(0), "repeated");
        assert!(window.resume(0).is_err(), "the other end has lost what it had acknowledged");
        assert!(window.resume(2).is_err(), "the other end has more than there is");
        assert_eq!(window.resume(1), Ok(()));
    }

    #[test]
    fn a_chunk_larger_than_the_window_travels_alone() {
        let mut window = Window::new(4, 10);
        window.push(Bytes::from(vec![0; 100]));
        assert!(!window.has_room());
        window.acknowledge(0).unwrap();
        assert!(window.has_room());
    }
}
