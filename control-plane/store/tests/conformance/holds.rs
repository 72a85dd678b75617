//! What an import keeps aside, and the queries to judge it.

use crate::support::world::{World, at, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, ChangeKind, Deferred, DeferredPart, DirectoryChange, Finish, JobState, MemberForm, NewAccount,
    PageRequest, Threshold, ThresholdChange, Thresholds, TroubledJob,
};
use serde_json::json;

conformance! {
    entries_kept_aside_are_forgotten_when_they_are_applied_or_the_job_ends,
    what_accounts_hold_is_read_with_their_users,
    accounts_with_an_attribute_are_counted,
    present_accounts_page_with_their_dns,
    names_of_members_are_read_by_group,
    each_threshold_is_changed_by_itself,
    accounts_of_shared_ids_are_remembered_until_they_are_forgotten,
    a_directory_names_its_held_import_or_its_last_one_that_failed,
}

async fn a_directory_names_its_held_import_or_its_last_one_that_failed(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let troubled = async || {
        let one = store.get_directory(world.org(), world.directory.id).await.unwrap().unwrap();
        let listed = store.list_directories(world.org(), &PageRequest::first(10)).await.unwrap();
        assert_eq!(listed.items[0].troubled, one.troubled, "the list says the same");
        one.troubled
    };
    let run = async |kind: &str, finish: Finish| {
        let job = world.create(kind).await;
        let lease = world.claim().await[0].lease().unwrap();
        assert!(store.finish(&lease, &finish, at(2)).await.unwrap());
        job.id
    };
    assert_eq!(troubled().await, None);
    let error = json!({ "message": "no answer" });
    let failed = run("import", Finish::Failed(error.clone())).await;
    let expected = TroubledJob { id: failed, held: false, reason: Some(error.clone()) };
    // A job of another kind is no import.
    run("test_connection", Finish::Succeeded(json!({}))).await;
    assert_eq!(troubled().await, Some(expected));
    run("import", Finish::Succeeded(json!({}))).await;
    assert_eq!(troubled().await, None);
    run("test_connection", Finish::Failed(error.clone())).await;
    assert_eq!(troubled().await, None);

    let held = world.create("import").await.id;
    let waiting = world.create("import").await.id;
    let lease = world.claim().await[0].lease().unwrap();
    let reason = json!({ "reason": "many are missing" });
    assert!(store.mark_proven(&lease, at(3)).await.unwrap());
    assert!(store.hold(&lease, &reason, at(3)).await.unwrap());
    let expected = Some(TroubledJob { id: held, held: true, reason: Some(reason) });
    assert_eq!(troubled().await, expected);
    // The one that waits for it fails: the held one is the reason.
    store.expire_overdue(&error, &error, at(9_999)).await.unwrap();
    assert_eq!(store.get_job(world.org(), waiting).await.unwrap().unwrap().state, JobState::Failed);
    assert_eq!(troubled().await, expected);
    store.reject_job(world.org(), held, "ada", None, at(4)).await.unwrap();
    assert_eq!(troubled().await.map(|job| (job.id, job.held)), Some((waiting, false)));
    let of_other = store.get_directory(other.org(), other.directory.id).await.unwrap().unwrap();
    assert_eq!(of_other.troubled, None);
}

fn kept(sequence: u64, kinds: u32) -> Deferred {
    let part = DeferredPart { sequence, kinds, entries: 3, counts: json!({ "activated": 3 }) };
    Deferred { part, payload: vec![u8::try_from(sequence).unwrap(); 40] }
}

async fn entries_kept_aside_are_forgotten_when_they_are_applied_or_the_job_ends(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let (org, directory) = (world.org(), world.directory.id);
    let job = world.create("import").await.id;
    // A chunk may come twice.
    for _ in 0..2 {
        let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
        tx.defer(job, 1, vec![kept(2, 1), kept(0, 4), kept(0, 1)]).await.unwrap();
        tx.defer(job, 1, Vec::new()).await.unwrap();
        tx.commit().await.unwrap();
    }
    let parts = store.deferred(org, job, 1).await.unwrap();
    assert_eq!(parts, [kept(0, 1).part, kept(0, 4).part, kept(2, 1).part]);
    assert_eq!(store.deferred(org, job, 2).await.unwrap(), []);
    assert_eq!(store.deferred(other.org(), job, 1).await.unwrap(), []);
    assert_eq!(store.deferred_payload(org, job, 1, &parts[2]).await.unwrap(), Some(vec![2; 40]));
    assert_eq!(store.deferred_payload(other.org(), job, 1, &parts[2]).await.unwrap(), None);

    let mut tx = store.begin_intake(org, directory, at(2)).await.unwrap();
    tx.drop_deferred(job, 1, &parts[0]).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(store.deferred(org, job, 1).await.unwrap().len(), 3);
    let mut tx = store.begin_intake(org, directory, at(2)).await.unwrap();
    tx.drop_deferred(job, 1, &parts[0]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.deferred(org, job, 1).await.unwrap(), parts[1..]);

    store.drop_staged_of_ended_jobs().await.unwrap();
    assert_eq!(store.deferred(org, job, 1).await.unwrap().len(), 2);
    store.request_cancel(org, job, at(3)).await.unwrap();
    store.drop_staged_of_ended_jobs().await.unwrap();
    assert_eq!(store.deferred(org, job, 1).await.unwrap(), []);
}

