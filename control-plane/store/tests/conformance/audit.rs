//! The audit log: what is written with a change, and how an edited log is found.

use crate::support::world::{World, all, at, hash};
use crate::support::{TestDatabase, conformance};
use jiff::{SignedDuration, Timestamp};
use postern_store::{
    ApiTokenId, AuditEntry, AuditFault, AuditFilter, AuditHead, AuditNote, Error, NewApiToken, OrganizationChange,
    OrganizationId, PageRequest, Role, Store,
};
use serde_json::json;

conformance! {
    a_change_and_its_entry_are_written_together,
    what_changes_nothing_is_not_noted,
    an_edited_log_is_found,
    a_removed_or_moved_entry_is_found,
    a_log_with_other_ends_is_found,
    changes_at_once_take_a_place_each,
    old_entries_go_and_the_rest_stays_verifiable,
}

fn note(organization: OrganizationId, action: &str, object: &str, at: Timestamp) -> AuditNote {
    AuditNote {
        organization,
        at,
        actor: "t-1".to_owned(),
        actor_name: "ci".to_owned(),
        address: Some("192.0.2.7".to_owned()),
        action: action.to_owned(),
        object_id: None,
        object: object.to_owned(),
        before: Some(json!({ "b": 1, "a": null })),
        after: None,
    }
}

async fn token(store: &Store, organization: OrganizationId, name: &str) -> ApiTokenId {
    let new = NewApiToken { name: name.to_owned(), hash: hash(name), role: Role::Owner, expires_at: None };
    let noting = store.noting(note(organization, "token.created", name, at(1)));
    noting.create_api_token(organization, new, at(1)).await.unwrap().id
}

async fn entries(store: &Store, organization: OrganizationId) -> Vec<AuditEntry> {
    store.list_audit(organization, &AuditFilter::default(), &all()).await.unwrap().items
}

async fn fault(store: &Store, organization: OrganizationId) -> Option<AuditFault> {
    store.verify_audit(organization, None).await.unwrap().fault
}

async fn a_change_and_its_entry_are_written_together(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "other").await);
    let id = token(store, world.org(), "a").await;
    let logged = entries(store, world.org()).await;
    assert_eq!(logged.len(), 1);
    let expected = AuditNote { object_id: Some(id.as_uuid()), ..note(world.org(), "token.created", "a", at(1)) };
    assert_eq!((logged[0].seq, &logged[0].note), (1, &expected));
    assert_eq!(entries(store, other.org()).await, [], "another organization has a log of its own");
    // A second token of the same secret cannot be stored, and so leaves no entry.
    let new = NewApiToken { name: "b".to_owned(), hash: hash("a"), role: Role::Owner, expires_at: None };
    let noting = store.noting(note(world.org(), "token.created", "b", at(2)));
    assert!(matches!(noting.create_api_token(world.org(), new, at(2)).await, Err(Error::Conflict { .. })));
    token(store, world.org(), "c").await;
    let found = store.list_audit(world.org(), &AuditFilter::default(), &PageRequest::first(1)).await.unwrap();
    assert_eq!((found.items[0].seq, found.next.as_deref()), (2, Some("2")));
    let by = async |filter: AuditFilter| {
        let page = store.list_audit(world.org(), &filter, &all()).await.unwrap();
        page.items.into_iter().map(|entry| entry.note.object).collect::<Vec<_>>()
    };
    let filter = AuditFilter::default;
    assert_eq!(by(AuditFilter { object: Some("a".to_owned()), ..filter() }).await, ["a"]);
    assert_eq!(by(AuditFilter { object_id: Some(id.as_uuid()), ..filter() }).await, ["a"]);
    assert_eq!(by(AuditFilter { actor: Some("ci".to_owned()), ..filter() }).await, ["c", "a"]);
    assert_eq!(by(AuditFilter { action: Some("token.".to_owned()), ..filter() }).await, ["c", "a"]);
    for action in ["token", "t%.", "job."] {
        assert_eq!(by(AuditFilter { action: Some(action.to_owned()), ..filter() }).await, [""; 0], "{action}");
    }
    assert_eq!(by(AuditFilter { since: Some(at(2)), ..filter() }).await, [""; 0]);
    assert_eq!(by(AuditFilter { until: Some(at(2)), ..filter() }).await, ["c", "a"]);
    assert_eq!(fault(store, world.org()).await, None);
}

