//! One identity with several certificates or on several machines.

use postern_proto::v1;
use postern_proto::v1::agent_frame::Kind as ToControl;
use postern_proto::v1::control_frame::Kind as FromControl;
use tonic::Code;

use super::agent::{Site, hello};
use super::soon;

#[tokio::test(flavor = "multi_thread")]
async fn the_former_certificate_is_refused_once_the_renewed_one_was_used_and_not_before() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let lost = agent.renew().await.unwrap();
    // The agent died before it stored its certificate: the former one opens a session and is renewed again.
    soon(agent.connect(hello(&[])).await.unwrap().welcome()).await;
    let renewed = agent.renew().await.unwrap();
    let mut session = renewed.connect(hello(&[])).await.unwrap();
    soon(session.welcome()).await;
    for copy in [&agent, &lost] {
        let refused = copy.connect(hello(&[])).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        assert!(refused.message().contains("replaced by a newer one"), "{refused}");
        assert_eq!(copy.renew().await.unwrap_err().code(), Code::PermissionDenied);
    }
    // Only the holder of the copy is refused, and the administrator can see it.
    session.send(ToControl::Heartbeat(v1::Heartbeat { echo: true })).await;
    assert!(matches!(soon(session.next()).await, Some(FromControl::Heartbeat(_))));
    let seen = site.store().agent_by_id(agent.id).await.unwrap().unwrap();
    assert!(seen.identity_shared_at.is_some());
    renewed.renew().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_of_two_machines_keeps_their_identity_and_the_fault_is_reported() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let shared = async || site.store().agent_by_id(agent.id).await.unwrap().unwrap().identity_shared_at;
    let of = |instance: &str| match hello(&["corp"]) {
        ToControl::Hello(hello) => ToControl::Hello(v1::Hello { instance: instance.to_owned(), ..hello }),
        other => other,
    };
    let mut first = agent.connect(of("first")).await.unwrap();
    soon(first.welcome()).await;
    // The same process again, over a connection that replaces a lost one: this is in order.
    let mut first = agent.connect(of("first")).await.unwrap();
    soon(first.welcome()).await;
    let mut second = agent.connect(of("second")).await.unwrap();
    soon(second.welcome()).await;
    assert!(matches!(soon(first.next()).await, Some(FromControl::Drain(_))));
    assert_eq!(shared().await, None, "the first may have been restarted");
    let mut back = agent.connect(of("first")).await.unwrap();
    let refused = soon(back.end()).await;
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("another machine"), "{refused}");
    assert!(shared().await.is_some());
    // The second is not disturbed. Once it has gone, the first may connect.
    second.send(ToControl::Heartbeat(v1::Heartbeat { echo: true })).await;
    assert!(matches!(soon(second.next()).await, Some(FromControl::Heartbeat(_))));
    drop(second);
    let gone = async {
        while site.server.app.registry.is_connected(agent.id) {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
    soon(agent.connect(of("first")).await.unwrap().welcome()).await;
}
