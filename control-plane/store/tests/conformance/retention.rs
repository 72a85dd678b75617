//! Only jobs that ended long ago are deleted.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use jiff::{SignedDuration, Timestamp};
use postern_store::{Error, Finish, JobId, OrganizationChange, OrganizationId, StagedChunk, Store};
use serde_json::json;

conformance! {
    jobs_are_deleted_when_they_ended_long_ago,
    more_jobs_than_one_transaction_takes_are_deleted_in_turns,
}

fn days(days: i64) -> Timestamp {
    at(0) + SignedDuration::from_hours(24 * days)
}

async fn keep(store: &Store, organization: OrganizationId, days: u32) -> Result<(), Error> {
    let change = OrganizationChange { job_retention_days: Some(days), ..OrganizationChange::default() };
    store.change_organization(organization, change).await.map(drop)
}

/// A job that ended at this time, with a chunk that was not dropped.
async fn ended(world: &World, kind: &str, finished_at: Timestamp) -> JobId {
    let id = world.create(kind).await.id;
    let job = world.claim().await.into_iter().find(|job| job.id == id).unwrap();
    if kind == "import" {
        let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(0)).await.unwrap();
        tx.record_chunks(id, 1, vec![StagedChunk::default()]).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert!(world.store.finish(&job.lease().unwrap(), &Finish::Succeeded(json!({})), finished_at).await.unwrap());
    id
}

async fn jobs_are_deleted_when_they_ended_long_ago(database: TestDatabase) {
    let store = database.store;
    let (world, other) = (World::new(&store, "one").await, World::new(&store, "other").await);
    let old = ended(&world, "import", days(1)).await;
    let young = ended(&world, "test_connection", days(20)).await;
    let theirs = ended(&other, "test_connection", days(1)).await;
    let open = world.create("import").await.id;
    let exists = async |job| store.job_by_id(job).await.unwrap().is_some();

    assert_eq!(store.forget_jobs(days(91)).await.unwrap(), 0, "90 days are the default");
    keep(&store, other.org(), 0).await.unwrap();
    assert_eq!(store.forget_jobs(days(92)).await.unwrap(), 1);
    assert!(!exists(old).await);
    assert_eq!(store.forget_jobs(days(92)).await.unwrap(), 0);
    keep(&store, world.org(), 7).await.unwrap();
    assert_eq!(store.get_organization(world.org()).await.unwrap().unwrap().job_retention_days, 7);
    assert_eq!(store.forget_jobs(days(9_000)).await.unwrap(), 1);
    assert!(!exists(young).await);
    assert!(exists(theirs).await, "theirs are kept for ever");
    assert!(exists(open).await, "it has not ended, however old it is");
    let nobody = keep(&store, OrganizationId::new(), 7).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })), "{nobody:?}");
}

async fn more_jobs_than_one_transaction_takes_are_deleted_in_turns(database: TestDatabase) {
    let store = database.store;
    let world = World::new(&store, "one").await;
    for _ in 0..201 {
        ended(&world, "test_connection", days(0)).await;
    }
    assert_eq!(store.forget_jobs(days(91)).await.unwrap(), 200);
    assert_eq!(store.forget_jobs(days(91)).await.unwrap(), 1);
    assert_eq!(store.forget_jobs(days(91)).await.unwrap(), 0);
}
