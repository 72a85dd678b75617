//! Renames that wait for each other: two users who swap names, or a chain in which each user takes the name that the
//! next one gives up. One by one, each finds its name taken; together they succeed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::quality::RandomState;
use postern_store::{AccountId, UserId};

/// A user whose account claims another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The account.
    pub(super) account: AccountId,
    /// Its user.
    pub(super) user: UserId,
    /// The user that has the name; `None` if it is free.
    pub(super) holder: Option<UserId>,
    /// The name, folded.
    pub(super) name_key: String,
}

/// The waiting renames.
#[derive(Debug, Default)]
pub(super) struct Renames {
    by_user: HashMap<UserId, Waiting, RandomState>,
    /// The user that wants the name of this user.
    next: HashMap<UserId, UserId, RandomState>,
    /// The users that want free names, by name.
    heads: HashMap<String, UserId, RandomState>,
}

impl Renames {
    /// Adds a rename. Of several for one name, and of several accounts of one user, the first counts.
    pub(super) fn add(&mut self, waiting: Waiting) {
        let Entry::Vacant(place) = self.by_user.entry(waiting.user) else { return };
        let first = match waiting.holder {
            Some(holder) => self.next.entry(holder).or_insert(waiting.user),
            None => self.heads.entry(waiting.name_key.clone()).or_insert(waiting.user),
        };
        if *first == waiting.user {
            place.insert(waiting);
        }
    }

    /// How many were added.
    pub(super) fn len(&self) -> usize {
        self.by_user.len()
    }

    /// The possible renames, in chains: each user takes the name that the one before gives up, and the first one's is
    /// free or the last one's. A chain is renamed as a whole or not at all.
    pub(super) fn rows(mut self) -> Vec<Vec<Waiting>> {
        let heads: Vec<UserId> = std::mem::take(&mut self.heads).into_values().collect();
        let mut rows: Vec<Vec<Waiting>> = heads.into_iter().map(|head| self.take_row(head)).collect();
        // A user that waits for one who keeps the name cannot be renamed, nor can those behind it.
        let stays = |waiting: &Waiting| waiting.holder.is_some_and(|holder| !self.by_user.contains_key(&holder));
        let hopeless: Vec<UserId> =
            self.by_user.values().filter(|waiting| stays(waiting)).map(|waiting| waiting.user).collect();
        for user in hopeless {
            self.take_row(user);
        }
        // The rest are circles.
        while let Some(user) = self.by_user.keys().next().copied() {
            rows.push(self.take_row(user));
        }
        rows
    }

    /// Takes out a user and all who wait behind it.
    fn take_row(&mut self, first: UserId) -> Vec<Waiting> {
        let mut row = Vec::new();
        let mut at = Some(first);
        while let Some(waiting) = at.and_then(|user| self.by_user.remove(&user)) {
            at = self.next.get(&waiting.user).copied();
            row.push(waiting);
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chains of waiting users, each by its present name; sorted, with circles from their least.
    fn rows(wants: &[(&str, &str)], others: &[&str]) -> Vec<Vec<String>> {
        let mut ids: HashMap<&str, UserId> = HashMap::new();
        for name in wants.iter().map(|(has, _)| has).chain(others) {
            ids.entry(name).or_insert_with(UserId::new);
        }
        let mut renames = Renames::default();
        for (has, wanted) in wants {
            let holder = ids.get(wanted).copied();
            let name_key = (*wanted).to_owned();
            renames.add(Waiting { account: AccountId::new(), user: ids[has], holder, name_key });
        }
        let name = |user: UserId| ids.iter().find(|(_, id)| **id == user).unwrap().0.to_string();
        let mut rows: Vec<Vec<String>> = renames
            .rows()
            .into_iter()
            .map(|row| {
                let circle = row[0].holder.is_some();
                let mut names: Vec<String> = row.iter().map(|waiting| name(waiting.user)).collect();
                if circle {
                    let least = names.iter().enumerate().min_by_key(|(_, name)| *name).unwrap().0;
                    names.rotate_left(least);
                }
                names
            })
            .collect();
        rows.sort();
        rows
    }

    #[test]
    fn two_who_exchange_their_names_belong_together() {
        assert_eq!(rows(&[("a", "b"), ("b", "a")], &[]), [["a", "b"]]);
    }

    #[test]
    fn a_row_ends_in_a_free_name_and_a_circle_in_itself() {
        let wants = [("a", "b"), ("b", "c"), ("c", "free"), ("x", "z"), ("y", "x"), ("z", "y")];
        assert_eq!(rows(&wants, &[]), [vec!["c", "b", "a"], vec!["x", "y", "z"]]);
    }

    #[test]
    fn a_user_waiting_for_one_who_keeps_the_name_waits_on_with_all_behind() {
        assert!(rows(&[("a", "b"), ("b", "taken")], &["taken"]).is_empty());
    }

    #[test]
    fn one_name_is_given_to_one() {
        assert_eq!(rows(&[("a", "free"), ("b", "free"), ("c", "b")], &[]), [["a"]]);
        assert_eq!(rows(&[("a", "b"), ("c", "b"), ("b", "a")], &[]), [["a", "b"]]);
    }
}
