//! Groups that were deleted and created again between two imports. A new entry gets the group of the same name that
//! this import marks missing, so the group's id stays.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use postern_store::{AccountId, Directory, GroupSuccession, Lease, Store, UnsettledGroup};

use super::people::{Person, SHOWN};
use crate::identity::membership::dn_key;

/// Groups settled in one transaction.
const BATCH: u32 = 500;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// New groups that got an older group.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// How many.
    pub(super) taken_over: u64,
    /// Some of them.
    pub(super) samples: Vec<Person>,
}

/// Settles all new groups that wait, and returns those that got an older group; `None` if the job was taken over.
pub(super) async fn settle(
    store: &Store,
    directory: &Directory,
    lease: Lease,
    now: Timestamp,
) -> Result<Option<Followed>> {
    let (organization, id) = (directory.organization, directory.id);
    let (mut after, mut followed) = (AccountId::from_uuid(uuid::Uuid::nil()), Followed::default());
    loop {
        let waiting = store.unsettled_groups(organization, id, after, BATCH).await?;
        let Some(last) = waiting.last() else { return Ok(Some(followed)) };
        after = last.account;
        let mut tx = store.begin_intake(organization, id, now).await?;
        if !tx.check_owner(&lease).await? {
            return Ok(None);
        }
        let names: HashSet<String> = waiting.iter().map(|group| group.name_key.clone()).collect();
        let left = tx.groups_that_left(lease.job, names.into_iter().collect()).await?;
        let successions = successions(&waiting, left);
        let settled: Vec<AccountId> = waiting.iter().map(|group| group.account).collect();
        tx.settle_groups(&settled, &successions).await?;
        tx.commit().await?;
        followed.taken_over += successions.len() as u64;
        let of_account = |found: &GroupSuccession| waiting.iter().find(|group| group.account == found.account);
        let room = SHOWN.saturating_sub(followed.samples.len());
        let some = successions.iter().take(room).filter_map(of_account);
        followed.samples.extend(some.map(|group| Person::new(&group.dn, Some(&group.name_key))));
    }
}

/// The new accounts with the groups that they get: of several with one name, the one with the same DN; if that is
/// ambiguous, none.
fn successions(waiting: &[UnsettledGroup], left: Vec<UnsettledGroup>) -> Vec<GroupSuccession> {
    let mut by_name: HashMap<String, (Vec<&UnsettledGroup>, Vec<UnsettledGroup>)> = HashMap::new();
    for group in waiting {
        by_name.entry(group.name_key.clone()).or_default().0.push(group);
    }
    for group in left {
        if let Some((_, left)) = by_name.get_mut(&group.name_key) {
            left.push(group);
        }
    }
    let mut found = Vec::new();
    for (new, mut old) in by_name.into_values() {
        let only_one = new.len() == 1 && old.len() == 1;
        for group in new {
            let place = old.iter().position(|left| only_one || dn_key(&left.dn) == dn_key(&group.dn));
            if let Some(left) = place.map(|place| old.swap_remove(place)) {
                found.push(GroupSuccession { account: group.account, from: group.group, to: left.group });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use postern_store::GroupId;

    use super::*;

    fn group(dn: &str) -> UnsettledGroup {
        UnsettledGroup { account: AccountId::new(), group: GroupId::new(), dn: dn.to_owned(), name_key: "g".to_owned() }
    }

    #[test]
    fn one_group_of_a_name_follows_one_wherever_it_is_and_of_several_the_dn_decides() {
        let (new, old) = (group("cn=g,ou=b"), group("cn=g,ou=a"));
        let found = successions(std::slice::from_ref(&new), vec![old.clone()]);
        assert_eq!(found, [GroupSuccession { account: new.account, from: new.group, to: old.group }]);
        let same = group("CN=g, ou=b");
        let found = successions(std::slice::from_ref(&new), vec![old.clone(), same.clone()]);
        assert_eq!(found, [GroupSuccession { account: new.account, from: new.group, to: same.group }]);
        assert!(successions(&[new, group("cn=g,ou=c")], vec![old]).is_empty(), "nobody knows which");
    }
}
