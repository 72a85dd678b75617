//! Accounts with one name, as two entries whose DNs differ only in case on a server that keeps them apart, or two with
//! one `uid`. A member of that name could be either, so it means neither. An entry without a user has its name too.
//!
//! An entry that was deleted and created again has the same DN as before; that is another case.

use std::collections::HashMap;

use uuid::Uuid;

/// The accounts `b` that keep the name of account `a`, which has a user or group, from meaning `a`. An account without a
/// user does not if it is `a` created again: it waits for the name of that user, and has the same DN or the same login
/// as members are named by.
macro_rules! other_of_the_name {
    () => {
        "SELECT 1 FROM accounts b WHERE b.target = a.target AND b.member_hash = a.member_hash \
         AND b.identity IS NOT NULL AND ((b.missing_since IS NULL AND a.missing_since IS NOT NULL) \
         OR ((b.missing_since IS NULL) = (a.missing_since IS NULL) AND b.identity <> a.identity \
         AND (b.dn <> a.dn OR b.id > a.id))) \
         UNION ALL SELECT 1 FROM accounts b WHERE b.target = a.target AND b.member_hash = a.member_hash \
         AND b.identity IS NULL AND b.missing_since IS NULL AND (a.missing_since IS NOT NULL \
         OR (b.conflict = (SELECT u.name_key FROM users u WHERE u.id = a.identity) AND (b.dn = a.dn \
         OR (SELECT d.member_form FROM directories d WHERE d.seq = a.target) <> 'dn')) IS NOT TRUE)"
    };
}
pub(crate) use other_of_the_name;

/// The names in directory `$1`, with hashes from `$2` up to `$3`, that several accounts have and that mean none of
/// them. Usually there are none; only the indexes of names are read.
macro_rules! names_of_nobody {
    () => {
        concat!(
            "SELECT t.member_hash FROM (SELECT member_hash FROM accounts WHERE target = $1 \
             AND identity IS NOT NULL AND member_hash >= $2 AND member_hash < $3 \
             GROUP BY member_hash HAVING count(*) > 1 \
             UNION SELECT z.member_hash FROM accounts z WHERE z.target = $1 AND z.identity IS NULL \
             AND z.member_hash >= $2 AND z.member_hash < $3 AND EXISTS (SELECT 1 FROM accounts b \
             WHERE b.target = $1 AND b.member_hash = z.member_hash AND b.identity IS NOT NULL)) t \
             WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.target = $1 AND a.member_hash = t.member_hash \
             AND a.identity IS NOT NULL AND NOT EXISTS (",
            $crate::twins::other_of_the_name!(),
            "))"
        )
    };
}
pub(crate) use names_of_nobody;

/// An account that has a name.
pub(crate) struct Candidate {
    pub(crate) hash: [u8; 16],
    pub(crate) id: Uuid,
    /// Its user or group.
    pub(crate) identity: Option<Uuid>,
    pub(crate) missing: bool,
    pub(crate) dn: String,
    /// For an account without a user: the folded user name that it waits for.
    pub(crate) waits_for: Option<String>,
}

/// The user or group that each name means: a present account before a missing one, and none if several are left.
pub(crate) struct Meaning<'n> {
    /// The folded names of users.
    pub(crate) user_names: &'n HashMap<Uuid, String>,
    /// Whether groups name members by login, not by DN.
    pub(crate) by_login: bool,
}

impl Meaning<'_> {
    /// The candidates are newest first.
    pub(crate) fn of(&self, candidates: Vec<Candidate>) -> HashMap<[u8; 16], Uuid> {
        let mut by_name: HashMap<[u8; 16], Vec<Candidate>> = HashMap::new();
        for candidate in candidates {
            by_name.entry(candidate.hash).or_default().push(candidate);
        }
        by_name.into_iter().filter_map(|(hash, of_name)| Some((hash, self.one_of(&of_name)?))).collect()
    }

    /// Of accounts with the same DN the newest is meant, of an entry that was created again.
    fn one_of(&self, of_name: &[Candidate]) -> Option<Uuid> {
        let any_is_there = of_name.iter().any(|candidate| !candidate.missing);
        let left = || of_name.iter().filter(|candidate| candidate.missing != any_is_there);
        let first = left().find(|candidate| candidate.identity.is_some())?;
        let meant = first.identity?;
        let gives_way = |other: &Candidate| {
            if let Some(identity) = other.identity {
                return identity == meant || other.dn == first.dn;
            }
            let waits_for_it = other.waits_for.is_some() && other.waits_for.as_ref() == self.user_names.get(&meant);
            waits_for_it && (self.by_login || other.dn == first.dn)
        };
        left().all(gives_way).then_some(meant)
    }
}
