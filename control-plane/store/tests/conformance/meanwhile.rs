//! What operations have changed since an import began.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use jiff::Timestamp;
use postern_store::{Ended, IdentityId, JobId, OperationState};
use serde_json::json;

conformance! {
    what_an_operation_has_changed_since_an_import_began_is_known,
}

async fn what_an_operation_has_changed_since_an_import_began_is_known(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let ((anna, annas), (bert, berts)) = (world.person("anna"), world.person("bert"));
    world.import(&[(anna.clone(), annas.clone()), (bert, berts.clone())], &[]).await;
    let job = world.create("import").await.id;
    store.claim(world.replica, &[world.directory.id], at(100), at(10), 10).await.unwrap();
    let written = async |world: &World, job: JobId| {
        let mut tx = store.begin_intake(world.org(), world.directory.id, at(20)).await.unwrap();
        let written = tx.written_since(job, &[annas.id, berts.id]).await.unwrap();
        tx.rollback().await.unwrap();
        written
    };
    let end = async |now: Timestamp| {
        let sent = world.operation(IdentityId::User(anna.id), OperationState::Sent);
        let mut tx = store.begin_identities(world.org(), now).await.unwrap();
        tx.insert_operations(std::slice::from_ref(&sent)).await.unwrap();
        let ended = Ended { id: sent.id, state: OperationState::Succeeded, elapsed_ms: 7, answer: json!({}) };
        assert!(tx.end_operation(&ended).await.unwrap());
        tx.commit().await.unwrap();
    };
    end(at(9)).await;
    assert_eq!(written(&world, job).await, [], "it has ended before");
    end(at(10)).await;
    assert_eq!(written(&world, job).await, [annas.id]);
    assert_eq!(written(&other, job).await, [], "another organization");
    assert_eq!(written(&world, JobId::new()).await, [], "no such job");
}
