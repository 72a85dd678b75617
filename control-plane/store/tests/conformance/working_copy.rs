//! A copy of an organization's data, and what differs from it afterwards.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{AccountKind, PageRequest, PreviewRow};
use serde_json::json;

conformance! {
    what_is_written_to_a_copy_stays_there_and_is_found_as_a_difference,
    rows_of_a_preview_come_in_pages_and_go_with_their_job,
}

async fn what_is_written_to_a_copy_stays_there_and_is_found_as_a_difference(database: TestDatabase) {
    let store = database.store;
    let (world, other) = (World::new(&store, "one").await, World::new(&store, "other").await);
    let (anna, bert, team) = (world.person("anna"), world.person("bert"), world.team("admins"));
    world.import(std::slice::from_ref(&anna), std::slice::from_ref(&team)).await;
    other.import(&[other.person("olga")], &[]).await;
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(0)).await.unwrap();
    tx.replace_members(vec![(team.0.id, vec!["uid=anna,dc=corp".to_owned()])]).await.unwrap();
    tx.commit().await.unwrap();
    let job = world.create("import_preview").await.id;
    world.claim().await;

    let folder = tempfile::tempdir().unwrap();
    let copy = store.working_copy(&folder.path().join("copy.db"), world.org(), job).await.unwrap();
    assert_eq!(copy.store().count_present(world.org(), world.directory.id, AccountKind::User).await.unwrap(), 1);
    assert!(copy.store().get_organization(other.org()).await.unwrap().is_none(), "they are nobody else's business");
    copy.compare_members().await.unwrap();
    for kind in [AccountKind::User, AccountKind::Group] {
        assert!(copy.changed_accounts(kind, 0).await.unwrap().is_empty(), "nothing has changed yet");
    }
    assert!(copy.changed_without_account(0).await.unwrap().is_empty());

    let mut tx = copy.store().begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.identities().insert_users(vec![bert.0.clone()]).await.unwrap();
    tx.insert_accounts(vec![bert.1]).await.unwrap();
    tx.replace_members(vec![(team.0.id, vec!["uid=bert,dc=corp".to_owned()])]).await.unwrap();
    tx.mark_missing(job, &[anna.1.id]).await.unwrap();
    tx.commit().await.unwrap();
    copy.compare_members().await.unwrap();
    let users = copy.changed_accounts(AccountKind::User, 0).await.unwrap();
    let of = |name: &str| users.iter().find(|account| account.login.as_deref() == Some(name)).unwrap();
    assert_eq!(users.len(), 2);
    let (gone, new) = (of("anna"), of("bert"));
    assert!(gone.known && gone.missing && !gone.missing_before);
    let (now, before) = (gone.user.as_ref().unwrap(), gone.user_before.as_ref().unwrap());
    assert!(before.active && !now.active && now.fields["email"] == "anna@corp.example");
    assert!(!new.known && new.user.is_some() && new.user_before.is_none());
    assert!(copy.changed_accounts(AccountKind::User, users[1].seq).await.unwrap().is_empty(), "that was the last");
    let groups = copy.changed_accounts(AccountKind::Group, 0).await.unwrap();
    assert_eq!(groups.len(), 1);
    let members = copy.member_changes(team.0.id, 5).await.unwrap();
    assert_eq!((members.added, members.removed), (1, 1));
    assert_eq!((members.added_names, members.removed_names), (vec!["bert".to_owned()], vec!["anna".to_owned()]));

    let user = store.get_user(world.org(), anna.0.id).await.unwrap().unwrap();
    assert!(user.active && user.missing_since.is_none(), "the original is as it was");
    assert_eq!(store.count_present(world.org(), world.directory.id, AccountKind::User).await.unwrap(), 1);
}

async fn rows_of_a_preview_come_in_pages_and_go_with_their_job(database: TestDatabase) {
    let store = database.store;
    let world = World::new(&store, "one").await;
    let job = world.create("import_preview").await.id;
    let lease = world.claim().await.remove(0).lease().unwrap();
    let row = |actions: u32| PreviewRow { actions, content: json!({ "actions": actions }) };
    let read =
        async |actions, request: &PageRequest| store.preview_rows(world.org(), job, actions, request).await.unwrap();

    assert!(store.write_preview(world.org(), &lease, 0, vec![row(7)]).await.unwrap());
    // Another attempt begins again.
    assert!(store.write_preview(world.org(), &lease, 0, vec![row(1), row(2)]).await.unwrap());
    assert!(store.write_preview(world.org(), &lease, 2, vec![row(3)]).await.unwrap());
    let first = read(u32::MAX >> 1, &PageRequest::first(2)).await;
    assert_eq!(first.items, [row(1), row(2)]);
    let second = read(u32::MAX >> 1, &PageRequest::after(first.next.unwrap(), 2)).await;
    assert_eq!((second.items, second.next), (vec![row(3)], None));
    assert_eq!(read(2, &PageRequest::first(9)).await.items, [row(2), row(3)], "only those with this action");
    let other = World::new(&store, "other").await;
    let theirs = store.preview_rows(other.org(), job, u32::MAX >> 1, &PageRequest::first(9)).await.unwrap();
    assert!(theirs.items.is_empty());

    let stranger = postern_store::Lease { attempt: 9, ..lease };
    assert!(!store.write_preview(world.org(), &stranger, 0, vec![row(9)]).await.unwrap());
    store.request_cancel(world.org(), job, at(1)).await.unwrap();
    assert!(!store.write_preview(world.org(), &lease, 0, vec![row(9)]).await.unwrap(), "it was asked to end");
    assert_eq!(read(u32::MAX >> 1, &PageRequest::first(9)).await.items.len(), 3);
    assert!(store.finish(&lease, &postern_store::Finish::Canceled, at(2)).await.unwrap());
    assert_eq!(store.forget_jobs(at(100 * 86_400)).await.unwrap(), 1);
    assert!(read(u32::MAX >> 1, &PageRequest::first(9)).await.items.is_empty());
}
