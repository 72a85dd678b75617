//! Which user an account belongs to: the one that it had before, else the one with its name, else a new one. A name
//! belongs to one user. A user that waits for a name gets all other changes.

use std::collections::{HashMap, HashSet};

use foldhash::quality::RandomState;
use postern_store::{HeldUser, NamedUser, UserId, UserRow};

use super::mapping::rules::Failed;

/// The stage at which claims are decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Entries arrive. It is not known yet who is missing.
    #[default]
    Arriving,
    /// The import is proven, and missing accounts are marked. Users return to their own accounts, or pass to recreated
    /// entries.
    Returning,
    /// After that: all the others.
    Settling,
}

/// What an account claims.
#[derive(Debug)]
pub struct Claim {
    /// The user that the account has already.
    pub current: Option<UserId>,
    /// The user that passed to a newer account while this one was missing.
    pub former: Option<UserId>,
    /// The mapped user. Its name key is empty if the entry has no login.
    pub wanted: UserRow,
    /// The other values of a login attribute with several.
    pub other_names: Vec<String>,
    /// The rules that failed on it. What they fill is not good, and does not replace what the user has.
    pub failed: Vec<Failed>,
    /// What the matching rules of the directory find for a new account. `None`: it has no rules, and the login counts.
    pub found: Option<Found>,
}

/// What matching rules find for a new account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody.
    Nobody,
    /// One user.
    One(UserId),
    /// Several users, or one whom several accounts of the directory match.
    Several,
}

/// The decision about one claim.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// A new user is created.
    Create(UserRow),
    /// The account's own user is updated.
    Update(UserRow),
    /// The account's own user is updated, and takes the name of a user who is gone.
    Inherit {
        /// The account's own user.
        row: UserRow,
        /// The user that gives up the name.
        from: UserId,
    },
    /// A new account of a user who is known from another directory.
    Join {
        /// The user.
        user: UserId,
        /// The user as mapped here; `None` if the other directory provides the profile.
        row: Option<UserRow>,
    },
    /// The user of a missing account passes to this one.
    TakeOver {
        /// The user.
        user: UserId,
        /// The user as mapped here; `None` if another directory provides the profile.
        row: Option<UserRow>,
    },
    /// The account's own user; another directory provides the profile.
    Keep(UserId),
    /// Another user has the name.
    Conflict {
        /// The folded name.
        name_key: String,
        /// The account's user. All except its name is updated.
        keeps: Option<UserRow>,
    },
    /// The entry has no login. Its user keeps its name; all else is updated.
    Nameless {
        /// That user.
        keeps: Option<UserRow>,
    },
}

/// The names that matter to a batch of claims, and their users.
#[derive(Debug, Default)]
pub struct Names {
    stage: Stage,
    taken: HashMap<String, Holder, RandomState>,
    by_user: HashMap<UserId, Holder, RandomState>,
    held: HashMap<UserId, HeldUser, RandomState>,
    /// Users that have an account of the batch now, by any of their names.
    placed: HashSet<UserId, RandomState>,
    /// Those of them that other directories have, too.
    joined: Vec<UserId>,
    /// Users of entries that were created again, and that were enabled before.
    unbroken: Vec<UserId>,
}

#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts about one user")]
struct Holder {
    user: UserId,
    /// Whether it has a present account in this directory.
    here: bool,
    /// Whether it has a missing one.
    missing_here: bool,
    /// Whether this import has marked it missing.
    left_now: bool,
    /// Whether it was enabled then.
    left_on: bool,
    elsewhere: bool,
    missing_elsewhere: bool,
    /// Whether it is missing or inactive.
    has_left: bool,
    owned_elsewhere: bool,
    is_own: bool,
    only_suspended: bool,
    may_be_joined: bool,
}

impl Holder {
    fn here(user: UserId) -> Self {
        Self {
            user,
            here: true,
            missing_here: false,
            left_now: false,
            left_on: false,
            elsewhere: false,
            missing_elsewhere: false,
            has_left: false,
            owned_elsewhere: false,
            is_own: false,
            only_suspended: false,
            may_be_joined: false,
        }
    }

    /// A user of the organization's own whom an administrator has disabled has not left: rules may link an account to the
    /// user, who stays disabled.
    fn without_suspension(self) -> Self {
        let never_had_one = !self.missing_here && !self.missing_elsewhere;
        Self { has_left: self.has_left && !(self.is_own && self.only_suspended && never_had_one), ..self }
    }

    /// Whether it has no present account. A user whom the organization made and no directory has had is not gone.
    fn is_gone(self) -> bool {
        let never_had_one = self.is_own && !self.missing_here && !self.missing_elsewhere;
        !self.here && !self.elsewhere && !never_had_one
    }
}

