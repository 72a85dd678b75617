//! The digest with which both ends of an import prove that they hold the same entries, in whatever order
//! they came: the sum of the entries' BLAKE3 hashes, as four lanes of 64 bits.
//!
//! A sum, unlike an exclusive-or, sees an entry that was counted twice. It guards against loss, doubling and
//! damage on the way; against forgery the connection is authenticated at both ends.

/// Sum of entry hashes. Equal sums and equal counts mean that both ends hold the same entries.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Digest([u64; 4]);

impl Digest {
    /// Adds one entry, by its content hash.
    pub fn add_entry(&mut self, hash: &[u8; 32]) {
        self.add(&Self::from_bytes(hash));
    }

    /// Adds all that another digest has seen.
    pub fn add(&mut self, other: &Self) {
        for (lane, more) in self.0.iter_mut().zip(other.0) {
            *lane = lane.wrapping_add(more);
        }
    }

    /// As it travels: the lanes in order, each little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, lane) in bytes.chunks_exact_mut(8).zip(self.0) {
            place.copy_from_slice(&lane.to_le_bytes());
        }
        bytes
    }

    /// The reverse of [`Digest::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut lanes = [0; 4];
        for (lane, place) in lanes.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(place);
            *lane = u64::from_le_bytes(word);
        }
        Self(lanes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_and_the_grouping_do_not_matter(
            mut hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..40), cut in 0_usize..40,
        ) {
            let mut forward = Digest::default();
            for hash in &hashes {
                forward.add_entry(hash);
            }
            hashes.reverse();
            let cut = cut.min(hashes.len());
            let (mut left, mut right) = (Digest::default(), Digest::default());
            hashes[..cut].iter().for_each(|hash| left.add_entry(hash));
            hashes[cut..].iter().for_each(|hash| right.add_entry(hash));
            left.add(&right);
            prop_assert_eq!(forward, left);
            prop_assert_eq!(Digest::from_bytes(&forward.to_bytes()), forward);
        }
    }

    #[test]
    fn an_entry_counted_twice_shows() {
        let hash = *blake3::hash(b"entry").as_bytes();
        let (mut once, mut twice) = (Digest::default(), Digest::default());
        once.add_entry(&hash);
        twice.add_entry(&hash);
        twice.add_entry(&hash);
        assert_ne!(once, twice);
        assert_ne!(twice, Digest::default());
    }
}
