//! Enrollment: getting an identity, from the right control plane only.

use postern_agent::certificate::Standing;
use postern_agent::identity::enroll::{Enrolled, Enrollment, Error};
use postern_agent::identity::store::IdentityStore;
use postern_agent::link::proxy::ProxyRule;
use postern_proto::enrollment_token::EnrollmentToken;
use postern_runtime::clock::SystemClock;
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::{Supervisor, chain};

use crate::gateway::FakeGateway;
use crate::pki::{Authority, Life};

async fn enroll(token: &EnrollmentToken) -> Result<Enrolled, Error> {
    let enrollment = Enrollment {
        proxy: ProxyRule::Direct,
        agent_name: "test".to_owned(),
        clock: SystemClock::shared(),
        supervisor: Supervisor::new(Shutdown::new()),
    };
    enrollment.enroll(token).await
}

#[tokio::test]
async fn a_token_becomes_a_stored_identity_that_only_its_owner_can_read() {
    let gateway = FakeGateway::start().await;
    let enrolled = enroll(&gateway.token()).await.unwrap();
    assert!(matches!(enrolled.standing, Standing::Valid(_)));
    assert!(enrolled.clock_ahead.unwrap().abs().as_secs() <= 2);

    let folder = tempfile::tempdir().unwrap();
    let store = IdentityStore::new(folder.path().join("state"));
    store.save(&enrolled.identity).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(store.path()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let loaded = store.load().unwrap();
    assert_eq!(loaded.agent_id(), enrolled.identity.agent_id());
    assert_eq!(loaded.address(), enrolled.identity.address());
}

#[tokio::test]
async fn another_authority_than_the_pinned_one_is_refused() {
    let gateway = FakeGateway::start().await;
    let token = EnrollmentToken { ca_sha256: Authority::new().pin(), ..gateway.token() };
    let error = enroll(&token).await.unwrap_err();
    assert!(matches!(error, Error::Dial(_)));
    let text = chain(&error);
    assert!(text.contains("the certificate authority that the enrollment token pins"), "{text}");
    assert!(text.contains("Test CA"), "it names who issued what was presented: {text}");
}

#[tokio::test]
async fn another_name_than_the_certificates_is_refused() {
    let gateway = FakeGateway::start().await;
    let token = EnrollmentToken { address: format!("localhost:{}", gateway.address.port()), ..gateway.token() };
    let text = chain(&enroll(&token).await.unwrap_err());
    assert!(text.contains("another name"), "{text}");
}

#[tokio::test]
async fn an_unknown_token_is_refused_with_a_cure() {
    let gateway = FakeGateway::start().await;
    let token = EnrollmentToken { secret: "used".to_owned(), ..gateway.token() };
    let error = enroll(&token).await.unwrap_err();
    assert!(matches!(error, Error::Token(_)));
    assert!(error.to_string().contains("postern enrollment-tokens create"));
}

#[tokio::test]
async fn a_certificate_from_the_future_is_noticed() {
    let gateway = FakeGateway::start().await;
    *gateway.shared.life.lock().unwrap() = Life { since: -600, until: 86_400 };
    let enrolled = enroll(&gateway.token()).await.unwrap();
    assert!(matches!(enrolled.standing, Standing::NotYet(_)));
}

#[tokio::test]
async fn nobody_at_the_address_is_said_so() {
    let gateway = FakeGateway::start().await;
    let token = EnrollmentToken { address: "127.0.0.1:1".to_owned(), ..gateway.token() };
    let text = chain(&enroll(&token).await.unwrap_err());
    assert!(text.contains("cannot connect to 127.0.0.1:1"), "{text}");
}
