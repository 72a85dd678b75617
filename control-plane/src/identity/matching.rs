//! Which user an account belongs to: the one that it belonged to before, else the one that has its name, else a new
//! one. Where two accounts of one directory claim one name, the first keeps it and the second is a conflict.

use std::collections::{HashMap, HashSet};

use foldhash::quality::RandomState;
use postern_store::{NamedUser, UserId, UserRow};

/// What an account wants to be, and what comes of it.
#[derive(Debug)]
pub struct Claim {
    /// The user that the account belongs to already.
    pub current: Option<UserId>,
    /// The user as the mapping makes it; `None` when the entry offers no name.
    pub wanted: Option<UserRow>,
}

/// The decision about one claim.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// A new user comes into being.
    Create(UserRow),
    /// The account's user, or the one that had its name, is brought up to date.
    Update(UserRow),
    /// Another account of this directory has the name. The account keeps the user that it had, if any.
    Conflict {
        /// The folded name.
        name_key: String,
        /// The user that the account keeps.
        keeps: Option<UserId>,
    },
    /// The entry offers no name: no user, or the one that it had, unchanged.
    Nameless {
        /// The user that the account keeps.
        keeps: Option<UserId>,
    },
}

/// The names that are taken, as far as a batch of claims is concerned.
#[derive(Debug, Default)]
pub struct Names {
    taken: HashMap<String, Holder, RandomState>,
    /// Users whom an account that did not have them has taken over.
    taken_over: HashSet<UserId>,
    /// Users who belong to an account of the batch by now, whatever name they are found under.
    placed: HashSet<UserId>,
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    user: UserId,
    /// It has an account in the directory that is being imported.
    here: bool,
}

impl Names {
    /// The users that the store found under the wanted names.
    pub fn new(found: Vec<NamedUser>) -> Self {
        let holder = |named: &NamedUser| Holder { user: named.user, here: named.account.is_some() };
        let taken = found.into_iter().map(|named| (named.name_key.clone(), holder(&named))).collect();
        Self { taken, ..Self::default() }
    }

    /// Decides about one claim, and remembers the decision for the claims after it.
    pub fn decide(&mut self, claim: Claim) -> Decision {
        let Claim { current, wanted } = claim;
        // Somebody who was missing comes back, and a newer entry has the user already.
        let current = current.filter(|user| !self.taken_over.contains(user));
        let Some(mut row) = wanted else { return Decision::Nameless { keeps: current } };
        let holder = self.taken.get(&row.name_key).copied();
        let decision = match (holder, current) {
            (None, None) => Decision::Create(row),
            (None, Some(user)) => {
                row.id = user;
                Decision::Update(row)
            }
            (Some(holder), Some(user)) if holder.user == user => {
                row.id = user;
                Decision::Update(row)
            }
            // First sight of an account of somebody who is known from elsewhere.
            (Some(holder), None) if !holder.here && !self.placed.contains(&holder.user) => {
                row.id = holder.user;
                self.taken_over.insert(holder.user);
                Decision::Update(row)
            }
            (Some(_), keeps) => Decision::Conflict { name_key: row.name_key, keeps },
        };
        if let Decision::Create(row) | Decision::Update(row) = &decision {
            self.taken.insert(row.name_key.clone(), Holder { user: row.id, here: true });
        }
        self.placed.extend(decision.identity());
        decision
    }
}

impl Decision {
    /// The user that the account belongs to from now on.
    pub fn identity(&self) -> Option<UserId> {
        match self {
            Self::Create(row) | Self::Update(row) => Some(row.id),
            Self::Conflict { keeps, .. } | Self::Nameless { keeps } => *keeps,
        }
    }

    /// The name that the account wants and does not get.
    pub fn conflict(&self) -> Option<&str> {
        match self {
            Self::Conflict { name_key, .. } => Some(name_key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use postern_store::{AccountId, OrganizationId};

    use super::*;

    fn row(name: &str) -> UserRow {
        UserRow {
            id: UserId::new(),
            organization: OrganizationId::new(),
            user_name: name.to_owned(),
            name_key: name.to_lowercase(),
            given_name: None,
            family_name: None,
            display_name: None,
            email: None,
            active: true,
            attributes: "{}".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            missing_since: None,
        }
    }

    fn claim(current: Option<UserId>, name: &str) -> Claim {
        Claim { current, wanted: Some(row(name)) }
    }

    fn known(name: &str, here: bool) -> (UserId, NamedUser) {
        let user = UserId::new();
        let account = here.then(AccountId::new);
        (user, NamedUser { name_key: name.to_owned(), user, account, dn: None })
    }

    #[test]
    fn a_new_account_gets_a_new_user_and_the_next_of_that_name_a_conflict() {
        let mut names = Names::default();
        assert!(matches!(names.decide(claim(None, "Ada")), Decision::Create(_)));
        assert!(matches!(names.decide(claim(None, "ada")), Decision::Conflict { keeps: None, .. }));
    }

    #[test]
    fn on_first_sight_the_name_links_to_a_user_known_from_elsewhere() {
        let (user, holder) = known("ada", false);
        let mut names = Names::new(vec![holder]);
        assert_eq!(names.decide(claim(None, "ada")).identity(), Some(user));
        assert!(names.decide(claim(None, "ada")).conflict().is_some(), "the second account of this directory");
    }

    #[test]
    fn an_account_keeps_its_user_through_a_rename() {
        let user = UserId::new();
        let mut names = Names::default();
        let decision = names.decide(claim(Some(user), "new name"));
        assert!(matches!(&decision, Decision::Update(row) if row.id == user && row.user_name == "new name"));
    }

    #[test]
    fn a_rename_to_a_taken_name_is_a_conflict_and_loses_nothing() {
        let (_, holder) = known("taken", true);
        let user = UserId::new();
        let decision = Names::new(vec![holder]).decide(claim(Some(user), "taken"));
        assert_eq!(decision, Decision::Conflict { name_key: "taken".into(), keeps: Some(user) });
    }

    #[test]
    fn an_entry_without_a_name_has_no_user() {
        let decision = Names::default().decide(Claim { current: None, wanted: None });
        assert_eq!((decision.identity(), decision.conflict()), (None, None));
    }
}