impl From<&NamedUser> for Holder {
    fn from(named: &NamedUser) -> Self {
        Self {
            user: named.user,
            here: named.account.is_some(),
            missing_here: named.missing_here,
            left_now: named.left_now,
            left_on: named.left_on,
            elsewhere: named.elsewhere,
            missing_elsewhere: named.missing_elsewhere,
            has_left: named.has_left,
            owned_elsewhere: named.owned_elsewhere,
            is_own: named.is_own,
            only_suspended: named.only_suspended,
            may_be_joined: named.may_be_joined,
        }
    }
}

impl Names {
    /// `found` are the users with the claimed names, `held` those of the accounts.
    pub fn new(stage: Stage, found: &[NamedUser], held: Vec<HeldUser>) -> Self {
        let taken = found.iter().map(|named| (named.name_key.clone(), Holder::from(named))).collect();
        let by_user = found.iter().map(|named| (named.user, Holder::from(named))).collect();
        let held = held.into_iter().map(|held| (held.user, held)).collect();
        Self { stage, taken, by_user, held, placed: HashSet::default(), ..Self::default() }
    }

    /// Decides one claim, and remembers the decision for later claims.
    pub fn assign(&mut self, claim: Claim) -> Decision {
        let decision = match claim.current {
            Some(user) => self.of_known(user, claim),
            None => self.of_newcomer(claim),
        };
        let is_elsewhere = |user: &UserId| {
            self.held.get(user).is_some_and(|held| held.elsewhere)
                || self.by_user.get(user).is_some_and(|holder| holder.elsewhere)
                || matches!(decision, Decision::TakeOver { .. })
        };
        self.joined.extend(decision.identity().filter(is_elsewhere));
        if let Decision::TakeOver { user, .. } = &decision {
            self.unbroken.extend(self.by_user.get(user).filter(|holder| holder.left_on).map(|_| *user));
        }
        if let Some(row) = decision.named() {
            self.taken.insert(row.name_key.clone(), Holder::here(row.id));
        }
        self.placed.extend(decision.identity());
        decision
    }

    /// Users of the batch that other directories may have, too: their values come from several accounts.
    pub fn joined(&self) -> &[UserId] {
        &self.joined
    }

    /// Users who passed to entries that were created again, and whom the former entries let be active until this import.
    /// They stay active if the new ones say on.
    pub fn unbroken(&self) -> &[UserId] {
        &self.unbroken
    }

    fn of_known(&self, user: UserId, claim: Claim) -> Decision {
        let Claim { mut wanted, other_names, .. } = claim;
        wanted.id = user;
        let held = self.held.get(&user);
        if held.is_some_and(|held| held.owned_elsewhere) {
            return Decision::Keep(user);
        }
        if wanted.name_key.is_empty() {
            return Decision::Nameless { keeps: Some(wanted) };
        }
        // The order of an attribute's values means nothing: the user keeps its name while it is among them.
        if let Some(held) = held.filter(|held| held.name_key != wanted.name_key)
            && let Some(name) = other_names.into_iter().find(|name| postern_store::fold(name) == held.name_key)
        {
            wanted.user_name = name;
            wanted.name_key.clone_from(&held.name_key);
        }
        match self.taken.get(&wanted.name_key).copied() {
            None => Decision::Update(wanted),
            Some(holder) if holder.user == user => Decision::Update(wanted),
            Some(holder) if self.gives_up(holder) => Decision::Inherit { row: wanted, from: holder.user },
            Some(_) => Decision::Conflict { name_key: wanted.name_key.clone(), keeps: Some(wanted) },
        }
    }

    /// A user who is gone gives up the name, once it is settled who returns.
    fn gives_up(&self, holder: Holder) -> bool {
        self.stage == Stage::Settling && holder.is_gone() && !self.placed.contains(&holder.user)
    }

    fn of_newcomer(&self, claim: Claim) -> Decision {
        let Claim { former, wanted, found, .. } = claim;
        if wanted.name_key.is_empty() {
            return Decision::Nameless { keeps: None };
        }
        let holder = self.taken.get(&wanted.name_key).copied();
        match (self.stage, former) {
            // Whether its user is free again is known only when the import is proven.
            (Stage::Arriving, Some(_)) => return waits(wanted),
            (Stage::Returning, Some(former)) => {
                if let Some(decision) = self.returned(former, holder, &wanted) {
                    return decision;
                }
            }
            _ => {}
        }
        if let Some(found) = found {
            return self.by_rules(found, holder, wanted);
        }
        match holder {
            Some(holder) => self.of_namesake(holder, wanted),
            None => self.unmatched(None, wanted),
        }
    }

