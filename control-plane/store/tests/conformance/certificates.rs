//! Which certificate of an agent is valid, and who learns that a right has ended.

use crate::support::world::{at, enroll, hash};
use crate::support::{TestDatabase, conformance};
use jiff::SignedDuration;
use postern_store::{Error, NewApiToken, OrganizationId, Role, Wake};

conformance! {
    a_certificate_gives_way_to_the_next_once_that_is_used,
    a_revoked_token_wakes_once,
}

async fn a_certificate_gives_way_to_the_next_once_that_is_used(database: TestDatabase) {
    let store = database.store;
    let org = store.create_organization("one", at(0)).await.unwrap().id;
    let agent = enroll(&store, org, "one").await;
    let serials = async || {
        let agent = store.get_agent(org, agent.id).await.unwrap().unwrap();
        (agent.serial, agent.former_serial)
    };
    let pair = |newest: &str, former: Option<&str>| (newest.to_owned(), former.map(str::to_owned));
    let (end, refused) = (agent.not_after, async |former| {
        matches!(store.record_certificate(agent.id, former, "ff", at(9)).await, Err(Error::NotFound { .. }))
    });
    store.record_certificate(agent.id, "0a", "0b", end + SignedDuration::from_secs(1)).await.unwrap();
    assert_eq!(serials().await, pair("0b", Some("0a")));
    // The agent lost its new certificate, and asks again.
    store.record_certificate(agent.id, "0a", "0c", end + SignedDuration::from_secs(2)).await.unwrap();
    assert_eq!(serials().await, pair("0c", Some("0a")));
    assert!(refused("0b").await, "what nobody has");
    assert!(!store.confirm_certificate(agent.id, "0b").await.unwrap());
    assert!(store.confirm_certificate(agent.id, "0c").await.unwrap());
    assert_eq!(serials().await, pair("0c", None));
    assert!(refused("0a").await, "what was replaced");
    // The database is older than the certificate, because it was restored from a backup.
    assert!(!store.adopt_certificate(agent.id, "0d", end + SignedDuration::from_secs(2)).await.unwrap());
    assert!(store.adopt_certificate(agent.id, "0d", end + SignedDuration::from_secs(3)).await.unwrap());
    assert_eq!(serials().await, pair("0d", None));

    assert!(store.note_shared_identity(agent.id, at(100)).await.unwrap());
    assert!(!store.note_shared_identity(agent.id, at(130)).await.unwrap());
    assert!(store.note_shared_identity(agent.id, at(161)).await.unwrap());
    assert_eq!(store.agent_by_id(agent.id).await.unwrap().unwrap().identity_shared_at, Some(at(161)));
}

async fn a_revoked_token_wakes_once(database: TestDatabase) {
    let store = database.store;
    let (one, other) = (store.create_organization("one", at(0)).await.unwrap().id, OrganizationId::new());
    let new = NewApiToken { name: "n".to_owned(), hash: hash("n"), role: Role::Auditor, expires_at: None };
    let token = store.create_api_token(one, new, at(0)).await.unwrap().id;
    let agent = enroll(&store, one, "one").await.id;
    let mut wakes = store.listen().await.unwrap();
    assert!(matches!(store.revoke_api_token(other, token, at(1)).await, Err(Error::NotFound { .. })));
    store.revoke_api_token(one, token, at(2)).await.unwrap();
    store.revoke_api_token(one, token, at(3)).await.unwrap();
    store.revoke_agent(one, agent, at(4)).await.unwrap();
    let received = [wakes.recv().await.unwrap(), wakes.recv().await.unwrap()];
    assert_eq!(received, [Wake::TokenRevoked(token), Wake::AgentRevoked(agent)], "only a change wakes");
}
