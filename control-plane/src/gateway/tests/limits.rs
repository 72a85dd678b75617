//! Versions that are too new, and sizes at their limits.

use postern_proto::v1::agent_frame::Kind as ToControl;
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_proto::{MAX_CHUNK_BYTES, MAX_FRAME_BYTES, v1};
use postern_store::JobState;
use tonic::Code;

use super::agent::{Site, hello};
use super::chunks::group_of;
use super::soon;

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_a_kind_that_only_a_newer_agent_knows_is_passed_over() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    for _ in 0..3 {
        session.send_unknown().await;
    }
    session.send(ToControl::Heartbeat(v1::Heartbeat { echo: true })).await;
    assert!(matches!(soon(session.next()).await, Some(FromControl::Heartbeat(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_may_be_larger_than_a_frame_and_not_larger_than_its_own_limit() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    let job = site.import(&agent, &mut session, &group_of(2 * MAX_FRAME_BYTES)).await;
    site.wait_for(job, JobState::Succeeded).await;

    site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let refused = soon(agent.deliver(&command, &group_of(MAX_CHUNK_BYTES), |_| {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    assert!(refused.message().contains("too large"), "{refused}");
}
