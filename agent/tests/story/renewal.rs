//! A fresh certificate in time.

use std::time::Duration;

use postern_agent::identity::IdentitySource;
use postern_agent::identity::store::IdentityStore;
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