    /// A new account of a directory with matching rules.
    fn by_rules(&self, found: Found, holder: Option<Holder>, wanted: UserRow) -> Decision {
        let holder = holder.map(Holder::without_suspension);
        // An entry that was created again has its login from before, whatever the rules say.
        if let Some(holder) = holder.filter(|holder| holder.missing_here || Found::One(holder.user) == found) {
            return self.of_namesake(holder, wanted);
        }
        let matched = match found {
            Found::Nobody => return self.unmatched(holder, wanted),
            Found::Several => return waits(wanted),
            Found::One(user) => user,
        };
        match self.by_user.get(&matched).copied().map(Holder::without_suspension) {
            // The directory has this user already, so the value says nothing.
            Some(matched) if matched.here || self.placed.contains(&matched.user) => self.unmatched(holder, wanted),
            // Only when all accounts of the directory are known it is certain that no other one matches.
            Some(matched) if self.stage == Stage::Settling && may_join(matched) => linked(matched, holder, wanted),
            _ => waits(wanted),
        }
    }

    fn unmatched(&self, holder: Option<Holder>, wanted: UserRow) -> Decision {
        if holder.is_some() || self.stage == Stage::Returning { waits(wanted) } else { Decision::Create(wanted) }
    }

    /// A returning account gets its former user, unless another account of the directory has it now.
    fn returned(&self, former: UserId, holder: Option<Holder>, wanted: &UserRow) -> Option<Decision> {
        let held = self.held.get(&former).filter(|held| !held.here && !self.placed.contains(&former))?;
        let row = UserRow { id: former, ..wanted.clone() };
        Some(match holder {
            _ if held.owned_elsewhere => Decision::TakeOver { user: former, row: None },
            Some(holder) if holder.user != former => {
                Decision::Conflict { name_key: row.name_key.clone(), keeps: Some(row) }
            }
            _ => Decision::TakeOver { user: former, row: Some(row) },
        })
    }

    /// A new account with the name of an existing user.
    fn of_namesake(&self, holder: Holder, mut wanted: UserRow) -> Decision {
        let Holder { user, here, missing_here, left_now, owned_elsewhere, .. } = holder;
        if here || self.placed.contains(&user) {
            return waits(wanted);
        }
        wanted.id = user;
        let row = (!owned_elsewhere).then_some(wanted.clone());
        match (missing_here, self.stage) {
            // Deleted and created again between two imports. After a longer absence it may be another person of that
            // name, who would inherit the rights: an administrator decides.
            (true, Stage::Returning) if left_now => Decision::TakeOver { user, row },
            (false, _) if may_join(holder) => Decision::Join { user, row },
            _ => waits(wanted),
        }
    }
}

/// Whether an account of another directory may join this user, who has none in this directory.
fn may_join(holder: Holder) -> bool {
    // No directory that is still there has this user, who had left the last one: a new account of that name would
    // inherit the rights.
    let left = (holder.has_left || holder.missing_elsewhere) && !holder.elsewhere;
    holder.may_be_joined && !holder.missing_here && !left
}

/// A user that the rules have found becomes that of the account. It gets the login as its name if nobody has it.
fn linked(matched: Holder, holder: Option<Holder>, wanted: UserRow) -> Decision {
    let row = UserRow { id: matched.user, ..wanted };
    if matched.owned_elsewhere {
        Decision::Join { user: matched.user, row: None }
    } else if holder.is_some() {
        Decision::Conflict { name_key: row.name_key.clone(), keeps: Some(row) }
    } else {
        Decision::Join { user: matched.user, row: Some(row) }
    }
}

fn waits(wanted: UserRow) -> Decision {
    Decision::Conflict { name_key: wanted.name_key, keeps: None }
}

impl Decision {
    /// The user that the account belongs to from now on.
    pub fn identity(&self) -> Option<UserId> {
        match self {
            Self::Create(row) | Self::Update(row) | Self::Inherit { row, .. } => Some(row.id),
            Self::Join { user, .. } | Self::TakeOver { user, .. } | Self::Keep(user) => Some(*user),
            Self::Conflict { keeps, .. } | Self::Nameless { keeps } => keeps.as_ref().map(|row| row.id),
        }
    }

    /// The user that is written with its name.
    fn named(&self) -> Option<&UserRow> {
        match self {
            Self::Create(row) | Self::Update(row) | Self::Inherit { row, .. } => Some(row),
            Self::Join { row, .. } | Self::TakeOver { row, .. } => row.as_ref(),
            Self::Keep(_) | Self::Conflict { .. } | Self::Nameless { .. } => None,
        }
    }

    /// The name that the account claims and does not get.
    pub fn conflict(&self) -> Option<&str> {
        match self {
            Self::Conflict { name_key, .. } => Some(name_key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
