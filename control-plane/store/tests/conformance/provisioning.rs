//! What targets get: settings, marks that the database sets by itself, leases, operations, and accounts that give nothing.

use std::collections::BTreeSet;

use crate::support::world::{World, all, at};
use crate::support::{TestDatabase, conformance};
use jiff::Timestamp;
use postern_store::{
    AccountKind, Ended, Error, IdentityId, NewAccount, OperationFilter, OperationState, Provisioning, ReplicaId, Store,
    Switch, TargetId,
};
use serde_json::json;

conformance! {
    settings_are_saved_by_who_has_seen_the_last_ones,
    every_change_of_a_user_group_or_member_sets_a_mark,
    a_change_within_groups_says_whom_else_it_concerns,
    one_replica_at_a_time_has_a_target,
    a_comparison_of_all_marks_everybody_once,
    when_somebody_has_left_is_known,
    who_has_left_waits_until_there_is_something_to_do,
    operations_are_sent_ended_held_and_decided_once,
    nothing_comes_from_an_outbound_account,
    who_has_disabled_an_account_is_known_until_it_is_enabled,
}

fn target(world: &World) -> TargetId {
    world.directory.id.into()
}

async fn provision(store: &Store, world: &World, known: u32) -> Result<Provisioning, Error> {
    let new = Provisioning {
        target: target(world),
        organization: world.org(),
        settings: json!({ "known": known }),
        paused: false,
        revision: known,
        updated_at: at(1),
        updated_by: "owner".to_owned(),
    };
    store.save_provisioning(&new, known).await
}

async fn due(store: &Store, world: &World) -> BTreeSet<IdentityId> {
    let marks = store.due_marks(world.org(), target(world), at(1_000_000), 1_000).await.unwrap();
    marks.into_iter().map(|mark| mark.identity).collect()
}

async fn clear(store: &Store, world: &World) {
    let marks = store.due_marks(world.org(), target(world), at(1_000_000), 1_000).await.unwrap();
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.clear_marks(target(world), &marks).await.unwrap();
    tx.commit().await.unwrap();
}

async fn settings_are_saved_by_who_has_seen_the_last_ones(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    assert_eq!(provision(store, &world, 0).await.unwrap().revision, 1);
    assert!(matches!(provision(store, &world, 0).await, Err(Error::Conflict { .. })));
    assert_eq!(provision(store, &world, 1).await.unwrap().revision, 2);
    let found = store.get_provisioning(world.org(), target(&world)).await.unwrap().unwrap();
    assert_eq!((found.revision, found.settings), (2, json!({ "known": 1 })));
    assert_eq!(store.get_provisioning(other.org(), target(&world)).await.unwrap(), None);
    let foreign = Provisioning { organization: other.org(), ..provision(store, &world, 2).await.unwrap() };
    assert!(matches!(store.save_provisioning(&foreign, 3).await, Err(Error::NotFound { .. })));
    assert!(!store.remove_provisioning(other.org(), target(&world)).await.unwrap());
    assert!(store.remove_provisioning(world.org(), target(&world)).await.unwrap());
    assert_eq!(store.get_provisioning(world.org(), target(&world)).await.unwrap(), None);
}

