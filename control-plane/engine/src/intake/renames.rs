//! Renames that wait for each other: two users who exchange their names, or a row of users each of whom takes the name
//! that the next one gives up. One after the other, each finds its name taken; together they can be done.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::quality::RandomState;
use postern_store::{AccountId, UserId};

/// A user whose account wants another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The account.
    pub(super) account: AccountId,
    /// Its user.
    pub(super) user: UserId,
    /// Who has the name; nobody when it is free.
    pub(super) holder: Option<UserId>,
    /// The name, folded.
    pub(super) name_key: String,
}

/// Who waits, as far as it was told.
#[derive(Debug, Default)]
pub(super) struct Renames {
    by_user: HashMap<UserId, Waiting, RandomState>,
    /// Who wants the name of a user.
    next: HashMap<UserId, UserId, RandomState>,
    /// Who wants a name that is free.
    heads: HashMap<String, UserId, RandomState>,
}

impl Renames {
    /// Takes up one who waits. Of several who want one name, and of several accounts of one user, the first counts.
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

    /// How many were taken up.
    pub(super) fn len(&self) -> usize {
        self.by_user.len()
    }

    /// Those who can be renamed, in rows: each takes the name that the one before gives up, and the first one's is free
    /// or the last one's. A row is renamed as a whole or not at all.
    pub(super) fn rows(mut self) -> Vec<Vec<Waiting>> {
        let heads: Vec<UserId> = std::mem::take(&mut self.heads).into_values().collect();
        let mut rows: Vec<Vec<Waiting>> = heads.into_iter().map(|head| self.take_row(head)).collect();
        // Who waits for somebody who stays has no chance, nor has anybody behind.
        let stays = |waiting: &Waiting| waiting.holder.is_some_and(|holder| !self.by_user.contains_key(&holder));
        let hopeless: Vec<UserId> =
            self.by_user.values().filter(|waiting| stays(waiting)).map(|waiting| waiting.user).collect();
        for user in hopeless {
            self.take_row(user);
        }
        // What is left waits in circles.
        while let Some(user) = self.by_user.keys().next().copied() {
            rows.push(self.take_row(user));
        }
        rows
    }

    /// Takes out a user and all who wait behind.
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

    /// The rows of users who wait for names, each user named by its own present name; sorted, circles from their least.
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
    fn whoever_waits_for_somebody_who_stays_keeps_waiting_with_all_behind() {
        assert!(rows(&[("a", "b"), ("b", "taken")], &["taken"]).is_empty());
    }

    #[test]
    fn one_name_is_given_to_one() {
        assert_eq!(rows(&[("a", "free"), ("b", "free"), ("c", "b")], &[]), [["a"]]);
        assert_eq!(rows(&[("a", "b"), ("c", "b"), ("b", "a")], &[]), [["a", "b"]]);
    }
}
