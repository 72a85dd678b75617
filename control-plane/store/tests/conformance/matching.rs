//! Which user an account belongs to: names, missing users, and two directories.

use crate::support::world::{World, account_of, all, at, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountId, AccountKind, AnnouncedDirectory, DirectoryId, Error, Flavour, GroupSuccession, JobId, MemberForm,
    NewAccount, OrganizationChange, Switch, UserRow,
};

conformance! {
    a_name_says_who_has_it_and_where_that_user_is,
    who_had_left_has_left_after_the_directory_is_deleted,
    a_name_that_is_given_up_is_free_and_the_user_is_found_all_the_same,
    a_profile_is_written_and_its_name_stays,
    a_user_passes_on_and_the_former_account_remembers_it,
    a_conflict_is_decided_once,
    a_group_passes_on_with_its_new_name_and_members,
    profiles_fall_to_the_next_directory,
    joins_are_reported_once,
    accounts_without_a_login_are_counted,
    an_organization_says_whether_directories_join,
}

/// A second directory of the organization, which comes after the first.
async fn lab(world: &World) -> DirectoryId {
    let served = [AnnouncedDirectory { name: "lab".to_owned(), flavour: Flavour::OpenLdap }];
    world.store.announce_directories(world.org(), world.agent.id, &served, at(1)).await.unwrap().remove(0).id
}

async fn add(world: &World, directory: DirectoryId, accounts: Vec<NewAccount>) {
    let mut tx = world.store.begin_intake(world.org(), directory, at(1)).await.unwrap();
    tx.insert_accounts(accounts).await.unwrap();
    tx.commit().await.unwrap();
}