async fn every_change_of_a_user_group_or_member_sets_a_mark(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let (user, group) = (world.person("anna").0, world.team("staff").0);
    let (a, g) = (IdentityId::User(user.id), IdentityId::Group(group.id));
    // Where nothing is provisioned, nothing is marked.
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.insert_own_users(vec![(user.clone(), "{}".to_owned())]).await.unwrap();
    tx.insert_groups(vec![group.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    provision(store, &world, 0).await.unwrap();
    provision(store, &other, 0).await.unwrap();
    assert_eq!(due(store, &world).await, BTreeSet::new());
    let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
    tx.update_users(vec![user.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(store, &world).await, BTreeSet::from([a]));
    clear(store, &world).await;
    let mut tx = store.begin_identities(world.org(), at(3)).await.unwrap();
    tx.add_members(&[(group.id, a)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(store, &world).await, BTreeSet::from([a, g]));
    clear(store, &world).await;
    let mut tx = store.begin_identities(world.org(), at(4)).await.unwrap();
    tx.remove_members(&[(group.id, a)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(store, &world).await, BTreeSet::from([a, g]));
    clear(store, &world).await;
    let mut tx = store.begin_identities(world.org(), at(5)).await.unwrap();
    let owned = tx.owned_user(user.id).await.unwrap().unwrap();
    tx.delete_user(owned, "owner").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(store, &world).await, BTreeSet::from([a]), "a deleted user is marked, too");
    // What is rolled back marks nobody.
    clear(store, &world).await;
    let mut tx = store.begin_identities(world.org(), at(6)).await.unwrap();
    tx.update_groups(vec![group]).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(due(store, &world).await, BTreeSet::new());
    assert_eq!(due(store, &other).await, BTreeSet::new());
}

async fn one_replica_at_a_time_has_a_target(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let (one, two, targets) = (ReplicaId::new(), ReplicaId::new(), [target(&world)]);
    assert_eq!(store.provisioned(&targets).await.unwrap(), []);
    provision(store, &world, 0).await.unwrap();
    assert_eq!(store.provisioned(&targets).await.unwrap(), targets);
    let claim =
        async |owner, now: i64| store.claim_provisioning(owner, &targets, at(now + 10), at(now)).await.unwrap().len();
    assert_eq!((claim(one, 0).await, claim(two, 5).await, claim(one, 5).await), (1, 0, 1));
    assert_eq!((claim(two, 20).await, claim(one, 20).await), (1, 0), "after the lease is over");
    assert_eq!(store.release_provisioning(Some(one)).await.unwrap(), 0);
    assert_eq!(claim(one, 20).await, 0, "the other one has it still");
    assert_eq!(store.release_provisioning(Some(two)).await.unwrap(), 1);
    assert_eq!((claim(one, 20).await, claim(two, 20).await), (1, 0), "at once");
    assert_eq!(store.release_provisioning(None).await.unwrap(), 1);
    assert_eq!(claim(two, 20).await, 1, "whoever had it has died");
    let saved = store.get_provisioning(world.org(), target(&world)).await.unwrap().unwrap();
    store.save_provisioning(&Provisioning { paused: true, ..saved }, 1).await.unwrap();
    assert_eq!(claim(two, 21).await, 0, "nobody works on what is paused");
}

async fn a_comparison_of_all_marks_everybody_once(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    let people: Vec<_> = (0..5).map(|number| world.person(&format!("user{number}")).0).collect();
    tx.insert_users(people.clone()).await.unwrap();
    let group = world.team("staff").0;
    tx.insert_groups(vec![group.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let provisioning = provision(store, &world, 0).await.unwrap();
    let mut batches = 0;
    while store.sweep(&provisioning, 2, at(2)).await.unwrap() {
        batches += 1;
    }
    assert_eq!(batches, 3);
    let everybody = people.iter().map(|user| IdentityId::User(user.id)).chain([IdentityId::Group(group.id)]);
    assert_eq!(due(store, &world).await, everybody.collect());
    assert!(!store.sweep(&provisioning, 2, at(2)).await.unwrap(), "it is over");
    // One waits after a failure: the next comparison takes it, too.
    let marks = store.due_marks(world.org(), target(&world), at(3), 1).await.unwrap();
    let mut tx = store.begin_identities(world.org(), at(3)).await.unwrap();
    tx.delay_mark(target(&world), &marks[0], at(9_000), "it failed").await.unwrap();
    tx.commit().await.unwrap();
    let now = async || store.due_marks(world.org(), target(&world), at(4), 1_000).await.unwrap().len();
    assert_eq!(now().await, 5);
    assert!(store.compare_all(world.org(), target(&world)).await.unwrap());
    assert!(store.sweep(&provisioning, 1_000, at(4)).await.unwrap(), "and begins again when somebody asks");
    assert_eq!(now().await, 6);
}

async fn operations_are_sent_ended_held_and_decided_once(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let (a, b) = (IdentityId::User(world.person("anna").0.id), IdentityId::User(world.person("bert").0.id));
    let sent = world.operation(a, OperationState::Sent);
    let (held, rejected) = (world.operation(b, OperationState::Held), world.operation(b, OperationState::Held));
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.insert_operations(&[sent.clone(), held.clone(), rejected.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.get_operation(world.org(), sent.id).await.unwrap(), Some(sent.clone()));
    assert_eq!(store.get_operation(other.org(), sent.id).await.unwrap(), None);
    assert_eq!(store.open_operations(world.org(), target(&world), 10).await.unwrap(), std::slice::from_ref(&sent));
    let recent = store.recent_operations(world.org(), target(&world), at(1)).await.unwrap();
    assert_eq!(recent, [("create".to_owned(), at(1))], "what is held does not count");
    let ended =
        Ended { id: sent.id, state: OperationState::Succeeded, elapsed_ms: 7, answer: json!({ "effect": "created" }) };
    let mut tx = store.begin_identities(other.org(), at(2)).await.unwrap();
    assert!(!tx.end_operation(&ended).await.unwrap(), "another organization ends nothing");
    assert_eq!(tx.held_operations(target(&world), 10).await.unwrap(), []);
    assert_eq!(tx.decide_held(target(&world), None, (true, "x")).await.unwrap(), 0);
    tx.commit().await.unwrap();
    let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
    assert!(tx.end_operation(&ended).await.unwrap());
    assert!(!tx.end_operation(&ended).await.unwrap(), "it has ended");
    assert!(!tx.send_operation(sent.id, 2).await.unwrap());
    let mut all_held = [held.id, rejected.id];
    all_held.sort_unstable();
    assert_eq!(tx.held_operations(target(&world), 10).await.unwrap(), all_held);
    assert_eq!(tx.held_operations(target(&world), 1).await.unwrap(), all_held[..1]);
    assert_eq!(tx.decide_held(target(&world), Some(&[held.id]), (true, "owner")).await.unwrap(), 1);
    assert_eq!(tx.decide_held(target(&world), Some(&[held.id]), (true, "owner")).await.unwrap(), 0);
    assert_eq!(tx.decide_held(target(&world), None, (false, "owner")).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let approved = store.approved_operations(world.org(), target(&world), 10).await.unwrap();
    assert_eq!(approved.iter().map(|operation| operation.id).collect::<Vec<_>>(), [held.id]);
    let states = async |filter: OperationFilter| {
        let page = store.list_operations(world.org(), &filter, &all()).await.unwrap();
        page.items.into_iter().map(|operation| (operation.id, operation.state)).collect::<Vec<_>>()
    };
    let both = [(rejected.id, OperationState::Dropped), (held.id, OperationState::Waiting)];
    assert_eq!(states(OperationFilter { identity: Some(b.as_uuid()), ..OperationFilter::default() }).await, both);
    let done = OperationFilter { state: Some(OperationState::Succeeded), ..OperationFilter::default() };
    assert_eq!(states(done).await, [(sent.id, OperationState::Succeeded)]);
    let over = store.get_operation(world.org(), sent.id).await.unwrap().unwrap();
    assert_eq!((over.content, over.ended_at, over.elapsed_ms), (None, Some(at(2)), Some(7)));
    assert!(store.list_operations(other.org(), &OperationFilter::default(), &all()).await.unwrap().items.is_empty());
    assert_eq!(store.forget_operations(at(3), 10).await.unwrap(), 2, "only what has ended is forgotten");
}

async fn nothing_comes_from_an_outbound_account(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let (person, account) = world.person("anna");
    world.import(&[(person.clone(), account.clone())], &[]).await;
    let key = account.external_key.clone();
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
    assert!(tx.make_outbound(AccountKind::User, &key, person.id.as_uuid()).await.unwrap());
    tx.agree(AccountKind::User, &key, &json!({ "mail": ["a"] })).await.unwrap();
    assert!(tx.identities().directories_with(person.id).await.unwrap().is_empty(), "the user can be deleted");
    assert!(tx.identities().accounts_of_users(&[person.id]).await.unwrap().is_empty(), "it says nothing");
    tx.mark_missing(postern_store::JobId::new(), &[account.id]).await.unwrap();
    tx.commit().await.unwrap();
    let user = store.get_user(world.org(), person.id).await.unwrap().unwrap();
    assert_eq!((user.active, user.missing_since), (true, None), "the user stays active without it");
    let found = store.accounts_in(world.org(), target(&world), &[IdentityId::User(person.id)]).await.unwrap();
    assert!(found[0].account.outbound && found[0].account.missing_since.is_some());
    assert_eq!(found[0].agreed, json!({ "mail": ["a"] }));
    // The user goes; what becomes of the account is decided by provisioning.
    let mut tx = store.begin_identities(world.org(), at(3)).await.unwrap();
    let owned = tx.owned_user(person.id).await.unwrap().unwrap();
    tx.delete_user(owned, "owner").await.unwrap();
    tx.commit().await.unwrap();
    assert!(store.get_account(world.org(), account.id).await.unwrap().is_some());
}

async fn who_has_disabled_an_account_is_known_until_it_is_enabled(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let (person, account) = world.person("anna");
    world.import(&[(person.clone(), account.clone())], &[]).await;
    let disabled_here = async || {
        let found = store.accounts_in(world.org(), target(&world), &[IdentityId::User(person.id)]).await.unwrap();
        found[0].disabled_here
    };
    let imported = async |switch: Switch| {
        let now = NewAccount { identity: Some(person.id.as_uuid()), switch, ..account.clone() };
        let mut tx = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
        tx.update_accounts(vec![now]).await.unwrap();
        tx.commit().await.unwrap();
    };
    imported(Switch::Off).await;
    assert!(!disabled_here().await, "the directory has disabled it");
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(3)).await.unwrap();
    tx.note_disabled(AccountKind::User, &account.external_key).await.unwrap();
    tx.commit().await.unwrap();
    imported(Switch::Off).await;
    assert!(disabled_here().await);
    imported(Switch::Unknown).await;
    assert!(disabled_here().await, "an entry that does not say it is no news");
    imported(Switch::On).await;
    assert!(!disabled_here().await);
    imported(Switch::Off).await;
    assert!(!disabled_here().await, "what the directory disables later is its own");
}

async fn a_change_within_groups_says_whom_else_it_concerns(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let (outer, inner, user) = (world.team("outer").0, world.team("inner").0, world.person("anna").0);
    let (team, bert, crew) = (world.team("team"), world.person("bert"), world.team("crew"));
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.insert_own_users(vec![(user.clone(), "{}".to_owned())]).await.unwrap();
    tx.insert_groups(vec![outer.clone(), inner.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    world.import(std::slice::from_ref(&bert), &[team.clone(), crew.clone()]).await;
    provision(store, &world, 0).await.unwrap();
    let (above, within, anna) = (IdentityId::Group(outer.id), IdentityId::Group(inner.id), IdentityId::User(user.id));
    let spread = async || {
        let marks = store.due_marks(world.org(), target(&world), at(1_000_000), 1_000).await.unwrap();
        let all: Vec<_> = marks.iter().map(|mark| (mark.identity, (mark.members_changed, mark.has_moved))).collect();
        clear(store, &world).await;
        move |identity: IdentityId| all.iter().find(|(known, _)| *known == identity).map(|(_, spread)| *spread)
    };
    for add in [true, false] {
        let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
        let members = [(outer.id, within), (inner.id, anna)];
        let changed = if add { tx.add_members(&members).await } else { tx.remove_members(&members).await };
        assert_eq!(changed.unwrap(), 2);
        tx.commit().await.unwrap();
        let of = spread().await;
        assert_eq!(of(above), Some((true, false)), "{add}: its members have changed");
        assert_eq!(of(within), Some((true, true)), "{add}: and it has joined or left a group itself");
        assert_eq!(of(anna), Some((false, false)), "{add}");
    }
    // What a directory says of its groups marks as well, who leaves too.
    let (t, c, b) = (IdentityId::Group(team.0.id), IdentityId::Group(crew.0.id), IdentityId::User(bert.0.id));
    let names = ["bert", "crew"].map(crate::support::world::dn_key);
    for names in [names.to_vec(), Vec::new()] {
        let mut tx = store.begin_intake(world.org(), world.directory.id, at(3)).await.unwrap();
        tx.replace_members(vec![(team.0.id, names)]).await.unwrap();
        tx.commit().await.unwrap();
        let of = spread().await;
        assert_eq!((of(t), of(c), of(b)), (Some((true, false)), Some((false, true)), Some((false, false))));
    }
    // Once it was done, it is over; unless the group has changed again meanwhile.
    let mut tx = store.begin_identities(world.org(), at(4)).await.unwrap();
    tx.add_members(&[(outer.id, anna)]).await.unwrap();
    tx.commit().await.unwrap();
    let mark = store.get_mark(world.org(), target(&world), above).await.unwrap().unwrap();
    let earlier = postern_store::Mark { times: mark.times - 1, ..mark.clone() };
    let mut tx = store.begin_identities(world.org(), at(5)).await.unwrap();
    assert_eq!(tx.end_spread(target(&world), &[earlier]).await.unwrap(), 0);
    assert_eq!(tx.end_spread(target(&world), std::slice::from_ref(&mark)).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let mark = store.get_mark(world.org(), target(&world), above).await.unwrap().unwrap();
    assert!(!mark.members_changed && !mark.has_moved);
}

async fn when_somebody_has_left_is_known(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let (person, account) = world.person("anna");
    let anna = IdentityId::User(person.id);
    world.import(&[(person.clone(), account.clone())], &[]).await;
    provision(store, &world, 0).await.unwrap();
    let left_at = async || {
        let found = store.accounts_in(world.org(), target(&world), &[anna]).await.unwrap();
        let members = store.member_accounts(world.org(), target(&world), &[person.id.as_uuid()]).await.unwrap();
        assert_eq!(members[0].left, found[0].left_at.is_some());
        found[0].left_at
    };
    let note = async |organization, left_at: Option<Timestamp>| {
        let mut tx = store.begin_identities(organization, at(2)).await.unwrap();
        tx.note_left(account.id, left_at).await.unwrap();
        tx.commit().await.unwrap();
    };
    note(world.org(), Some(at(2))).await;
    assert_eq!(left_at().await, None, "the user comes from the directory");
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
    assert!(tx.make_outbound(AccountKind::User, &account.external_key, person.id.as_uuid()).await.unwrap());
    tx.commit().await.unwrap();
    note(other.org(), Some(at(2))).await;
    assert_eq!(left_at().await, None, "another organization says nothing here");
    note(world.org(), Some(at(2))).await;
    assert_eq!(left_at().await, Some(at(2)));
    // Somebody who gets the entry has not left it.
    let mut tx = store.begin_identities(world.org(), at(3)).await.unwrap();
    let owned = tx.owned_user(person.id).await.unwrap().unwrap();
    tx.delete_user(owned, "owner").await.unwrap();
    let bert = world.person("bert").0;
    tx.insert_own_users(vec![(bert.clone(), "{}".to_owned())]).await.unwrap();
    assert!(tx.link_outbound(account.id, bert.id).await.unwrap());
    tx.commit().await.unwrap();
    let found = store.accounts_in(world.org(), target(&world), &[IdentityId::User(bert.id)]).await.unwrap();
    assert_eq!(found[0].left_at, None);
}

async fn who_has_left_waits_until_there_is_something_to_do(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let (person, account) = world.person("anna");
    let anna = IdentityId::User(person.id);
    world.import(&[(person.clone(), account.clone())], &[]).await;
    provision(store, &world, 0).await.unwrap();
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
    assert!(tx.make_outbound(AccountKind::User, &account.external_key, person.id.as_uuid()).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
    tx.mark(target(&world), &[anna]).await.unwrap();
    tx.commit().await.unwrap();
    // It is due when its time comes, in whatever process.
    let again = database.again().await;
    let due = async |now: Timestamp| again.due_marks(world.org(), target(&world), now, 10).await.unwrap().len();
    let mark = async || again.get_mark(world.org(), target(&world), anna).await.unwrap();
    let wait = async |organization, known: Option<&postern_store::Mark>, until: Timestamp| {
        let mut tx = store.begin_identities(organization, at(3)).await.unwrap();
        tx.wait(target(&world), anna, known, until).await.unwrap();
        tx.commit().await.unwrap();
    };
    let known = mark().await.unwrap();
    wait(other.org(), Some(&known), at(90)).await;
    assert_eq!(due(at(89)).await, 1, "another organization lets nobody wait");
    wait(world.org(), Some(&known), at(90)).await;
    assert_eq!((due(at(89)).await, due(at(90)).await), (0, 1));
    // Who was marked meanwhile does not wait, and who had no mark gets one.
    let mut tx = store.begin_identities(world.org(), at(4)).await.unwrap();
    tx.mark(target(&world), &[anna]).await.unwrap();
    tx.commit().await.unwrap();
    for known in [Some(&known), None] {
        wait(world.org(), known, at(90)).await;
        assert_eq!(due(at(5)).await, 1);
    }
    clear(store, &world).await;
    wait(world.org(), None, at(90)).await;
    assert_eq!((due(at(89)).await, due(at(90)).await), (0, 1));
    // Nobody is left of the user: it is due all the same. Failures are over once it waits.
    let failed = mark().await.unwrap();
    let mut tx = store.begin_identities(world.org(), at(5)).await.unwrap();
    tx.delay_mark(target(&world), &failed, at(6), "it failed").await.unwrap();
    tx.wait(target(&world), anna, Some(&failed), at(95)).await.unwrap();
    tx.commit().await.unwrap();
    let waiting = mark().await.unwrap();
    assert_eq!((waiting.failures, waiting.problem, waiting.not_before), (0, None, at(95)));
    let mut tx = store.begin_identities(world.org(), at(6)).await.unwrap();
    let owned = tx.owned_user(person.id).await.unwrap().unwrap();
    tx.delete_user(owned, "owner").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(at(7)).await, 1, "the deletion marks it");
    wait(world.org(), mark().await.as_ref(), at(95)).await;
    assert_eq!(store.purge_users(at(1_000)).await.unwrap(), 1);
    assert_eq!((due(at(94)).await, due(at(95)).await), (0, 1));
    again.close().await;
}
