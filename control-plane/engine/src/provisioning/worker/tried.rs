//! What has failed and is tried again: it counts once towards the limits of an hour.

use std::collections::{BTreeSet, HashMap};

use postern_store::IdentityId;

use crate::provisioning::change::Step;

/// Of more objects, another try counts once more.
const MOST: usize = 100_000;

/// The actions of each object that were counted and not all done.
#[derive(Debug, Default)]
pub(super) struct Tried(HashMap<IdentityId, BTreeSet<String>>);

impl Tried {
    /// Notes what was to be done when something of it failed.
    pub(super) fn note<'a>(&mut self, identity: IdentityId, actions: impl Iterator<Item = &'a str>) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.entry(identity).or_default().extend(actions.map(str::to_owned));
    }

    pub(super) fn forget(&mut self, identity: IdentityId) {
        self.0.remove(&identity);
    }

    /// Whether all these steps were tried before.
    pub(super) fn has(&self, identity: IdentityId, steps: &[Step]) -> bool {
        self.0.get(&identity).is_some_and(|tried| steps.iter().all(|step| tried.contains(step.change.action())))
    }
}

#[cfg(test)]
mod tests {
    use postern_store::UserId;

    use super::*;
    use crate::provisioning::change::Change;

    #[test]
    fn another_try_is_no_other_change_and_a_deletion_is_one() {
        let mut tried = Tried::default();
        let of = |change| [Step { entry: None, change }];
        let [one, other] = [1, 2].map(|id| IdentityId::User(UserId::from_uuid(uuid::Uuid::from_u128(id))));
        tried.note(one, ["enable"].into_iter());
        assert!(tried.has(one, &of(Change::Enable)));
        assert!(!tried.has(one, &of(Change::Delete)));
        assert!(!tried.has(other, &of(Change::Enable)));
        tried.forget(one);
        assert!(!tried.has(one, &of(Change::Enable)));
    }
}
