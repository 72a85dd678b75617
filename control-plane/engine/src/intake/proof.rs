//! The proof that an import is complete: the recorded entries equal what the agent sent, in number and content. Only
//! then may accounts be marked missing.

use postern_proto::digest::Digest;
use postern_store::Staged;

/// What an agent says that it sent in a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Chunks.
    pub chunks: u64,
    /// Entries of users.
    pub users: u64,
    /// Entries of groups.
    pub groups: u64,
    /// Sum over the content hashes of all entries.
    pub digest: Digest,
    /// Entries that the directory returned and the agent could not use.
    pub unusable: u64,
    /// Whether the agent can look for accounts that did not come.
    pub looks_again: bool,
}

/// What differs. The text is shown in the agent's log and with the job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The summary carries no digest of 32 bytes.
    #[error("the summary has no digest")]
    NoDigest,
    /// A count differs.
    #[error("the agent sent {sent} {what}, {recorded} are recorded")]
    Count {
        /// Of what.
        what: &'static str,
        /// According to the agent.
        sent: u64,
        /// According to the store.
        recorded: u64,
    },
    /// The counts agree but the contents do not.
    #[error("the content of the entries differs from what the agent sent")]
    Digest,
}

/// A search that ended early: existing entries did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} of the first {asked} of {missed} entries that did not come are there, so the search was cut")]
pub struct Cut {
    /// Entries that were found directly.
    pub found: u64,
    /// Entries that were looked for.
    pub asked: u64,
    /// Known entries that did not come.
    pub missed: u64,
}

/// Compares what was sent with what is recorded.
pub fn compare(sent: &Summary, recorded: &Staged) -> Result<(), Mismatch> {
    let counts = [
        ("chunks", sent.chunks, recorded.chunks),
        ("chunks without a gap", sent.chunks, recorded.next_sequence),
        ("users", sent.users, recorded.users),
        ("groups", sent.groups, recorded.groups),
    ];
    for (what, sent, recorded) in counts {
        if sent != recorded {
            return Err(Mismatch::Count { what, sent, recorded });
        }
    }
    if sent.digest != Digest::from_bytes(&recorded.digest) {
        return Err(Mismatch::Digest);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Summary, Staged) {
        let mut digest = Digest::default();
        digest.add_entry(&[7; 32]);
        let staged =
            Staged { next_sequence: 2, chunks: 2, users: 3, groups: 1, digest: digest.to_bytes(), ..Staged::default() };
        (Summary { chunks: 2, users: 3, groups: 1, digest, unusable: 0, looks_again: true }, staged)
    }

    #[test]
    fn equal_counts_and_contents_are_a_proof() {
        let (sent, recorded) = pair();
        assert_eq!(compare(&sent, &recorded), Ok(()));
        assert_eq!(
            compare(
                &Summary { chunks: 0, users: 0, groups: 0, digest: Digest::default(), unusable: 0, looks_again: false },
                &Staged::default()
            ),
            Ok(())
        );
    }

    #[test]
    fn any_difference_is_none() {
        let (sent, recorded) = pair();
        let lost = Staged { users: 2, ..recorded.clone() };
        assert!(matches!(compare(&sent, &lost), Err(Mismatch::Count { what: "users", .. })));
        let gap = Staged { next_sequence: 1, ..recorded.clone() };
        assert!(matches!(compare(&sent, &gap), Err(Mismatch::Count { .. })));
        let damaged = Staged { digest: [1; 32], ..recorded.clone() };
        assert_eq!(compare(&sent, &damaged), Err(Mismatch::Digest));
        let swapped = Staged { users: 1, groups: 3, ..recorded };
        assert!(compare(&sent, &swapped).is_err());
    }
}