async fn what_accounts_hold_is_read_with_their_users(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let mut people = [world.person("anna"), world.person("bert")];
    people[1].0.active = false;
    people[1].0.display_name = None;
    let team = world.team("staff");
    world.import(&people, std::slice::from_ref(&team)).await;
    let ids = [people[0].1.id, people[1].1.id, team.1.id];
    let mut known = store.known_contents(world.org(), &ids).await.unwrap();
    known.sort_by_key(|content| ids.iter().position(|id| *id == content.account));
    let users: Vec<_> = known.iter().map(|content| (content.name_key.as_deref(), content.active)).collect();
    assert_eq!(users, [(Some("anna"), Some(true)), (Some("bert"), Some(false)), (None, None)]);
    assert_eq!((&known[0].attributes, &known[0].unique_value), (&people[0].1.attributes, &people[0].1.unique_value));
    let mut people_named = store.named_accounts(world.org(), &ids).await.unwrap();
    people_named.sort_by_key(|account| ids.iter().position(|id| *id == account.id));
    let names: Vec<_> =
        people_named.iter().map(|account| (account.dn.as_str(), account.display_name.as_deref())).collect();
    let wanted = [
        (people[0].1.dn.as_str(), Some("Display anna")),
        (people[1].1.dn.as_str(), Some("bert")),
        (team.1.dn.as_str(), Some("staff")),
    ];
    assert_eq!(names, wanted);
    assert_eq!(store.known_contents(other.org(), &ids).await.unwrap(), []);
    assert!(known.iter().all(|content| !content.missing));
    let job = world.create("import").await.id;
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.mark_missing(job, &ids[..1]).await.unwrap();
    tx.commit().await.unwrap();
    let known = store.known_contents(world.org(), &ids[..1]).await.unwrap();
    assert_eq!((known[0].missing, known[0].active), (true, Some(false)));
    assert_eq!(store.named_accounts(other.org(), &ids).await.unwrap(), []);
}

