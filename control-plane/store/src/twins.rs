//! Accounts with one name. Two entries of a directory can have DNs that compare as equal although the server keeps them
//! apart: with a zero-width space in one, or `ß` and `ss`. A member of that name could be either, so it means neither.
//! An entry that was deleted and created again has the same DN; that is another case.

use std::collections::HashMap;

use uuid::Uuid;

/// The accounts `b` that keep the name of account `a` from meaning `a`.
macro_rules! other_of_the_name {
    () => {
        "SELECT 1 FROM accounts b WHERE b.target = a.target AND b.member_hash = a.member_hash \
         AND b.identity IS NOT NULL AND ((b.missing_since IS NULL AND a.missing_since IS NOT NULL) \
         OR ((b.missing_since IS NULL) = (a.missing_since IS NULL) AND b.identity <> a.identity AND b.dn <> a.dn))"
    };
}
pub(crate) use other_of_the_name;

/// The names in directory `$1`, with hashes from `$2` up to `$3`, that several accounts have and that mean none of
/// them. Usually there are none; only the index of names is read.
macro_rules! names_of_nobody {
    () => {
        concat!(
            "SELECT t.member_hash FROM (SELECT member_hash FROM accounts WHERE target = $1 \
             AND identity IS NOT NULL AND member_hash >= $2 AND member_hash < $3 \
             GROUP BY member_hash HAVING count(*) > 1) t \
             WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.target = $1 AND a.member_hash = t.member_hash \
             AND a.identity IS NOT NULL AND NOT EXISTS (",
            $crate::twins::other_of_the_name!(),
            "))"
        )
    };
}
pub(crate) use names_of_nobody;

/// An account that a name may mean.
pub(crate) struct Candidate {
    pub(crate) hash: [u8; 16],
    pub(crate) identity: Uuid,
    pub(crate) missing: bool,
    pub(crate) dn: String,
}

/// The account that each name means: a present one before a missing one, and none if several are left.
pub(crate) fn meant(candidates: Vec<Candidate>) -> HashMap<[u8; 16], Uuid> {
    let mut by_name: HashMap<[u8; 16], Vec<Candidate>> = HashMap::new();
    for candidate in candidates {
        by_name.entry(candidate.hash).or_default().push(candidate);
    }
    by_name.into_iter().filter_map(|(hash, of_name)| Some((hash, one_of(&of_name)?))).collect()
}

/// Of accounts with the same DN the first is meant: the newer one, of an entry that was created again.
fn one_of(of_name: &[Candidate]) -> Option<Uuid> {
    let any_is_there = of_name.iter().any(|candidate| !candidate.missing);
    let mut left = of_name.iter().filter(|candidate| candidate.missing != any_is_there);
    let first = left.next()?;
    left.all(|other| other.identity == first.identity || other.dn == first.dn).then_some(first.identity)
}