async fn what_changes_nothing_is_not_noted(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "other").await);
    let (first, second) = (token(store, world.org(), "a").await, token(store, world.org(), "b").await);
    let revoke = async |organization, id, when| {
        store.noting(note(organization, "token.revoked", "b", when)).revoke_api_token(organization, id, when).await
    };
    revoke(world.org(), second, at(2)).await.unwrap();
    assert_eq!(entries(store, world.org()).await.len(), 3);
    revoke(world.org(), second, at(3)).await.unwrap();
    assert!(matches!(revoke(world.org(), first, at(3)).await, Err(Error::Conflict { .. })), "the last owner token");
    assert!(matches!(revoke(other.org(), first, at(3)).await, Err(Error::NotFound { .. })));
    assert_eq!(entries(store, world.org()).await.len(), 3);
    assert_eq!(entries(store, other.org()).await.len(), 0);
}

/// A log of five entries, and its end.
async fn five(store: &Store) -> (OrganizationId, AuditHead) {
    let organization = World::new(store, "one").await.org();
    for name in ["a", "b", "c", "d", "e"] {
        token(store, organization, name).await;
    }
    let verdict = store.verify_audit(organization, None).await.unwrap();
    assert_eq!((verdict.entries, verdict.fault), (5, None));
    (organization, verdict.head)
}

async fn an_edited_log_is_found(database: TestDatabase) {
    let store = &database.store;
    let (organization, head) = five(store).await;
    for (column, wrong) in [
        ("action", "'token.kept'"),
        ("actor", "'t-2'"),
        ("actor_name", "'root'"),
        ("address", "NULL"),
        ("object", "'x'"),
        ("before", "'{\"a\":null,\"b\":2}'"),
        ("after", "'{}'"),
        ("at", "at + 1"),
        ("object_id", "NULL"),
    ] {
        database.execute("CREATE TABLE kept AS SELECT * FROM audit").await;
        database.execute(&format!("UPDATE audit SET {column} = {wrong} WHERE seq = 3")).await;
        assert_eq!(fault(store, organization).await, Some(AuditFault::Changed(3)), "{column}");
        database.execute("DELETE FROM audit").await;
        database.execute("INSERT INTO audit SELECT * FROM kept").await;
        database.execute("DROP TABLE kept").await;
        assert_eq!(fault(store, organization).await, None, "{column}");
    }
    // Who rewrites the whole log cannot have the end that was noted outside.
    let known = AuditHead { hash: [7; 32], ..head };
    assert_eq!(store.verify_audit(organization, Some(head)).await.unwrap().fault, None);
    assert_eq!(store.verify_audit(organization, Some(known)).await.unwrap().fault, Some(AuditFault::Changed(5)));
    let later = AuditHead { seq: 6, ..head };
    assert_eq!(store.verify_audit(organization, Some(later)).await.unwrap().fault, Some(AuditFault::Missing(6)));
}

async fn a_removed_or_moved_entry_is_found(database: TestDatabase) {
    let store = &database.store;
    let (organization, _) = five(store).await;
    for (edit, expected) in [
        ("DELETE FROM audit WHERE seq = 3", AuditFault::Missing(3)),
        ("DELETE FROM audit WHERE seq = 1", AuditFault::Missing(1)),
        ("DELETE FROM audit WHERE seq = 5", AuditFault::Missing(5)),
        ("DELETE FROM audit", AuditFault::Missing(1)),
        ("UPDATE audit_heads SET seq = 4", AuditFault::Changed(4)),
        ("UPDATE audit SET seq = CASE seq WHEN 2 THEN -2 ELSE seq END", AuditFault::Missing(2)),
    ] {
        database.execute("CREATE TABLE kept AS SELECT * FROM audit").await;
        database.execute("CREATE TABLE ends AS SELECT * FROM audit_heads").await;
        database.execute(edit).await;
        assert_eq!(fault(store, organization).await, Some(expected), "{edit}");
        for restore in [
            "DELETE FROM audit",
            "INSERT INTO audit SELECT * FROM kept",
            "DELETE FROM audit_heads",
            "INSERT INTO audit_heads SELECT * FROM ends",
            "DROP TABLE kept",
            "DROP TABLE ends",
        ] {
            database.execute(restore).await;
        }
    }
    // Two that change places.
    for (from, to) in [(2, 9), (3, 2), (9, 3)] {
        database.execute(&format!("UPDATE audit SET seq = {to} WHERE seq = {from}")).await;
    }
    assert_eq!(fault(store, organization).await, Some(AuditFault::Changed(2)));
}