async fn accounts_with_an_attribute_are_counted(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let with = |name: &str, attributes: &str| {
        let (user, account) = world.person(name);
        (user, NewAccount { attributes: attributes.to_owned(), ..account })
    };
    let people = [
        with("anna", r#"{"uid":["anna"],"mail":["a@x"]}"#),
        with("bert", r#"{"uid":["\"mail\":["]}"#),
        with("cleo", r#"{"mail":["c@x"]}"#),
        with("dora", r#"{"mail":["d@x"]}"#),
    ];
    world.import(&people, &[]).await;
    let (org, directory) = (world.org(), world.directory.id);
    let job = world.create("import").await.id;
    let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
    tx.mark_missing(job, &[people[3].1.id]).await.unwrap();
    tx.commit().await.unwrap();
    let count = async |kind, names: &[&str]| store.count_with_attributes(org, directory, kind, names).await.unwrap();
    assert_eq!(count(AccountKind::User, &["mail", "none", "uid"]).await, [2, 0, 2]);
    assert_eq!(count(AccountKind::Group, &["mail"]).await, [0]);
    assert_eq!(count(AccountKind::User, &[]).await, [0; 0]);
    // More texts than a database row may have columns.
    let many: Vec<String> = (0..2_048).map(|number| format!("attribute{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["mail"]).collect();
    let counted = count(AccountKind::User, &many).await;
    assert_eq!((counted.len(), counted.last(), counted.iter().sum::<u64>()), (2_049, Some(&2), 2));
}

async fn present_accounts_page_with_their_dns(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people: Vec<_> = (0..7).map(|number| world.person(&format!("user{number}"))).collect();
    world.import(&people, &[world.team("staff")]).await;
    let (org, directory) = (world.org(), world.directory.id);
    let job = world.create("import").await.id;
    let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
    tx.mark_missing(job, &[people[3].1.id]).await.unwrap();
    tx.commit().await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.present_dns(org, directory, AccountKind::User, after.as_ref(), 2).await.unwrap();
        let Some((_, last, _)) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page.into_iter().map(|(id, _, dn)| (id, dn)));
    }
    seen.sort_unstable_by_key(|(id, _)| *id);
    let present = people.iter().enumerate().filter(|(number, _)| *number != 3);
    let mut wanted: Vec<_> = present.map(|(_, (_, account))| (account.id, account.dn.clone())).collect();
    wanted.sort_unstable_by_key(|(id, _)| *id);
    assert_eq!(seen, wanted);
}

async fn names_of_members_are_read_by_group(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let teams = [world.team("staff"), world.team("empty")];
    world.import(&[], &teams).await;
    let (org, directory) = (world.org(), world.directory.id);
    let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
    tx.set_member_form(MemberForm::Dn, dn_key).await.unwrap();
    let names: Vec<String> = (0..300).map(|number| dn_key(&format!("user{number}"))).collect();
    tx.replace_members(vec![(teams[0].0.id, names.clone())]).await.unwrap();
    tx.commit().await.unwrap();
    let groups = teams.each_ref().map(|(group, _)| group.id);
    let held = store.member_names(org, directory, &groups).await.unwrap();
    assert_eq!((held.len(), &held[&groups[0]]), (1, &names.into_iter().collect()));
    assert!(store.member_names(other.org(), directory, &groups).await.unwrap().is_empty());
    assert!(store.member_names(other.org(), other.directory.id, &groups).await.unwrap().is_empty());
}

async fn each_threshold_is_changed_by_itself(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    assert_eq!(world.directory.thresholds, Thresholds::default());
    let percent = ThresholdChange { percent: Some(20), minimum: None };
    let minimum = ThresholdChange { percent: None, minimum: Some(7) };
    for (kind, change) in
        [(ChangeKind::Activated, percent), (ChangeKind::Activated, minimum), (ChangeKind::Removed, minimum)]
    {
        let change = DirectoryChange { thresholds: vec![(kind, change)], ..DirectoryChange::default() };
        store.update_directory(world.org(), world.directory.id, change).await.unwrap();
    }
    let name = DirectoryChange { display_name: Some("HQ".to_owned()), ..DirectoryChange::default() };
    let changed = store.update_directory(world.org(), world.directory.id, name).await.unwrap().thresholds;
    let usual = Thresholds::default();
    assert_eq!(changed.activated, Threshold { percent: 20, minimum: 7 });
    assert_eq!(changed.removed, Threshold { minimum: 7, ..usual.removed });
    assert_eq!((changed.renamed, changed.vanished), (usual.renamed, usual.vanished));
}

async fn accounts_of_shared_ids_are_remembered_until_they_are_forgotten(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let (org, directory) = (world.org(), world.directory.id);
    let (people, team) = ([world.person("anna"), world.person("bert")], world.team("staff"));
    world.import(&people, std::slice::from_ref(&team)).await;
    let (anna, bert, staff) = (people[0].1.id, people[1].1.id, team.1.id);
    let remembered = async |world: &World| {
        let mut found = store.shared_accounts(world.org(), world.directory.id).await.unwrap();
        found.sort_by_key(|(_, kind, _)| *kind == AccountKind::Group);
        found
    };
    assert_eq!(remembered(&world).await, []);
    // An import may find the same ids again.
    for _ in 0..2 {
        let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
        tx.remember_shared(&[anna, staff]).await.unwrap();
        tx.remember_shared(&[]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let wanted = [
        (anna, AccountKind::User, people[0].1.external_key.clone()),
        (staff, AccountKind::Group, team.1.external_key.clone()),
    ];
    assert_eq!(remembered(&world).await, wanted);
    assert_eq!(remembered(&other).await, []);
    let known = store.known_contents(org, &[anna, bert, staff]).await.unwrap();
    assert_eq!(known.iter().filter(|content| content.shared).count(), 2, "{known:?}");
    assert!(known.iter().any(|content| content.account == bert && !content.shared), "{known:?}");

    let mut tx = store.begin_intake(other.org(), other.directory.id, at(2)).await.unwrap();
    tx.forget_shared(&[anna, staff]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(remembered(&world).await.len(), 2, "another directory has no say");
    let mut tx = store.begin_intake(org, directory, at(2)).await.unwrap();
    assert_eq!(tx.forget_shared(&[anna, bert]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(remembered(&world).await, wanted[1..]);
}
