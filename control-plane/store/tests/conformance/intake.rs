//! Writes of an import: new, changed, unchanged, missing and returning entries; conflicts; repeated chunks.

use crate::support::world::{World, account_of, all, at, content, dn_key, external_id};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, Comparison, Error, ExternalKey, JobId, NewAccount, PageRequest, StagedChunk, StagedKeys,
};

conformance! {
    new_entries_become_accounts_and_users,
    an_empty_directory_differs_from_one_with_accounts,
    changed_and_unchanged_entries_are_distinguished,
    a_rename_keeps_the_account,
    missing_accounts_are_marked_once_and_come_back,
    what_an_import_has_not_seen_is_found,
    many_accounts_page_by_key,
    conflicts_are_listed_with_both_names_and_settled,
    one_external_id_has_one_account,
    a_chunk_recorded_twice_counts_once,
    nothing_stays_of_what_was_not_committed,
    external_ids_of_every_form_are_kept,
}

fn entry(account: &NewAccount) -> (ExternalKey, [u8; 16]) {
    (account.external_key.clone(), account.hash)
}

async fn new_entries_become_accounts_and_users(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people: Vec<_> = (0..150).map(|number| world.person(&format!("user{number:03}"))).collect();
    world.import(&people, &[]).await;
    assert_eq!(store.count_users(world.org()).await.unwrap(), 150);
    let (user, account) = &people[42];
    assert_eq!(store.get_user(world.org(), user.id).await.unwrap().as_ref(), Some(user));
    let stored = store.accounts_of(world.org(), user.id.as_uuid()).await.unwrap().remove(0);
    assert_eq!(
        (stored.id, stored.target, stored.target_name.as_str()),
        (account.id, world.directory.id.into(), "corp")
    );
    assert_eq!(
        (stored.kind, &stored.external_key, &stored.dn),
        (AccountKind::User, &account.external_key, &account.dn)
    );
    assert_eq!((&stored.unique_value, &stored.attributes), (&account.unique_value, &account.attributes));
    assert_eq!((stored.missing_since, stored.conflict, stored.updated_at), (None, None, at(0)));
}

async fn an_empty_directory_differs_from_one_with_accounts(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "other").await);
    let known = async |world: &World| {
        let accounts = store.has_accounts(world.org(), world.directory.id).await.unwrap();
        (accounts, store.has_users(world.org()).await.unwrap())
    };
    assert_eq!(known(&world).await, (false, false));
    world.import(&[], &[world.team("staff")]).await;
    assert_eq!(known(&world).await, (true, false), "a group is an account and no user");
    world.import(&[world.person("ada")], &[]).await;
    assert_eq!(known(&world).await, (true, true));
    assert_eq!(known(&other).await, (false, false));
    assert!(!store.has_accounts(other.org(), world.directory.id).await.unwrap(), "another organization's directory");
}

