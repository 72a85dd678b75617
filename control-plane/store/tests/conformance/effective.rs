//! Effective membership, compared with a plain walk through the groups.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::world::{World, at, content, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{Error, GroupId, IdentityId, Member, MemberIdentity, PageRequest, UserId};
use uuid::Uuid;

conformance! {
    effective_members_are_those_of_a_plain_walk,
    groups_may_nest_thirty_deep_and_in_circles,
    nested_groups_are_found_among_many_names,
    too_many_levels_are_refused,
    other_organizations_have_no_part_in_it,
}

/// An organization with imported people and groups, and memberships of both kinds.
struct Site {
    world: World,
    people: Vec<UserId>,
    /// The first are imported, the others the organization's own.
    groups: Vec<GroupId>,
    members: BTreeMap<GroupId, BTreeSet<IdentityId>>,
}

impl Site {
    async fn new(database: &TestDatabase, name: &str, people: usize, groups: usize) -> Self {
        let world = World::new(&database.store, name).await;
        let people: Vec<_> = (0..people).map(|number| world.person(&format!("u{number}"))).collect();
        let teams: Vec<_> = (0..groups).map(|number| world.team(&format!("g{number}"))).collect();
        let (imported, own) = teams.split_at(groups / 2);
        world.import(&people, imported).await;
        let mut tx = database.store.begin_identities(world.org(), at(1)).await.unwrap();
        tx.insert_groups(own.iter().map(|(group, _)| group.clone()).collect()).await.unwrap();
        tx.commit().await.unwrap();
        let people = people.into_iter().map(|(user, _)| user.id).collect();
        let groups = teams.into_iter().map(|(group, _)| group.id).collect();
        Self { world, people, groups, members: BTreeMap::new() }
    }

    fn is_imported(&self, group: usize) -> bool {
        group < self.groups.len() / 2
    }

    /// Makes these the members of the groups: users by number, and groups by number.
    async fn set(&mut self, wanted: &[(usize, Vec<usize>, Vec<usize>)]) {
        for (group, users, groups) in wanted {
            let id = self.groups[*group];
            let users_ids = users.iter().map(|user| IdentityId::User(self.people[*user]));
            let members: BTreeSet<IdentityId> =
                users_ids.chain(groups.iter().map(|group| IdentityId::Group(self.groups[*group]))).collect();
            let store = &self.world.store;
            // A directory names only what it has.
            if self.is_imported(*group) && groups.iter().all(|group| self.is_imported(*group)) {
                let names = users.iter().map(|user| dn_key(&format!("u{user}")));
                let names = names.chain(groups.iter().map(|group| dn_key(&format!("g{group}")))).collect();
                let mut tx = store.begin_intake(self.world.org(), self.world.directory.id, at(1)).await.unwrap();
                tx.replace_members(vec![(id, names)]).await.unwrap();
                tx.commit().await.unwrap();
            } else {
                let mut tx = store.begin_identities(self.world.org(), at(1)).await.unwrap();
                let members: Vec<_> = members.iter().map(|member| (id, *member)).collect();
                tx.add_members(&members).await.unwrap();
                tx.commit().await.unwrap();
            }
            self.members.insert(id, members);
        }
    }

    /// The effective members of a group, by a plain walk.
    fn walk(&self, group: GroupId) -> BTreeSet<Uuid> {
        let (mut found, mut left) = (BTreeSet::new(), vec![group]);
        while let Some(next) = left.pop() {
            for member in self.members.get(&next).into_iter().flatten() {
                if found.insert(member.as_uuid())
                    && let IdentityId::Group(nested) = member
                {
                    left.push(*nested);
                }
            }
        }
        found.remove(&group.as_uuid());
        found
    }

    async fn effective(&self, group: GroupId, limit: u32) -> Vec<Uuid> {
        let (mut found, mut page) = (Vec::new(), PageRequest::first(limit));
        loop {
            let listed = self.world.store.list_effective_members(self.world.org(), group, &page).await.unwrap();
            assert!(listed.items.len() <= limit as usize);
            found.extend(listed.items.iter().map(id));
            let Some(next) = listed.next else { return found };
            page = PageRequest::after(next, limit);
        }
    }

    async fn check(&self, limits: &[u32]) {
        self.check_groups(&self.groups, limits).await;
        self.check_users(3).await;
        self.check_all_users_at_once().await;
    }

    async fn check_all_users_at_once(&self) {
        let (store, everybody) = (&self.world.store, self.people.iter().map(|user| user.as_uuid()).collect::<Vec<_>>());
        for groups in self.groups.chunks(3) {
            let reach = |user: &Uuid| groups.iter().any(|group| self.walk(*group).contains(user));
            let wanted = everybody.iter().copied().filter(reach).collect();
            assert_eq!(store.members_of_any(self.world.org(), &everybody, groups).await.unwrap(), wanted, "{groups:?}");
        }
    }

    async fn check_groups(&self, groups: &[GroupId], limits: &[u32]) {
        for group in groups {
            let wanted = self.walk(*group);
            for limit in limits {
                let found = self.effective(*group, *limit).await;
                let unique: BTreeSet<Uuid> = found.iter().copied().collect();
                assert_eq!((found.len(), &unique), (wanted.len(), &wanted), "{group}, pages of {limit}");
            }
        }
    }