async fn leave(world: &World, directory: DirectoryId, job: JobId, accounts: &[AccountId]) {
    let mut tx = world.store.begin_intake(world.org(), directory, at(2)).await.unwrap();
    tx.mark_missing(job, accounts).await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_name_says_who_has_it_and_where_that_user_is(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people = [world.person("anna"), world.person("bert")];
    world.import(&people, &[]).await;
    let (corp, lab, job) = (world.directory.id, lab(&world).await, JobId::new());
    let there = account_of(AccountKind::User, "anna", Some(people[0].0.id.as_uuid()));
    add(&world, lab, vec![there.clone()]).await;
    leave(&world, corp, job, &[people[1].1.id]).await;
    let asked = ["anna".to_owned(), "bert".to_owned(), "zoe".to_owned()];
    let mut tx = store.begin_intake(world.org(), corp, at(3)).await.unwrap();
    let found = tx.users_by_name(&asked, Some(job)).await.unwrap();
    assert_eq!(found.len(), 2);
    let (anna, bert) = (&found[0], &found[1]);
    assert_eq!((anna.account, anna.missing_here, anna.elsewhere), (Some(people[0].1.id), false, true));
    assert!(!anna.owned_elsewhere, "corp comes first");
    assert_eq!((bert.account, bert.missing_here, bert.left_now, bert.elsewhere), (None, true, true, false));
    let other = tx.users_by_name(&asked, Some(JobId::new())).await.unwrap();
    assert_eq!((other[1].missing_here, other[1].left_now), (true, false), "by another import");
    assert!(!tx.users_by_name(&asked, None).await.unwrap()[1].left_now);
    let held = tx.held_users(&[people[0].0.id, people[1].0.id]).await.unwrap();
    let here: Vec<bool> =
        people.iter().map(|(user, _)| held.iter().any(|held| held.user == user.id && held.here)).collect();
    assert_eq!(here, [true, false]);
    tx.rollback().await.unwrap();
    let mut tx = store.begin_intake(world.org(), lab, at(3)).await.unwrap();
    let found = tx.users_by_name(&asked, None).await.unwrap();
    assert_eq!((found[0].account, found[0].elsewhere, found[0].owned_elsewhere), (Some(there.id), true, true));
    assert!(tx.held_users(&[people[0].0.id]).await.unwrap()[0].owned_elsewhere);
    tx.rollback().await.unwrap();
    // A deleted directory provides no profile.
    store.delete_directory(world.org(), corp, at(4)).await.unwrap();
    let mut tx = store.begin_intake(world.org(), lab, at(5)).await.unwrap();
    assert!(!tx.held_users(&[people[0].0.id]).await.unwrap()[0].owned_elsewhere);
    tx.rollback().await.unwrap();
}

async fn who_had_left_has_left_after_the_directory_is_deleted(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let names = ["elsewhere", "expires", "left", "locked", "there", "twice"];
    let people = names.map(|name| world.person(name));
    world.import(&people, &[]).await;
    let (corp, lab) = (world.directory.id, lab(&world).await);
    let [elsewhere, expires, left, locked, _, twice] = &people;
    let in_lab = |person: &(UserRow, NewAccount)| {
        account_of(AccountKind::User, &person.0.user_name, Some(person.0.id.as_uuid()))
    };
    let (still, gone) = (in_lab(elsewhere), in_lab(twice));
    add(&world, lab, vec![still, gone.clone()]).await;
    leave(&world, corp, JobId::new(), &[left.1.id]).await;
    let mut tx = store.begin_intake(world.org(), corp, at(2)).await.unwrap();
    tx.lower_switches(&[(locked.1.id, Switch::Off), (expires.1.id, Switch::OnUntil(at(8)))]).await.unwrap();
    tx.commit().await.unwrap();
    // A third directory asks, before and after each deletion.
    let served = [AnnouncedDirectory { name: "hq".to_owned(), flavour: Flavour::OpenLdap }];
    let hq = store.announce_directories(world.org(), world.agent.id, &served, at(2)).await.unwrap().remove(0).id;
    let who_has_left = async |now: i64| {
        let mut tx = store.begin_intake(world.org(), hq, at(now)).await.unwrap();
        let found = tx.users_by_name(&names.map(str::to_owned), None).await.unwrap();
        tx.rollback().await.unwrap();
        let left = found.into_iter().filter(|named| named.has_left && !named.elsewhere);
        left.map(|named| named.name_key).collect::<Vec<_>>()
    };
    assert_eq!(who_has_left(3).await, ["left"], "the others are there, some of them switched off");
    store.delete_directory(world.org(), corp, at(4)).await.unwrap();
    assert_eq!(who_has_left(5).await, ["left", "locked"]);
    // One was there when corp was deleted, and leaves the other directory afterwards.
    leave(&world, lab, JobId::new(), &[gone.id]).await;
    assert_eq!(who_has_left(6).await, ["left", "locked", "twice"]);
    store.delete_directory(world.org(), lab, at(7)).await.unwrap();
    assert_eq!(who_has_left(7).await, ["left", "locked", "twice"]);
    assert_eq!(who_has_left(8).await, ["expires", "left", "locked", "twice"], "an account expires all the same");
    // It comes back, and nobody returns by that.
    let served = [AnnouncedDirectory { name: "corp".to_owned(), flavour: Flavour::OpenLdap }];
    store.announce_directories(world.org(), world.agent.id, &served, at(9)).await.unwrap();
    assert_eq!(who_has_left(9).await, ["left"], "the others have accounts that are not missing");
}

async fn a_name_that_is_given_up_is_free_and_the_user_is_found_all_the_same(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (old, new) = (world.person("anna"), world.person("anna"));
    world.import(std::slice::from_ref(&old), &[]).await;
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.identities().give_up_names(&[old.0.id]).await.unwrap();
    tx.identities().insert_users(vec![new.0.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.find_user(world.org(), "anna").await.unwrap().unwrap().id, new.0.id);
    let kept = store.get_user(world.org(), old.0.id).await.unwrap().unwrap();
    assert!(kept.user_name.starts_with("anna~") && kept.email == old.0.email, "{kept:?}");
    let found = store.list_users(world.org(), Some("anna@corp"), &all()).await.unwrap().items;
    assert_eq!(found.len(), 2, "both by their address: {found:?}");
}

async fn a_profile_is_written_and_its_name_stays(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (user, account) = world.person("anna");
    world.import(&[(user.clone(), account)], &[]).await;
    let changed = UserRow {
        user_name: "other".to_owned(),
        name_key: "other".to_owned(),
        email: Some("new@corp.example".to_owned()),
        active: false,
        updated_at: at(1),
        ..user.clone()
    };
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.identities().update_profiles(vec![changed.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let wanted = UserRow { user_name: user.user_name, name_key: user.name_key, active: true, ..changed };
    assert_eq!(store.get_user(world.org(), wanted.id).await.unwrap(), Some(wanted));
    assert_eq!(store.list_users(world.org(), Some("NEW@corp"), &all()).await.unwrap().items.len(), 1);
}

async fn a_user_passes_on_and_the_former_account_remembers_it(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (user, account) = world.person("anna");
    world.import(&[(user.clone(), account.clone())], &[]).await;
    let newer = account_of(AccountKind::User, "newer", None);
    add(&world, world.directory.id, vec![newer.clone()]).await;
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    assert_eq!(tx.take_over(&[user.id]).await.unwrap(), 0, "its account is there");
    tx.mark_missing(JobId::new(), &[account.id]).await.unwrap();
    assert_eq!(tx.take_over(&[user.id]).await.unwrap(), 1);
    assert_eq!(tx.unlinked(&[account.id, newer.id]).await.unwrap().len(), 2);
    tx.link_nameless(&[(newer.id, user.id.as_uuid())]).await.unwrap();
    tx.commit().await.unwrap();
    let former = store.get_account(world.org(), account.id).await.unwrap().unwrap();
    assert_eq!((former.identity, former.former_user), (None, Some(user.id)));
    let accounts = store.accounts_of(world.org(), user.id.as_uuid()).await.unwrap();
    assert_eq!(accounts.iter().map(|account| account.id).collect::<Vec<_>>(), [newer.id]);
}

async fn a_conflict_is_decided_once(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (user, _) = world.person("zoe");
    world.import(&[(user.clone(), account_of(AccountKind::User, "zoe", Some(user.id.as_uuid())))], &[]).await;
    let waiting = NewAccount { conflict: Some("anna".to_owned()), ..account_of(AccountKind::User, "anna", None) };
    add(&world, world.directory.id, vec![waiting.clone()]).await;
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    let other = tx.decide_conflict(waiting.id, "bert", user.id).await;
    assert!(matches!(other, Err(Error::NotFound { .. })), "about another name: {other:?}");
    tx.decide_conflict(waiting.id, "anna", user.id).await.unwrap();
    let again = tx.decide_conflict(waiting.id, "anna", user.id).await;
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
    tx.commit().await.unwrap();
    let account = store.get_account(world.org(), waiting.id).await.unwrap().unwrap();
    assert_eq!((account.identity, account.conflict), (Some(user.id.as_uuid()), None));
}

async fn a_group_passes_on_with_its_new_name_and_members(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (corp, job) = (world.directory.id, JobId::new());
    let (old, mut new, person) = (world.team("staff"), world.team("Staff"), world.person("anna"));
    new.1 = NewAccount { conflict: Some("staff".to_owned()), ..account_of(AccountKind::Group, "new", new.1.identity) };
    world.import(std::slice::from_ref(&person), &[old.clone(), new.clone()]).await;
    leave(&world, corp, job, &[old.1.id]).await;
    let mut tx = store.begin_intake(world.org(), corp, at(3)).await.unwrap();
    tx.set_member_form(MemberForm::Dn, postern_store::fold).await.unwrap();
    tx.replace_members(vec![(old.0.id, vec![dn_key("bert")]), (new.0.id, vec![dn_key("anna")])]).await.unwrap();
    assert_eq!(tx.group_names_here(vec!["staff".to_owned(), "x".to_owned()]).await.unwrap(), ["staff"]);
    assert_eq!(tx.groups_that_left(JobId::new(), vec!["staff".to_owned()]).await.unwrap(), []);
    let left = tx.groups_that_left(job, vec!["staff".to_owned()]).await.unwrap();
    assert_eq!(left.iter().map(|group| group.group).collect::<Vec<_>>(), [old.0.id]);
    tx.commit().await.unwrap();
    let nobody = AccountId::from_uuid(uuid::Uuid::nil());
    let waiting = store.unsettled_groups(world.org(), corp, nobody, 10).await.unwrap();
    assert_eq!(waiting.iter().map(|group| group.group).collect::<Vec<_>>(), [new.0.id]);
    assert_eq!(store.list_conflicts(world.org(), corp, &all()).await.unwrap().items, [], "of users only");

    let mut tx = store.begin_intake(world.org(), corp, at(4)).await.unwrap();
    let succession = GroupSuccession { account: new.1.id, from: new.0.id, to: old.0.id };
    tx.settle_groups(&[new.1.id], &[succession]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.unsettled_groups(world.org(), corp, nobody, 10).await.unwrap(), []);
    let groups = store.list_groups(world.org(), None, &all()).await.unwrap().items;
    assert_eq!(
        groups.iter().map(|group| (group.id, group.display_name.as_str())).collect::<Vec<_>>(),
        [(old.0.id, "Staff")]
    );
    let accounts = store.accounts_of(world.org(), old.0.id.as_uuid()).await.unwrap();
    assert_eq!(accounts.iter().map(|account| account.id).collect::<Vec<_>>(), [new.1.id]);
    let members = store.list_group_members(world.org(), old.0.id, &all()).await.unwrap().items;
    assert_eq!(members.iter().map(|member| member.key.clone()).collect::<Vec<_>>(), [Some(dn_key("anna"))]);
    let of_anna = store.groups_of(world.org(), person.0.id.as_uuid(), &all()).await.unwrap().items;
    assert_eq!(of_anna.iter().map(|group| group.id).collect::<Vec<_>>(), [old.0.id]);
}

async fn profiles_fall_to_the_next_directory(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people = [world.person("anna"), world.person("bert"), world.person("cleo")];
    world.import(&people, &[]).await;
    let (corp, lab, job) = (world.directory.id, lab(&world).await, JobId::new());
    let [anna, bert, cleo] = people.map(|(user, account)| (user.id, account.id));
    let there = |name: &str, user: postern_store::UserId| account_of(AccountKind::User, name, Some(user.as_uuid()));
    let of_bert = there("bert", bert.0);
    add(&world, lab, vec![there("anna", anna.0), of_bert.clone()]).await;
    leave(&world, corp, job, &[anna.1, cleo.1]).await;
    let nobody = AccountId::from_uuid(uuid::Uuid::nil());
    let heirs = store.heirs(world.org(), corp, job, nobody, 10).await.unwrap();
    assert_eq!(heirs.iter().map(|heir| (heir.user, heir.left)).collect::<Vec<_>>(), [(anna.0, anna.1)]);
    assert_eq!(store.heirs(world.org(), corp, job, heirs[0].left, 10).await.unwrap(), []);
    // Values of the later directory go with its account, too.
    let other = JobId::new();
    leave(&world, lab, other, &[of_bert.id]).await;
    let heirs = store.heirs(world.org(), lab, other, nobody, 10).await.unwrap();
    assert_eq!(heirs.iter().map(|heir| (heir.user, heir.left)).collect::<Vec<_>>(), [(bert.0, of_bert.id)]);
}

async fn joins_are_reported_once(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (user, account) = world.person("anna");
    world.import(&[(user.clone(), account)], &[]).await;
    let lab = lab(&world).await;
    let there = account_of(AccountKind::User, "anna", Some(user.id.as_uuid()));
    add(&world, lab, vec![there.clone()]).await;
    let mut tx = store.begin_intake(world.org(), lab, at(2)).await.unwrap();
    assert_eq!(tx.mark_joined(&[there.id]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let (count, some) = store.joined_accounts(world.org(), lab, 10).await.unwrap();
    assert_eq!((count, some[0].user_name.as_str(), some[0].directories.as_str()), (1, "anna", "corp"));
    assert!(!some[0].is_own, "a directory brought the user");
    assert_eq!(store.joins_are_reported(world.org(), lab, at(1)).await.unwrap(), 0, "it joined later");
    assert_eq!(store.joins_are_reported(world.org(), lab, at(2)).await.unwrap(), 1);
    assert_eq!(store.joined_accounts(world.org(), lab, 10).await.unwrap(), (0, Vec::new()));
}

async fn accounts_without_a_login_are_counted(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let mut person = world.person("anna");
    person.1.unique_value = None;
    let (stranger, gone) = (account_of(AccountKind::User, "x", None), account_of(AccountKind::User, "y", None));
    let group = account_of(AccountKind::Group, "g", None);
    world.import(std::slice::from_ref(&person), &[]).await;
    let nameless = |account: &NewAccount| NewAccount { unique_value: None, ..account.clone() };
    add(&world, world.directory.id, vec![nameless(&stranger), nameless(&gone), nameless(&group)]).await;
    leave(&world, world.directory.id, JobId::new(), &[gone.id]).await;
    let (count, some) = store.accounts_without_login(world.org(), world.directory.id, 10).await.unwrap();
    let names: Vec<Option<&str>> = some.iter().map(|one| one.user_name.as_deref()).collect();
    assert_eq!((count, names), (2, vec![Some("anna"), None]));
}

async fn an_organization_says_whether_directories_join(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    assert!(world.organization.joins_users);
    let change = OrganizationChange { joins_users: Some(false), ..OrganizationChange::default() };
    assert!(!store.change_organization(world.org(), change).await.unwrap().joins_users);
    assert!(!store.get_organization(world.org()).await.unwrap().unwrap().joins_users);
}
