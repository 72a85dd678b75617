//! A delivery that is open while an administrator changes something: the next chunk already finds the change.

use postern_proto::v1;
use postern_proto::v1::chunk_ack::Kind as Ack;
use postern_proto::v1::gateway_client::GatewayClient;
use postern_store::DirectoryChange;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::agent::{Site, TestAgent};
use super::chunks::{Chunk, entries, people, together};
use super::imports::connected;
use super::matching::{World, join_users, named};
use super::soon;

/// A delivery that is sent chunk by chunk.
struct Open {
    chunks: mpsc::Sender<v1::Chunk>,
    acks: Streaming<v1::ChunkAck>,
    next: u64,
}

impl Open {
    async fn new(agent: &TestAgent, command: &v1::Command) -> Self {
        let (chunks, outbound) = mpsc::channel(8);
        let open = v1::chunk::Open {
            command_id: command.command_id.clone(),
            generation: command.generation,
            ..v1::chunk::Open::default()
        };
        chunks.send(v1::Chunk { kind: Some(v1::chunk::Kind::Open(open)) }).await.unwrap();
        let mut client = GatewayClient::new(agent.channel().await.unwrap());
        let mut acks = client.deliver(ReceiverStream::new(outbound)).await.unwrap().into_inner();
        let opened = soon(acks.message()).await.unwrap().and_then(|ack| ack.kind);
        assert!(matches!(opened, Some(Ack::Opened(_))), "{opened:?}");
        Self { chunks, acks, next: 0 }
    }

    /// Sends a chunk, and waits until it is acknowledged or the delivery ends.
    async fn send(&mut self, chunk: &Chunk) -> Result<(), Status> {
        let entries = v1::chunk::Entries { sequence: self.next, payload: chunk.payload.clone() };
        // The answer says more than a failure to send.
        let _ = self.chunks.send(v1::Chunk { kind: Some(v1::chunk::Kind::Entries(entries)) }).await;
        let ack = soon(self.acks.message()).await?.and_then(|ack| ack.kind);
        assert!(matches!(ack, Some(Ack::ThroughSequence(through)) if through == self.next), "{ack:?}");
        self.next += 1;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_after_the_job_was_canceled_or_its_directory_was_deleted_or_disabled() {
    for end in ["canceled", "deleted", "disabled"] {
        let site = Site::start().await;
        let (agent, mut session) = connected(&site).await;
        let (store, organization) = (site.store(), site.organization);
        let directory = store.find_directory(organization, "corp").await.unwrap().unwrap().id;
        let job = site.start_job("corp", "import").await;
        let command = soon(session.command()).await;
        let mut delivery = Open::new(&agent, &command).await;
        delivery.send(&people(&[("1", "anna")])[0]).await.unwrap();
        match end {
            "canceled" => store.request_cancel(organization, job, site.now()).await.map(|_| ()).unwrap(),
            "deleted" => store.delete_directory(organization, directory, site.now()).await.unwrap(),
            _ => {
                let change = DirectoryChange { disabled: Some(true), ..DirectoryChange::default() };
                store.update_directory(organization, directory, change).await.map(|_| ()).unwrap();
            }
        }
        let refused = delivery.send(&people(&[("2", "late")])[0]).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted, "{end}: {refused}");
        assert!(store.find_user(organization, "anna").await.unwrap().is_some(), "{end}");
        assert_eq!(store.find_user(organization, "late").await.unwrap(), None, "{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_delivery_joins_nobody_once_joining_is_refused() {
    let mut world = World::new().await;
    world.import("corp", &[named("cn=1", "anna"), named("cn=2", "bert")]).await;
    world.site.start_job("lab", "import").await;
    let command = soon(world.session.command()).await;
    let mut delivery = Open::new(&world.agent, &command).await;
    delivery.send(&together(&[named("cn=a", "anna")])).await.unwrap();
    assert_eq!(world.waiting("lab").await.len(), 0, "she is joined");
    join_users(&world, false).await;
    delivery.send(&together(&[named("cn=b", "bert")])).await.unwrap();
    let bert = world.user("bert").await;
    let accounts = world.site.store().accounts_of(world.site.organization, bert.id.as_uuid()).await.unwrap();
    assert_eq!((accounts.len(), world.waiting("lab").await.len()), (1, 1), "{accounts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_nobody_waits_for_is_refused() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let command =
        v1::Command { command_id: postern_store::JobId::new().to_string(), generation: 1, ..Default::default() };
    let refused = agent.deliver(&command, &entries(0..3), |_| {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}
