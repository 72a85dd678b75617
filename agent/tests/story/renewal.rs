//! A fresh certificate in time.

use std::time::Duration;

use postern_agent::identity::store::IdentityStore;
use postern_agent::identity::{AgentId, Identity, IdentityParts, IdentitySource};
use postern_agent::served::scripted::ScriptedDirectory;
use postern_runtime::clock::{ManualClock, SystemClock};

use crate::agent::start_with;
use crate::gateway::{FakeGateway, now, within};
use crate::pki::{Life, WEEK};

fn corp() -> ScriptedDirectory {
    ScriptedDirectory::populated("corp", 1, 1)
}

#[tokio::test]
async fn an_overdue_certificate_is_renewed_right_after_the_start_and_stored() {
    let mut gateway = FakeGateway::start().await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), Life { since: 3000, until: 600 });
    let old = identity.certificate().clone();
    let folder = tempfile::tempdir().unwrap();
    let store = IdentityStore::new(folder.path());
    store.save(&identity).unwrap();
    let running = start_with(IdentitySource::stored(identity, store.clone()), corp(), SystemClock::shared());
    let mut renewed = running.identity.watch();
    gateway.session().await;
    within(renewed.changed()).await.unwrap();
    let new = store.load().unwrap();
    assert!(new.certificate().not_after > old.not_after);
    assert_ne!(new.certificate().serial, old.serial);
    assert_eq!(*gateway.shared.renewals.lock().unwrap(), 1);
}

#[tokio::test]
async fn an_enrollment_beside_a_running_agent_is_taken_up_and_not_renewed_over() {
    let clock = ManualClock::new(now());
    let mut gateway = FakeGateway::start_with(clock.shared()).await;
    let address = gateway.address.to_string();
    let identity = gateway.shared.authority.identity(&address, Life { since: 0, until: 3600 });
    let enrolled = gateway.shared.authority.identity(&address, WEEK);
    let another = AgentId(uuid::Uuid::from_u128(43));
    let enrolled = Identity::new(IdentityParts { agent_id: another, ..enrolled.parts().clone() }).unwrap();
    let (old, new) = (identity.agent_id(), enrolled.agent_id());
    let folder = tempfile::tempdir().unwrap();
    let store = IdentityStore::new(folder.path());
    store.save(&identity).unwrap();
    let running = start_with(IdentitySource::stored(identity, store.clone()), corp(), clock.shared());
    let changed = running.identity.watch();
    let _session = gateway.session().await;
    store.save(&enrolled).unwrap();
    within(async {
        while !changed.has_changed().unwrap() {
            clock.advance(Duration::from_mins(1));
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_ne!(old, new);
    assert_eq!((running.identity.current().agent_id(), store.load().unwrap().agent_id()), (new, new));
    assert_eq!(*gateway.shared.renewals.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
    let clock = ManualClock::new(now());
    let mut gateway = FakeGateway::start_with(clock.shared()).await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), Life { since: 0, until: 3600 });
    *gateway.shared.life.lock().unwrap() = WEEK;
    let running = start_with(IdentitySource::in_memory(identity), corp(), clock.shared());
    let mut renewed = running.identity.watch();
    let _session = gateway.session().await;
    for _ in 0..39 {
        clock.advance(Duration::from_mins(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(*gateway.shared.renewals.lock().unwrap(), 0, "not before 40 minutes of the hour");
    clock.advance(Duration::from_mins(2));
    within(renewed.changed()).await.unwrap();
    assert_eq!(*gateway.shared.renewals.lock().unwrap(), 1);
    // The session was not disturbed, or came back by itself.
    within(async {
        while running.agent.status().session.state != "connected" {
            clock.advance(Duration::from_millis(50));
            tokio::task::yield_now().await;
        }
    })
    .await;
}
