//! The result codes that directories answer with, for the handbook: what each means and what to do.

use super::meaning::{Action, Refusal};

/// The codes of RFC 4511 appendix A and its extensions (122, RFC 4528).
const LAST: u32 = 122;

/// A result code, what it means, and what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResultWords {
    /// RFC 4511 §4.1.9.
    pub code: u32,
    /// What it says about a write.
    pub meaning: &'static str,
    /// What to do. `None`: nothing is known.
    pub cure: Option<&'static str>,
}

/// All that have words of their own.
pub fn results() -> Vec<ResultWords> {
    let words = |code| Refusal::new(Action::Modify, code, "", None);
    let unknown = words(0).meaning();
    (1..=LAST)
        .map(|code| (code, words(code)))
        .filter(|(_, refusal)| refusal.meaning() != unknown)
        .map(|(code, refusal)| ResultWords { code, meaning: refusal.meaning(), cure: refusal.cure() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_administrators_meet_have_words_and_a_cure() {
        let results = results();
        for code in [8, 16, 19, 20, 32, 50, 53, 65, 68, 71] {
            let found = results.iter().find(|result| result.code == code).unwrap();
            assert!(!found.meaning.is_empty() && found.cure.is_some(), "{found:?}");
        }
        assert!(results.iter().all(|result| result.code != 2), "protocolError is nobody's to cure");
    }
}