async fn changed_and_unchanged_entries_are_distinguished(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (org, directory) = (world.org(), world.directory.id);
    let people: Vec<_> = (0..100).map(|number| world.person(&format!("user{number:03}"))).collect();
    world.import(&people, &[]).await;
    let mut entries: Vec<_> = people.iter().map(|(_, account)| entry(account)).collect();
    entries[7].1 = content("changed");
    entries.insert(50, entry(&account_of(AccountKind::User, "stranger", None)));
    let compared = store.compare_accounts(org, directory, AccountKind::User, &entries).await.unwrap();
    assert_eq!(compared.len(), 101);
    let known = match &compared[7] {
        Comparison::Known(known) => known.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(known.id, people[7].1.id);
    assert_eq!((known.identity, known.missing, known.conflict), (people[7].1.identity, false, false));
    assert_eq!(compared[50], Comparison::New);
    assert_eq!(compared.iter().filter(|answer| **answer == Comparison::Unchanged).count(), 99);
    // A group may have the external id of a user.
    let groups = store.compare_accounts(org, directory, AccountKind::Group, &entries).await.unwrap();
    assert!(groups.iter().all(|answer| *answer == Comparison::New));

    let mut tx = store.begin_intake(org, directory, at(5)).await.unwrap();
    let mut changed = people[7].clone();
    changed.1.hash = content("changed");
    changed.1.attributes = String::from(r#"{"uid":["user007"],"title":["Agent"]}"#);
    changed.0.display_name = Some("James".to_owned());
    changed.0.updated_at = at(5);
    tx.update_accounts(vec![changed.1.clone()]).await.unwrap();
    tx.identities().update_users(vec![changed.0.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let stored = store.get_account(org, changed.1.id).await.unwrap().unwrap();
    assert_eq!((stored.attributes, stored.updated_at), (changed.1.attributes, at(5)));
    assert_eq!(store.get_user(org, changed.0.id).await.unwrap(), Some(changed.0));
    let compared = store.compare_accounts(org, directory, AccountKind::User, &entries[7..8]).await.unwrap();
    assert_eq!(compared, [Comparison::Unchanged]);
}

async fn a_rename_keeps_the_account(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let person = world.person("anna");
    world.import(std::slice::from_ref(&person), &[]).await;
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(5)).await.unwrap();
    let renamed = NewAccount {
        dn: "uid=anna,ou=Moved,dc=Corp".to_owned(),
        dn_key: "uid=anna,ou=moved,dc=corp".to_owned(),
        hash: content("moved"),
        ..person.1.clone()
    };
    tx.update_accounts(vec![renamed]).await.unwrap();
    tx.commit().await.unwrap();
    let accounts = store.accounts_of(world.org(), person.0.id.as_uuid()).await.unwrap();
    assert_eq!(accounts.len(), 1);
    assert_eq!((accounts[0].id, accounts[0].dn.as_str()), (person.1.id, "uid=anna,ou=Moved,dc=Corp"));
}

async fn missing_accounts_are_marked_once_and_come_back(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (org, directory) = (world.org(), world.directory.id);
    let people = [world.person("anna"), world.person("bert"), world.person("cleo")];
    world.import(&people, &[]).await;
    let mut tx = store.begin_intake(org, directory, at(5)).await.unwrap();
    assert_eq!(tx.mark_missing(JobId::new(), &[people[0].1.id, people[1].1.id]).await.unwrap(), 2);
    tx.commit().await.unwrap();
    let mut tx = store.begin_intake(org, directory, at(6)).await.unwrap();
    assert_eq!(tx.mark_missing(JobId::new(), &[people[0].1.id]).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(store.get_account(org, people[0].1.id).await.unwrap().unwrap().missing_since, Some(at(5)));
    let present = store.unseen_accounts(org, directory, AccountKind::User, |_| false).await.unwrap();
    assert_eq!(present.accounts.iter().map(|account| account.id).collect::<Vec<_>>(), [people[2].1.id]);
    assert_eq!(present.present, 1);

    // It returns with the same content: known, but not unchanged.
    let entries = [entry(&people[0].1), entry(&people[1].1)];
    let compared = store.compare_accounts(org, directory, AccountKind::User, &entries).await.unwrap();
    assert!(compared.iter().all(|answer| matches!(answer, Comparison::Known(known) if known.missing)));
    let mut tx = store.begin_intake(org, directory, at(7)).await.unwrap();
    tx.update_accounts(vec![people[0].1.clone(), people[1].1.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let compared = store.compare_accounts(org, directory, AccountKind::User, &entries).await.unwrap();
    assert_eq!(compared, [Comparison::Unchanged, Comparison::Unchanged]);
}

async fn what_an_import_has_not_seen_is_found(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (org, directory) = (world.org(), world.directory.id);
    let people: Vec<_> = (0..120).map(|number| world.person(&format!("user{number:03}"))).collect();
    world.import(&people, &[world.team("staff")]).await;
    let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
    tx.mark_missing(JobId::new(), &[people[0].1.id]).await.unwrap();
    tx.commit().await.unwrap();
    let gone = [0_usize, 5, 77].map(|number| people[number].1.external_key.clone());
    let unseen = store.unseen_accounts(org, directory, AccountKind::User, |key| !gone.contains(key)).await.unwrap();
    assert_eq!(unseen.present, 119);
    let mut found: Vec<_> = unseen.accounts.iter().map(|account| account.id).collect();
    found.sort_unstable();
    assert_eq!(found, [people[5].1.id, people[77].1.id]);
    let none = store.unseen_accounts(org, directory, AccountKind::Group, |_| true).await.unwrap();
    assert_eq!((none.present, none.accounts.len()), (1, 0));
    for (kind, present) in [(AccountKind::User, 119), (AccountKind::Group, 1)] {
        assert_eq!(store.count_present(org, directory, kind).await.unwrap(), present);
    }
}

async fn many_accounts_page_by_key(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people: Vec<_> = (0..25).map(|number| world.person(&format!("user{number:03}"))).collect();
    world.import(&people, &[world.team("staff")]).await;
    let (mut seen, mut page) = (Vec::new(), PageRequest::first(10));
    loop {
        let found = store.list_accounts(world.org(), world.directory.id, AccountKind::User, &page).await.unwrap();
        seen.extend(found.items.into_iter().map(|account| account.external_key));
        let Some(next) = found.next else { break };
        page = PageRequest::after(next, 10);
    }
    let mut wanted: Vec<_> = people.iter().map(|(_, account)| account.external_key.clone()).collect();
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
}

async fn conflicts_are_listed_with_both_names_and_settled(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (org, directory) = (world.org(), world.directory.id);
    let holder = world.person("anna");
    world.import(std::slice::from_ref(&holder), &[]).await;
    let mut rival = account_of(AccountKind::User, "anna2", None);
    rival.conflict = Some("anna".to_owned());
    let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
    let named = tx.users_by_name(&["anna".to_owned(), "nobody".to_owned()], None).await.unwrap();
    assert_eq!(named.len(), 1);
    assert_eq!(
        (named[0].user, named[0].account, named[0].dn.as_deref()),
        (holder.0.id, Some(holder.1.id), Some(holder.1.dn.as_str()))
    );
    tx.insert_accounts(vec![rival.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let conflict = store.list_conflicts(org, directory, &all()).await.unwrap().items.remove(0);
    assert_eq!(
        (conflict.account.id, conflict.account.dn, conflict.name_key),
        (rival.id, rival.dn.clone(), "anna".to_owned())
    );
    assert_eq!((conflict.user, conflict.holder_dn), (Some(holder.0.id), Some(holder.1.dn.clone())));
    // An unchanged entry in conflict is compared again.
    let compared = store.compare_accounts(org, directory, AccountKind::User, &[entry(&rival)]).await.unwrap();
    assert!(matches!(&compared[0], Comparison::Known(known) if known.conflict));

    let mut twin = world.person("anna").0;
    let mut tx = store.begin_intake(org, directory, at(2)).await.unwrap();
    assert!(matches!(tx.identities().insert_users(vec![twin.clone()]).await, Err(Error::Conflict { .. })));
    drop(tx);
    twin.name_key = String::from("anna2");
    let mut tx = store.begin_intake(org, directory, at(2)).await.unwrap();
    tx.identities().insert_users(vec![twin.clone()]).await.unwrap();
    assert_eq!(tx.identities().link_accounts(&[(rival.id, twin.id.as_uuid())]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(store.list_conflicts(org, directory, &all()).await.unwrap().items, []);
    assert_eq!(store.accounts_of(org, twin.id.as_uuid()).await.unwrap()[0].id, rival.id);
}

async fn one_external_id_has_one_account(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let person = world.person("anna");
    world.import(std::slice::from_ref(&person), &[]).await;
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    let twin = account_of(AccountKind::User, "anna", None);
    let spare = world.person("bert");
    tx.identities().insert_users(vec![spare.0.clone()]).await.unwrap();
    assert!(matches!(tx.insert_accounts(vec![twin.clone()]).await, Err(Error::Conflict { .. })));
    // The transaction is over: it takes no more, and nothing of it is stored.
    assert!(tx.insert_accounts(vec![spare.1.clone()]).await.is_err());
    assert!(tx.users_by_name(&["bert".to_owned()], None).await.is_err());
    let _ = tx.commit().await;
    assert_eq!(store.get_user(world.org(), spare.0.id).await.unwrap(), None);
    assert_eq!(store.get_account(world.org(), spare.1.id).await.unwrap(), None);
    // In another directory it is another account.
    let other = World::new(store, "two").await;
    other.import(&[other.person("anna")], &[]).await;
}

async fn a_chunk_recorded_twice_counts_once(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (org, directory) = (world.org(), world.directory.id);
    let job = world.create("import").await.id;
    let chunk = |sequence: u64, lane: u64| StagedChunk {
        sequence,
        users: 3,
        groups: 1,
        created: 2,
        created_groups: 1,
        changed: 1,
        returned: 1,
        unknown_switches: 1,
        digest: {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&lane.to_le_bytes());
            digest
        },
        keys: vec![u8::try_from(sequence).unwrap(); 4],
    };
    assert_eq!(store.staged(org, job, 1).await.unwrap().next_sequence, 0);
    for _ in 0..2 {
        let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
        tx.record_chunks(job, 1, vec![chunk(0, u64::MAX), chunk(1, 7)]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
    tx.record_chunks(job, 1, vec![chunk(3, 1)]).await.unwrap();
    tx.record_chunks(job, 2, vec![chunk(0, 9)]).await.unwrap();
    tx.commit().await.unwrap();
    let staged = store.staged(org, job, 1).await.unwrap();
    assert_eq!((staged.next_sequence, staged.chunks), (2, 3), "one is not here yet");
    assert_eq!((staged.users, staged.groups, staged.created, staged.changed, staged.returned), (9, 3, 6, 3, 3));
    let created = [AccountKind::User, AccountKind::Group].map(|kind| staged.created_of(kind));
    assert_eq!(created, [3, 3]);
    assert_eq!(staged.digest[..8], 7_u64.to_le_bytes(), "the lanes wrap");
    assert!(staged.digest[8..].iter().all(|byte| *byte == 0));
    let keys = store.staged_keys(org, job, 1, 1, 10).await.unwrap();
    let wanted = [StagedKeys { sequence: 1, keys: vec![1; 4] }, StagedKeys { sequence: 3, keys: vec![3; 4] }];
    assert_eq!(keys, wanted);
    assert_eq!(store.drop_staged_of_ended_jobs().await.unwrap(), 0);
    store.request_cancel(org, job, at(2)).await.unwrap();
    assert_eq!(store.drop_staged_of_ended_jobs().await.unwrap(), 4);
    store.drop_staged(org, job).await.unwrap();
    assert_eq!(store.staged(org, job, 2).await.unwrap().chunks, 0);
}

async fn nothing_stays_of_what_was_not_committed(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let job = world.create("import").await.id;
    for drop_it in [true, false] {
        let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
        tx.identities().insert_users(vec![world.person("anna").0]).await.unwrap();
        tx.record_chunks(job, 1, vec![StagedChunk::default()]).await.unwrap();
        if drop_it {
            drop(tx);
        } else {
            tx.rollback().await.unwrap();
        }
        assert_eq!(store.count_users(world.org()).await.unwrap(), 0);
        assert_eq!(store.staged(world.org(), job, 1).await.unwrap().chunks, 0);
    }
    world.import(&[world.person("anna")], &[]).await;
}

async fn external_ids_of_every_form_are_kept(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let texts =
        ["S-1-5-21-1", "fifteen letters", "ÄÖÜ", "x", &external_id("anna"), "FF0F3A52-8A9C-4A51-9C2E-3F1A5D0A77AA"];
    let accounts: Vec<_> = texts
        .iter()
        .map(|text| NewAccount {
            external_key: ExternalKey::from_text(text),
            dn_key: dn_key(text),
            ..account_of(AccountKind::User, text, None)
        })
        .collect();
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.insert_accounts(accounts.clone()).await.unwrap();
    tx.commit().await.unwrap();
    let (mut seen, mut page) = (Vec::new(), PageRequest::first(1));
    loop {
        let found = store.list_accounts(world.org(), world.directory.id, AccountKind::User, &page).await.unwrap();
        seen.extend(found.items.into_iter().map(|account| account.external_key.to_text()));
        let Some(next) = found.next else { break };
        page = PageRequest::after(next, 1);
    }
    seen.sort_unstable();
    let mut wanted = texts.map(str::to_owned);
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
}
