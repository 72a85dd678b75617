//! The order of directories, and what follows from a change of it.

use crate::support::world::{World, account_of, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, AnnouncedDirectory, DirectoryId, Flavour, NewAccount, NewJob, OrderRun, Store, UserId,
};

conformance! {
    directories_have_an_order_and_new_ones_come_last,
    an_order_of_another_organization_does_not_change,
    the_first_directory_owns_the_values_of_a_user,
    a_run_comes_to_each_user_of_several_directories_once,
    a_run_waits_for_imports_that_began_before_the_change,
}

async fn serve(world: &World, name: &str, now: i64) -> DirectoryId {
    let served = [AnnouncedDirectory { name: name.to_owned(), flavour: Flavour::OpenLdap }];
    world.store.announce_directories(world.org(), world.agent.id, &served, at(now)).await.unwrap().remove(0).id
}

async fn directories_have_an_order_and_new_ones_come_last(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (corp, lab, hq) = (world.directory.id, serve(&world, "lab", 1).await, serve(&world, "hq", 1).await);
    let order = async || store.directory_order(world.org()).await.unwrap();
    assert_eq!((order().await, store.order_is_applied(world.org()).await.unwrap()), (vec![corp, lab, hq], None));
    assert!(store.set_directory_order(world.org(), &[hq, lab], None, at(2)).await.unwrap());
    assert_eq!((order().await, store.order_is_applied(world.org()).await.unwrap()), (vec![hq, lab, corp], Some(false)));
    let stale = store.set_directory_order(world.org(), &[corp], Some(&[corp, lab, hq]), at(3)).await.unwrap();
    assert!(!stale, "somebody else has changed it");
    assert!(store.set_directory_order(world.org(), &[corp, hq], Some(&[hq, lab, corp]), at(3)).await.unwrap());
    assert_eq!(order().await, [corp, hq, lab]);
    // A deleted directory keeps its place among the others.
    store.delete_directory(world.org(), hq, at(4)).await.unwrap();
    assert_eq!(order().await, [corp, lab]);
    assert!(store.set_directory_order(world.org(), &[lab], Some(&[corp, lab]), at(5)).await.unwrap());
    let new = serve(&world, "new", 6).await;
    assert_eq!(order().await, [lab, corp, new]);
    serve(&world, "hq", 7).await;
    assert_eq!(order().await, [lab, corp, hq, new]);
}

async fn an_order_of_another_organization_does_not_change(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let lab = serve(&world, "lab", 1).await;
    let theirs = serve(&other, "lab", 1).await;
    assert!(store.set_directory_order(other.org(), &[lab, world.directory.id], None, at(2)).await.unwrap());
    assert_eq!(store.directory_order(world.org()).await.unwrap(), [world.directory.id, lab]);
    assert_eq!(store.directory_order(other.org()).await.unwrap(), [other.directory.id, theirs]);
    assert_eq!(store.order_is_applied(world.org()).await.unwrap(), None);
}

async fn add(world: &World, directory: DirectoryId, accounts: Vec<NewAccount>) {
    let mut tx = world.store.begin_intake(world.org(), directory, at(1)).await.unwrap();
    tx.insert_accounts(accounts).await.unwrap();
    tx.commit().await.unwrap();
}

async fn the_first_directory_owns_the_values_of_a_user(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (corp, lab) = (world.directory.id, serve(&world, "lab", 1).await);
    let (user, account) = world.person("anna");
    world.import(&[(user.clone(), account.clone())], &[]).await;
    let there = account_of(AccountKind::User, "anna", Some(user.id.as_uuid()));
    add(&world, lab, vec![there.clone()]).await;
    for (first, second, of_first) in [(corp, lab, account.id), (lab, corp, there.id)] {
        store.set_directory_order(world.org(), &[first], None, at(2)).await.unwrap();
        for (directory, owned_elsewhere) in [(first, false), (second, true)] {
            let mut tx = store.begin_intake(world.org(), directory, at(3)).await.unwrap();
            let held = tx.held_users(&[user.id]).await.unwrap();
            assert_eq!((held[0].elsewhere, held[0].owned_elsewhere), (true, owned_elsewhere));
            let named = tx.users_by_name(&["anna".to_owned()], None).await.unwrap();
            assert_eq!((named[0].elsewhere, named[0].owned_elsewhere), (true, owned_elsewhere));
            tx.rollback().await.unwrap();
        }
        let mut tx = store.begin_identities(world.org(), at(4)).await.unwrap();
        let accounts = tx.accounts_of_users(&[user.id]).await.unwrap();
        assert_eq!(accounts.iter().map(|account| account.id).collect::<Vec<_>>()[0], of_first);
        tx.rollback().await.unwrap();
        assert_eq!(store.accounts_of(world.org(), user.id.as_uuid()).await.unwrap()[0].id, of_first);
    }
}

