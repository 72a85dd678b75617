//! Members whose name several entries of a directory have.

use crate::support::world::{World, account_of, all, at, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, ExternalKey, GroupId, JobId, MemberForm, MemberIdentity, MemberStats, NewAccount, fold,
};

conformance! {
    a_name_that_two_entries_share_is_neither_of_them,
    an_entry_without_a_user_has_its_name_too,
    an_entry_made_anew_is_the_only_one_with_its_name,
    two_entries_with_one_login_are_neither_unless_one_waits_for_it,
}

async fn replace(world: &World, group: GroupId, keys: &[String]) {
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.replace_members(vec![(group, keys.to_vec())]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn resolve(world: &World, form: MemberForm) -> MemberStats {
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
    tx.set_member_form(form, fold).await.unwrap();
    tx.commit().await.unwrap();
    world.store.count_members(world.org(), world.directory.id).await.unwrap()
}

fn counted(resolved: u64, unresolved: u64, shared: u64, without_user: u64) -> MemberStats {
    MemberStats { resolved, unresolved, shared, without_user }
}

/// The names of the users that are members.
async fn names(world: &World, group: GroupId) -> Vec<String> {
    let members = world.store.list_group_members(world.org(), group, &all()).await.unwrap().items;
    let user = |identity| match identity {
        MemberIdentity::User { user_name, .. } => user_name,
        MemberIdentity::Group { display_name, .. } => panic!("the group {display_name}"),
    };
    members.into_iter().filter_map(|member| member.identity).map(user).collect()
}

/// How many groups a user is a member of.
async fn groups_of(world: &World, user: &str) -> usize {
    let id = world.store.find_user(world.org(), user).await.unwrap().unwrap().id.as_uuid();
    world.store.groups_of(world.org(), id, &all()).await.unwrap().items.len()
}

/// Unresolved members, with the DNs of the entries that have their name.
async fn unresolved(world: &World) -> Vec<(String, Vec<String>)> {
    let found = world.store.unresolved_members(world.org(), world.directory.id, 10).await.unwrap();
    found.into_iter().map(|member| (member.key, member.shared_by)).collect()
}

async fn insert(world: &World, accounts: Vec<NewAccount>) {
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.insert_accounts(accounts).await.unwrap();
    tx.commit().await.unwrap();
}

async fn leaves(world: &World, account: &NewAccount) {
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(3)).await.unwrap();
    tx.mark_missing(JobId::new(), &[account.id]).await.unwrap();
    tx.commit().await.unwrap();
}

/// An entry of another name that has the name of this one for groups, and no user.
fn nobody(name: &str, of: &str) -> NewAccount {
    NewAccount { dn_key: dn_key(of), ..account_of(AccountKind::User, name, None) }
}

async fn a_name_that_two_entries_share_is_neither_of_them(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (first, team) = (world.person("anna"), world.team("staff"));
    world.import(&[first.clone(), world.person("bert")], std::slice::from_ref(&team)).await;
    // Another entry with a DN that the server keeps apart but that is the same name here.
    let mut second = world.person("anna2");
    second.1.dn_key = dn_key("anna");
    world.import(std::slice::from_ref(&second), &[]).await;
    replace(&world, team.0.id, &[dn_key("anna"), dn_key("bert")]).await;
    assert_eq!(resolve(&world, MemberForm::Dn).await, counted(1, 1, 1, 0));
    assert_eq!(names(&world, team.0.id).await, ["bert"]);
    assert_eq!(unresolved(&world).await, [(dn_key("anna"), vec![first.1.dn.clone(), second.1.dn.clone()])]);
    for (user, expected) in [("anna", 0), ("anna2", 0), ("bert", 1)] {
        assert_eq!(groups_of(&world, user).await, expected, "{user}");
    }
    // With one of them missing, the name belongs to the other.
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(3)).await.unwrap();
    tx.mark_missing(JobId::new(), &[second.1.id]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(resolve(&world, MemberForm::Dn).await, counted(2, 0, 0, 0));
    assert_eq!(names(&world, team.0.id).await, ["anna", "bert"]);
    // With both missing, the name means neither.
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(4)).await.unwrap();
    tx.mark_missing(JobId::new(), &[first.1.id]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(resolve(&world, MemberForm::Dn).await, counted(1, 1, 1, 0));
    assert_eq!(names(&world, team.0.id).await, ["bert"]);
    assert_eq!(groups_of(&world, "anna").await, 0);
}

async fn an_entry_without_a_user_has_its_name_too(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let (anna, team) = (world.person("anna"), world.team("staff"));
    world.import(&[anna.clone(), world.person("bert")], std::slice::from_ref(&team)).await;
    replace(&world, team.0.id, &[dn_key("anna"), dn_key("bert"), dn_key("zoe")]).await;
    // One without a login, one that waits for the name of anna, one that waits for another name.
    let mut others = [nobody("anna2", "anna"), nobody("anna3", "anna"), nobody("anna4", "anna")];
    others[1].conflict = Some("anna".to_owned());
    others[2].conflict = Some("other".to_owned());
    for other in others {
        insert(&world, vec![other.clone()]).await;
        assert_eq!(resolve(&world, MemberForm::Dn).await, counted(1, 2, 1, 0));
        assert_eq!(names(&world, team.0.id).await, ["bert"]);
        assert_eq!((groups_of(&world, "anna").await, groups_of(&world, "bert").await), (0, 1));
        let mut found = unresolved(&world).await;
        found.sort();
        let both = vec![anna.1.dn.clone(), other.dn.clone()];
        assert_eq!(found, [(dn_key("anna"), both), (dn_key("zoe"), Vec::new())]);
        // An organization's own member is listed once, as its own.
        let member = postern_store::IdentityId::User(anna.0.id);
        let mut tx = database.store.begin_identities(world.org(), at(2)).await.unwrap();
        tx.add_members(&[(team.0.id, member)]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(names(&world, team.0.id).await, ["bert", "anna"]);
        let mut tx = database.store.begin_identities(world.org(), at(2)).await.unwrap();
        tx.remove_members(&[(team.0.id, member)]).await.unwrap();
        tx.commit().await.unwrap();
        leaves(&world, &other).await;
        assert_eq!(resolve(&world, MemberForm::Dn).await, counted(2, 1, 0, 0));
        assert_eq!(groups_of(&world, "anna").await, 1);
    }
    // With anna gone, an entry that is there has the name, though no user.
    leaves(&world, &anna.1).await;
    assert_eq!(groups_of(&world, "anna").await, 1);
    insert(&world, vec![nobody("anna5", "anna")]).await;
    assert_eq!(resolve(&world, MemberForm::Dn).await, counted(1, 1, 0, 1));
    assert_eq!((names(&world, team.0.id).await, groups_of(&world, "anna").await), (vec!["bert".to_owned()], 0));
    assert_eq!(unresolved(&world).await, [(dn_key("zoe"), Vec::new())]);
}

async fn an_entry_made_anew_is_the_only_one_with_its_name(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let (anna, team) = (world.person("anna"), world.team("staff"));
    world.import(std::slice::from_ref(&anna), std::slice::from_ref(&team)).await;
    replace(&world, team.0.id, &[dn_key("anna")]).await;
    // It has the DN of anna, and nobody knows yet that hers is gone.
    let mut anew = NewAccount { dn: anna.1.dn.clone(), conflict: Some("anna".to_owned()), ..nobody("anna2", "anna") };
    insert(&world, vec![anew.clone()]).await;
    assert_eq!(resolve(&world, MemberForm::Dn).await, counted(1, 0, 0, 0));
    assert_eq!((names(&world, team.0.id).await, groups_of(&world, "anna").await), (vec!["anna".to_owned()], 1));
    // Another person at that DN.
    leaves(&world, &anew).await;
    anew = NewAccount { conflict: None, id: postern_store::AccountId::new(), ..anew };
    anew.external_key = ExternalKey::from_text("third");
    insert(&world, vec![anew]).await;
    assert_eq!(resolve(&world, MemberForm::Dn).await, counted(0, 1, 1, 0));
    assert_eq!((names(&world, team.0.id).await, groups_of(&world, "anna").await), (Vec::new(), 0));
    // With a user, the newer one is meant, in every list.
    let world = World::new(&database.store, "two").await;
    let (anna, team) = (world.person("anna"), world.team("staff"));
    let (user, account) = world.person("anna4");
    let newer = NewAccount { dn: anna.1.dn.clone(), dn_key: dn_key("anna"), ..account };
    world.import(&[anna, (user, newer)], std::slice::from_ref(&team)).await;
    replace(&world, team.0.id, &[dn_key("anna")]).await;
    assert_eq!(resolve(&world, MemberForm::Dn).await, counted(1, 0, 0, 0));
    assert_eq!(names(&world, team.0.id).await, ["anna4"]);
    assert_eq!((groups_of(&world, "anna").await, groups_of(&world, "anna4").await), (0, 1));
}

async fn two_entries_with_one_login_are_neither_unless_one_waits_for_it(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let (anna, team) = (world.person("anna"), world.team("staff"));
    world.import(std::slice::from_ref(&anna), std::slice::from_ref(&team)).await;
    replace(&world, team.0.id, &["anna".to_owned()]).await;
    resolve(&world, MemberForm::UniqueValue).await;
    // The group means the login, which is the user's name.
    let mut other = nobody("anna2", "anna2");
    other.unique_value = Some("anna".to_owned());
    other.conflict = Some("anna".to_owned());
    insert(&world, vec![other.clone()]).await;
    assert_eq!(resolve(&world, MemberForm::UniqueValue).await, counted(1, 0, 0, 0));
    assert_eq!((names(&world, team.0.id).await, groups_of(&world, "anna").await), (vec!["anna".to_owned()], 1));
    leaves(&world, &other).await;
    let id = postern_store::AccountId::new();
    insert(&world, vec![NewAccount { id, conflict: None, external_key: ExternalKey::from_text("third"), ..other }])
        .await;
    assert_eq!(resolve(&world, MemberForm::UniqueValue).await, counted(0, 1, 1, 0));
    assert_eq!((names(&world, team.0.id).await, groups_of(&world, "anna").await), (Vec::new(), 0));
}