    async fn check_users(&self, limit: u32) {
        for user in &self.people {
            let reach = |group: &&GroupId| self.walk(**group).contains(&user.as_uuid());
            let mut wanted: Vec<GroupId> = self.groups.iter().filter(reach).copied().collect();
            wanted.sort();
            let (mut found, mut page) = (Vec::new(), PageRequest::first(limit));
            loop {
                let store = &self.world.store;
                let listed = store.list_effective_groups(self.world.org(), user.as_uuid(), &page).await.unwrap();
                found.extend(listed.items.into_iter().map(|group| group.id));
                let Some(next) = listed.next else { break };
                page = PageRequest::after(next, limit);
            }
            assert_eq!(found, wanted, "{user}");
        }
    }
}

fn id(member: &Member) -> Uuid {
    match member.identity.as_ref().unwrap() {
        MemberIdentity::User { id, .. } => id.as_uuid(),
        MemberIdentity::Group { id, .. } => id.as_uuid(),
    }
}

/// Whether this draw comes out.
fn drawn(what: &str, percent: u8) -> bool {
    u16::from(content(what)[0]) * 100 < u16::from(percent) * 256
}

async fn effective_members_are_those_of_a_plain_walk(database: TestDatabase) {
    for (seed, nested, limits) in [(1, 8, &[3][..]), (2, 20, &[100]), (3, 60, &[3, 100])] {
        let mut site = Site::new(&database, &format!("seed{seed}"), 12, 10).await;
        let members = |group: usize| {
            let users = (0..12).filter(|user| drawn(&format!("{seed} {group} u{user}"), 25)).collect();
            let others = (0..10).filter(|other| *other != group && drawn(&format!("{seed} {group} g{other}"), nested));
            (group, users, others.collect())
        };
        site.set(&(0..10).map(members).collect::<Vec<_>>()).await;
        site.check(limits).await;
        // Each page finds the nested groups anew, so few groups are read one by one.
        site.check_groups(&site.groups[4..6], &[1]).await;
    }
}

async fn groups_may_nest_thirty_deep_and_in_circles(database: TestDatabase) {
    let mut site = Site::new(&database, "deep", 3, 60).await;
    // Each group is in the one before; the last contains the first, and the organization's own ones hang below them.
    let chain = |group: usize| match group {
        29 => (29, vec![0], vec![30]),
        59 => (59, vec![1], vec![0]),
        0 => (0, vec![2], vec![1]),
        _ => (group, Vec::new(), vec![group + 1]),
    };
    site.set(&(0..60).map(chain).collect::<Vec<_>>()).await;
    let found = site.effective(site.groups[5], 7).await;
    assert_eq!(found.len(), 3 + 59, "everybody, and all groups but itself");
    let some = [site.groups[0], site.groups[29], site.groups[30], site.groups[59]];
    site.check_groups(&some, &[50]).await;
    site.check_users(25).await;
    site.check_all_users_at_once().await;
}

async fn nested_groups_are_found_among_many_names(database: TestDatabase) {
    let mut site = Site::new(&database, "large", 2, 4).await;
    site.set(&[(1, vec![1], vec![])]).await;
    let names = (0..5_000).map(|number| dn_key(&format!("nobody{number}")));
    let names: Vec<String> = names.chain(["u0", "g1"].map(dn_key)).collect();
    let mut tx = database.store.begin_intake(site.world.org(), site.world.directory.id, at(1)).await.unwrap();
    tx.replace_members(vec![(site.groups[0], names)]).await.unwrap();
    tx.commit().await.unwrap();
    let mut wanted = vec![site.people[0].as_uuid(), site.people[1].as_uuid(), site.groups[1].as_uuid()];
    wanted.sort();
    for limit in [7, 1_000] {
        let mut found = site.effective(site.groups[0], limit).await;
        found.sort();
        assert_eq!(found, wanted, "pages of {limit}");
    }
}

async fn too_many_levels_are_refused(database: TestDatabase) {
    let mut site = Site::new(&database, "levels", 1, 220).await;
    let chain = |group: usize| (group, Vec::new(), vec![group + 1]);
    let mut wanted: Vec<_> = (110..219).map(chain).collect();
    wanted.push((219, vec![0], Vec::new()));
    site.set(&wanted).await;
    let (store, organization) = (&site.world.store, site.world.org());
    let refused = store.list_effective_members(organization, site.groups[110], &PageRequest::first(1)).await;
    assert!(matches!(&refused, Err(Error::Conflict { what, .. }) if what.contains("100 levels")), "{refused:?}");
    let user = site.people[0].as_uuid();
    let refused = store.list_effective_groups(organization, user, &PageRequest::first(1)).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    assert_eq!(site.effective(site.groups[150], 1_000).await.len(), 70, "half as deep is no matter");
}

async fn other_organizations_have_no_part_in_it(database: TestDatabase) {
    let mut mine = Site::new(&database, "mine", 2, 4).await;
    let theirs = Site::new(&database, "theirs", 2, 4).await;
    mine.set(&[(0, vec![0], vec![1]), (1, vec![1], vec![]), (2, vec![0, 1], vec![3])]).await;
    mine.check(&[1, 100]).await;
    let store = &database.store;
    for group in &mine.groups {
        let listed = store.list_effective_members(theirs.world.org(), *group, &PageRequest::first(9)).await.unwrap();
        assert_eq!((listed.items, listed.next), (Vec::new(), None));
    }
    let groups =
        store.list_effective_groups(theirs.world.org(), mine.people[0].as_uuid(), &PageRequest::first(9)).await;
    assert_eq!(groups.unwrap().items, []);
    let people: Vec<Uuid> = mine.people.iter().map(|user| user.as_uuid()).collect();
    let inside = store.members_of_any(theirs.world.org(), &people, &mine.groups).await.unwrap();
    assert!(inside.is_empty(), "{inside:?}");
}