/// All users of a run, and whether it has ended.
async fn passed(store: &Store, run: &mut OrderRun, now: i64) -> (Vec<UserId>, bool) {
    let mut users = Vec::new();
    loop {
        let accounts = store.order_accounts(run, 2).await.unwrap();
        match accounts.last() {
            Some((key, _)) => run.pass(key),
            None => match store.order_target(run).await.unwrap() {
                Some(target) => run.go_to(target),
                None => return (users, store.finish_order(run, at(now + 15)).await.unwrap()),
            },
        }
        users.extend(accounts.into_iter().filter_map(|(_, user)| user));
        assert!(store.advance_order(run, at(now + 60)).await.unwrap());
    }
}

async fn a_run_comes_to_each_user_of_several_directories_once(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let lab = serve(&world, "lab", 1).await;
    let people = ["anna", "bert", "cleo", "dora"].map(|name| world.person(name));
    world.import(&people, &[]).await;
    let there = |name: &str, user: UserId| account_of(AccountKind::User, name, Some(user.as_uuid()));
    let (anna, cleo) = (people[0].0.id, people[2].0.id);
    add(&world, lab, vec![there("anna", anna), there("cleo", cleo)]).await;
    assert_eq!(store.claim_order(at(60), at(15), at(2)).await.unwrap(), None);
    store.set_directory_order(world.org(), &[lab], None, at(2)).await.unwrap();
    let mut run = store.claim_order(at(60), at(15), at(2)).await.unwrap().unwrap();
    assert_eq!(store.claim_order(at(61), at(15), at(3)).await.unwrap(), None, "it is claimed");
    let (mut users, done) = passed(store, &mut run, 3).await;
    users.sort();
    assert!(done && users == [anna.min(cleo), anna.max(cleo)], "{users:?}");
    assert_eq!(store.order_is_applied(world.org()).await.unwrap(), Some(true));
    // A claim that has ended is taken up where it was, and a new change begins from the start.
    store.set_directory_order(world.org(), &[world.directory.id], None, at(4)).await.unwrap();
    let mut run = store.claim_order(at(60), at(15), at(5)).await.unwrap().unwrap();
    run.go_to(store.order_target(&run).await.unwrap().unwrap());
    assert!(store.advance_order(&mut run, at(61)).await.unwrap());
    let again = store.claim_order(at(130), at(15), at(61)).await.unwrap().unwrap();
    assert_eq!((again.target, again.revision), (run.target, run.revision));
    assert!(!store.advance_order(&mut run, at(62)).await.unwrap(), "somebody else has it");
    store.set_directory_order(world.org(), &[lab], None, at(62)).await.unwrap();
    let mut old = again.clone();
    assert!(!store.advance_order(&mut old, at(140)).await.unwrap(), "the order has changed again");
    let newest = store.claim_order(at(130), at(15), at(63)).await.unwrap().unwrap();
    assert_eq!((newest.target, newest.revision), (0, again.revision + 1));
}

async fn a_run_waits_for_imports_that_began_before_the_change(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let lab = serve(&world, "lab", 0).await;
    let job = store.create_job(NewJob { deadline: at(3_600), ..world.job("import") }, at(0)).await.unwrap();
    assert_eq!(world.claim().await.len(), 1);
    store.set_directory_order(world.org(), &[lab], None, at(2)).await.unwrap();
    let mut run = store.claim_order(at(60), at(15), at(2)).await.unwrap().unwrap();
    assert!(!run.settled);
    assert!(!passed(store, &mut run, 3).await.1, "the import may still write by the former order");
    assert_eq!(store.claim_order(at(90), at(33), at(18)).await.unwrap(), None, "it waits");
    assert_eq!(store.order_is_applied(world.org()).await.unwrap(), Some(false));
    store.request_cancel(world.org(), job.id, at(20)).await.unwrap();
    let ended = "UPDATE jobs SET state = 'canceled'";
    database.execute(ended).await;
    assert_eq!(store.claim_order(at(90), at(33), at(20)).await.unwrap(), None, "it looks again later");
    let mut run = store.claim_order(at(90), at(48), at(33)).await.unwrap().unwrap();
    assert!(run.settled && passed(store, &mut run, 34).await.1);
    assert_eq!(store.order_is_applied(world.org()).await.unwrap(), Some(true));
}
