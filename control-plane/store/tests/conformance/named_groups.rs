//! Groups that users name: memberships by account, and the change between them and groups that are entries.

use crate::support::world::{World, account_of, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, ExternalKey, GroupId, Intake, MemberForm, MemberIdentity, NewAccount, PageRequest, UserRow, fold,
};

conformance! {
    users_join_and_leave_groups_by_naming_them,
    another_form_of_members_changes_no_membership,
}

/// As the control plane normalizes a DN.
fn dn_of(dn: &str) -> String {
    fold(dn)
}

async fn begin(world: &World) -> Intake {
    world.store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap()
}

/// The users that are members of a group, by name.
async fn members(world: &World, group: GroupId) -> Vec<String> {
    let page = PageRequest::first(1_000);
    let found = world.store.list_group_members(world.org(), group, &page).await.unwrap().items;
    let name = |identity| match identity {
        MemberIdentity::User { user_name, .. } => user_name,
        MemberIdentity::Group { display_name, .. } => display_name,
    };
    let mut names: Vec<String> = found.into_iter().filter_map(|member| member.identity).map(name).collect();
    names.sort_unstable();
    names
}

fn people(world: &World, count: usize) -> Vec<(UserRow, NewAccount)> {
    (0..count).map(|number| world.person(&format!("person{number:03}"))).collect()
}

async fn users_join_and_leave_groups_by_naming_them(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let stranger = World::new(&database.store, "two").await;
    let mut tx = begin(&world).await;
    tx.set_member_form(MemberForm::GroupNames, dn_of).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.store.member_form(world.org(), world.directory.id).await.unwrap(), Some(MemberForm::GroupNames));
    assert_eq!(world.store.member_form(stranger.org(), world.directory.id).await.unwrap(), None);
    let people = people(&world, 300);
    let key = ExternalKey::of_named_group("cn=staff,dc=x");
    let team = |key: &ExternalKey, world: &World| {
        let (group, account) = world.team("staff");
        let account = NewAccount { external_key: key.clone(), ..account };
        (group, account)
    };
    let staff = team(&key, &world);
    world.import(&people, std::slice::from_ref(&staff)).await;
    let member = |number: usize| (staff.0.id, people[number].1.external_key.clone());
    let mut tx = begin(&world).await;
    let found = tx.named_groups(&[key.clone(), ExternalKey::of_named_group("cn=other")]).await.unwrap();
    assert_eq!((found.len(), found[&key].group, found[&key].missing), (1, staff.0.id, false));
    let all: Vec<_> = (0..300).map(member).collect();
    tx.change_named_members(&all, &[]).await.unwrap();
    // The same again changes nothing.
    tx.change_named_members(&all, &[member(299)]).await.unwrap();
    tx.commit().await.unwrap();
    let (org, directory) = (world.org(), world.directory.id);
    assert_eq!(members(&world, staff.0.id).await.len(), 300);
    assert_eq!(world.store.total_group_members(org, staff.0.id).await.unwrap().count, 300);
    assert_eq!(world.store.get_group(org, staff.0.id).await.unwrap().unwrap().updated_at, at(1));
    let accounts = [people[0].1.id, people[5].1.id];
    let named = world.store.groups_named_by(org, directory, &accounts).await.unwrap();
    assert_eq!(named.len(), 2);
    assert!(named.iter().all(|naming| naming.group == staff.0.id && naming.key == key), "{named:?}");
    assert!(world.store.groups_named_by(stranger.org(), directory, &accounts).await.unwrap().is_empty());
    let of_user = PageRequest::first(10);
    let groups = world.store.groups_of(org, people[0].0.id.as_uuid(), &of_user).await.unwrap().items;
    assert_eq!(groups.len(), 1);
    let stats = world.store.count_members(org, directory).await.unwrap();
    assert_eq!((stats.resolved, stats.unresolved), (300, 0));
    let mut tx = begin(&world).await;
    tx.change_named_members(&[], &[member(0), member(5)]).await.unwrap();
    assert_eq!(tx.groups_named_by(&accounts).await.unwrap(), []);
    tx.commit().await.unwrap();
    let left = members(&world, staff.0.id).await;
    assert_eq!((left.len(), left.contains(&"person005".to_owned())), (298, false));
}

async fn another_form_of_members_changes_no_membership(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let people = people(&world, 200);
    let (staff, nested) = (world.team("staff"), world.team("nested"));
    world.import(&people, &[staff.clone(), nested.clone()]).await;
    let mut names: Vec<String> = people.iter().map(|(_, account)| account.dn_key.clone()).collect();
    names.extend([nested.1.dn_key.clone(), "cn=nobody".to_owned()]);
    let mut tx = begin(&world).await;
    tx.replace_members(vec![(staff.0.id, names), (nested.0.id, vec![people[3].1.dn_key.clone()])]).await.unwrap();
    tx.commit().await.unwrap();
    let before = (members(&world, staff.0.id).await, members(&world, nested.0.id).await);
    assert_eq!((before.0.len(), before.1.len()), (201, 1));
    for form in [MemberForm::GroupNames, MemberForm::Dn, MemberForm::GroupNames, MemberForm::Dn] {
        let mut tx = begin(&world).await;
        tx.set_member_form(form, dn_of).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((members(&world, staff.0.id).await, members(&world, nested.0.id).await), before, "{form:?}");
        let stats = world.store.count_members(world.org(), world.directory.id).await.unwrap();
        assert_eq!((stats.resolved, stats.unresolved), (202, 1), "{form:?}");
    }
    // Of two accounts with one name it is not known which is meant, and none becomes a member by it.
    let mut twin = account_of(AccountKind::User, "twin", Some(people[0].0.id.as_uuid()));
    twin.dn_key.clone_from(&people[0].1.dn_key);
    let mut tx = begin(&world).await;
    tx.insert_accounts(vec![twin]).await.unwrap();
    tx.set_member_form(MemberForm::GroupNames, dn_of).await.unwrap();
    tx.commit().await.unwrap();
    let after = members(&world, staff.0.id).await;
    assert!(!after.contains(&"person000".to_owned()) && after.len() == 200, "{}", after.len());
}