/// What somebody tries who can write to the database: the log ends, or begins, where it suits them.
async fn a_log_with_other_ends_is_found(database: TestDatabase) {
    let store = &database.store;
    let (organization, known) = five(store).await;
    database.execute("CREATE TABLE kept AS SELECT * FROM audit").await;
    database.execute("CREATE TABLE ends AS SELECT * FROM audit_heads").await;
    let later = "INSERT INTO audit SELECT organization_id, 6, at, actor, actor_name, address, action, object_id, object, \
         before, after, hash FROM audit WHERE seq = 5";
    let earlier = "INSERT INTO audit SELECT organization_id, 0, at, actor, actor_name, address, action, object_id, object, \
         before, after, hash FROM audit WHERE seq = 1";
    let moved = "UPDATE audit_heads SET anchor_seq = 3, anchor_hash = (SELECT hash FROM kept WHERE seq = 3)";
    let emptied = "UPDATE audit_heads SET anchor_seq = 5, anchor_hash = (SELECT hash FROM kept WHERE seq = 1), \
         hash = (SELECT hash FROM kept WHERE seq = 1)";
    for (edits, known, expected) in [
        (vec![later], None, AuditFault::Foreign(6)),
        (vec![earlier], None, AuditFault::Foreign(0)),
        (vec!["DELETE FROM audit WHERE seq <= 3", moved], None, AuditFault::Anchor(3)),
        (vec!["DELETE FROM audit", emptied], None, AuditFault::Anchor(5)),
        (vec!["DELETE FROM audit", emptied], Some(known), AuditFault::Changed(5)),
        (vec!["DELETE FROM audit", "DELETE FROM audit_heads"], Some(known), AuditFault::Missing(1)),
    ] {
        for edit in &edits {
            database.execute(edit).await;
        }
        let verdict = store.verify_audit(organization, known).await.unwrap();
        assert_eq!(verdict.fault, Some(expected), "{edits:?}");
        for restore in [
            "DELETE FROM audit",
            "INSERT INTO audit SELECT * FROM kept",
            "DELETE FROM audit_heads",
            "INSERT INTO audit_heads SELECT * FROM ends",
        ] {
            database.execute(restore).await;
        }
    }
    assert_eq!(fault(store, organization).await, None);
}

async fn changes_at_once_take_a_place_each(database: TestDatabase) {
    let store = &database.store;
    let organization = World::new(store, "one").await.org();
    let names: Vec<String> = (0..24).map(|number| format!("t{number}")).collect();
    futures_util::future::join_all(names.iter().map(|name| token(store, organization, name))).await;
    let logged = entries(store, organization).await;
    assert_eq!(logged.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=24).rev().collect::<Vec<_>>());
    assert_eq!(fault(store, organization).await, None);
}

async fn old_entries_go_and_the_rest_stays_verifiable(database: TestDatabase) {
    let store = &database.store;
    let (organization, end) = five(store).await;
    let other = World::new(store, "other").await.org();
    token(store, other, "theirs").await;
    let days = |days: i64| at(1) + SignedDuration::from_hours(24 * days);
    let keep = async |organization, days| {
        let change = OrganizationChange { audit_retention_days: Some(days), ..OrganizationChange::default() };
        store
            .noting(note(organization, "organization.changed", "", at(86_400 * 10)))
            .change_organization(organization, change)
            .await
            .unwrap();
    };
    assert_eq!(store.forget_audit(days(730)).await.unwrap(), 0, "two years are the default");
    keep(other, 0).await;
    keep(organization, 30).await;
    assert_eq!(store.forget_audit(days(31)).await.unwrap(), 0, "an organization's turn comes once a day");
    assert_eq!(store.forget_audit(days(32)).await.unwrap(), 5);
    assert_eq!(store.forget_audit(days(32)).await.unwrap(), 0);
    let verdict = store.verify_audit(organization, Some(end)).await.unwrap();
    assert_eq!((verdict.entries, verdict.anchor, verdict.fault), (2, end, None));
    let told = &entries(store, organization).await[0].note;
    assert_eq!(
        (told.action.as_str(), told.actor_name.as_str(), told.object.as_str()),
        ("audit.forgotten", "retention", "5")
    );
    token(store, organization, "f").await;
    let verdict = store.verify_audit(organization, None).await.unwrap();
    assert_eq!((verdict.entries, verdict.head.seq, verdict.fault), (3, 8, None));
    for (known, fault) in [
        (AuditHead { hash: [7; 32], ..end }, AuditFault::Changed(5)),
        (AuditHead { seq: 4, hash: [7; 32] }, AuditFault::NotKept(4)),
    ] {
        assert_eq!(store.verify_audit(organization, Some(known)).await.unwrap().fault, Some(fault));
    }
    assert_eq!(entries(store, other).await.len(), 2, "theirs are kept for ever");
    database.execute("DELETE FROM audit WHERE seq = 6").await;
    assert_eq!(fault(store, organization).await, Some(AuditFault::Missing(6)));
}
