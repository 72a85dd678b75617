//! Deliveries that are made to take memory: they cost the agent that sends them its stream, and nobody else anything.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_proto::digest::Digest;
use postern_proto::v1::chunk_ack::Kind as Acknowledged;
use postern_tests::api::Api;
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::in_process_agent::{Circumstances, enroll};
use postern_tests::raw_agent::{Batch, RawAgent};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{scenario, slapd, wait};
use tokio::task::JoinHandle;
use tonic::Status;

/// As much memory as the control plane is given: what a small machine has.
const ADDRESS_SPACE: u64 = 4 << 30;
/// The most that it may take of it.
const MOST_RESIDENT: u64 = 1 << 30;

/// A chunk of this many users with an external id of four bytes, and nothing else: eleven bytes each.
fn tiny_entries(count: u32) -> Batch {
    let number = |mut value: u32, out: &mut Vec<u8>| {
        while value >= 0x80 {
            out.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        out.push(value.to_le_bytes()[0]);
    };
    // Layout 2, members by DN, no names.
    let mut payload = vec![2, 0, 0];
    number(count, &mut payload);
    number(count * 7, &mut payload);
    for _ in 0..count {
        payload.extend([0, 4, 0, 0, 0, 0, 0]);
    }
    for index in 0..count {
        payload.extend(index.to_be_bytes().map(|byte| 0x20 | byte & 0x1f));
    }
    Batch { payload: payload.into(), users: u64::from(count), digest: Digest::default() }
}

/// Sizes of ordinary chunks that fill the share of one agent.
const ORDINARY: [u32; 6] = [1408 << 10, 1408 << 10, 1408 << 10, 1408 << 10, 1408 << 10, 1152 << 10];

/// Users with a long value each.
fn wide_users(count: u32) -> Batch {
    let (mut writer, long) = (ChunkWriter::new(MemberForm::Dn), [b'x'; 300]);
    for index in 0..count {
        let (id, dn) = (format!("wide-{index}"), format!("uid=wide{index},ou=people,dc=corp,dc=example"));
        let mut entry = writer.entry(Kind::User, &id, &dn, Some(&id));
        entry.attribute("uid", [id.as_bytes()]);
        entry.attribute("description", [&long[..]]);
        entry.switch(Switch::On);
        entry.finish();
    }
    let digest = writer.digest();
    Batch { payload: writer.finish(), users: u64::from(count), digest }
}

fn nothing_but_zeros(bytes: usize) -> Batch {
    Batch { payload: Bytes::from(vec![0; bytes]), users: 0, digest: Digest::default() }
}

#[test]
fn an_agent_that_sends_too_much_costs_itself_its_stream_and_nobody_else_anything() -> Result<()> {
    scenario(async |stage| {
        let options = Options { address_space_bytes: Some(ADDRESS_SPACE), ..Options::for_tests()? };
        let mut site = Site::start_with(stage, slapd::Options::people(500), options).await?;
        let other = site.control_plane.organization("Other").await?;
        let identity = enroll(&other.enrollment_token().await?, &Circumstances::default()).await?;
        let mut hostile = RawAgent::connect(identity, "hostile").await?;
        other.directory("hostile").await?;
        other.start_job("import", "hostile", serde_json::json!({})).await?;
        let command = hostile.command().await?;

        let attack = async {
            let sixty_mebibytes = tiny_entries(5_600_000);
            for round in 0..4 {
                let (mut delivery, next) = hostile.deliver(&command).await?;
                delivery.chunk(next, &sixty_mebibytes).await?;
                let Err(refused) = delivery.ack().await else { bail!("round {round}: it was taken") };
                ensure!(format!("{refused:#}").contains("beyond its limit"), "round {round}: {refused:#}");
            }
            for bomb in [nothing_but_zeros(60 << 20), nothing_but_zeros(20 << 20)] {
                let (mut delivery, next) = hostile.deliver_compressed(&command).await?;
                delivery.chunk(next, &bomb).await?;
                let Err(refused) = delivery.ack().await else { bail!("the bomb was taken") };
                ensure!(format!("{refused:#}").contains("too tightly"), "{refused:#}");
            }
            Ok(())
        };
        let work = async {
            for _ in 0..5 {
                let users = site.api.get("/api/v1/users?limit=1");
                tokio::time::timeout(Duration::from_secs(10), users).await.context("the API waits")??;
                site.api.import(DIRECTORY).await.context("another organization's import")?;
            }
            site.compare().await
        };
        let (attacked, worked) = tokio::join!(attack, work);
        attacked?;
        worked?;
        site.control_plane.process()?.must_run()?;
        let peak = site.control_plane.process()?.usage()?.peak_resident_bytes;
        ensure!(peak < MOST_RESIDENT, "the control plane took {} MiB", peak >> 20);
        Ok(())
    })
}

/// Opens deliveries of another organization that announce a chunk of these many bytes each, and send none of it.
struct Announcers {
    _agents: Vec<RawAgent>,
    streams: Vec<JoinHandle<Option<Status>>>,
}

impl Announcers {
    async fn open(other: &Api, agents: usize, chunks: &[u32]) -> Result<Self> {
        let (mut all, mut streams) = (Vec::new(), Vec::new());
        for agent in 0..agents {
            let directories: Vec<String> = (0..chunks.len()).map(|each| format!("announced-{agent}-{each}")).collect();
            let identity = enroll(&other.enrollment_token().await?, &Circumstances::default()).await?;
            let mut raw = RawAgent::connect_serving(identity, &directories).await?;
            other.directory(directories.last().context("no directory")?).await?;
            for (directory, bytes) in directories.iter().zip(chunks) {
                other.start_job("import", directory, serde_json::json!({})).await?;
                let command = raw.command().await?;
                streams.push(raw.announce(&command, *bytes).await?);
            }
            all.push(raw);
        }
        Ok(Self { _agents: all, streams })
    }
}

/// An import of one chunk by an agent written by hand: how another organization sees the control plane.
async fn import_by_hand(api: &Api, agent: &mut RawAgent, directory: &str, batch: &Batch) -> Result<()> {
    let job = api.start_job("import", directory, serde_json::json!({})).await?;
    let command = agent.command().await?;
    let (mut delivery, next) = agent.deliver(&command).await?;
    delivery.chunk(next, batch).await.context("the chunk")?;
    delivery.acked_through(next).await.context("the chunk is not taken")?;
    delivery.summary(1, batch.users, batch.digest).await?;
    loop {
        if matches!(delivery.ack().await?, Acknowledged::SummaryAccepted(_)) {
            break;
        }
    }
    api.finished(&job.id, wait::SOON).await?.expect("succeeded").map(drop)
}

/// An organization with an agent written by hand.
async fn victim(control_plane: &ControlPlane) -> Result<(Api, RawAgent)> {
    let api = control_plane.organization("Victim").await?;
    let identity = enroll(&api.enrollment_token().await?, &Circumstances::default()).await?;
    let agent = RawAgent::connect(identity, "victim").await?;
    api.directory("victim").await?;
    Ok((api, agent))
}

#[test]
fn large_chunks_that_are_announced_and_never_sent_do_not_delay_another_organization() -> Result<()> {
    scenario(async |stage| {
        let control_plane = ControlPlane::start(stage, Options::for_tests()?).await?;
        let (api, mut agent) = victim(&control_plane).await?;
        let large = wide_users(9_000);
        ensure!(large.payload.len() > 5 << 19, "not larger than usual: {} bytes", large.payload.len());
        // As many of the largest size as fit in memory.
        let other = control_plane.organization("Other").await?;
        let mut announcers = Announcers::open(&other, 3, &[64 << 20]).await?;
        import_by_hand(&api, &mut agent, "victim", &large).await?;

        // What is not sent loses its room.
        let first = announcers.streams.remove(0);
        let ended = tokio::time::timeout(Duration::from_mins(1), first).await.context("it keeps its room")??;
        let reason = ended.context("no reason")?;
        ensure!(reason.message().contains("arrived too slowly"), "{reason}");
        Ok(())
    })
}

#[test]
fn ordinary_chunks_that_are_announced_and_never_sent_do_not_delay_another_organization() -> Result<()> {
    scenario(async |stage| {
        let control_plane = ControlPlane::start(stage, Options::for_tests()?).await?;
        let (api, mut agent) = victim(&control_plane).await?;
        let small = Batch::of_users(0, 200);
        ensure!(small.payload.len() > 16 << 10, "not counted: {} bytes", small.payload.len());
        // As many as fit in memory.
        let other = control_plane.organization("Other").await?;
        let announcers = Announcers::open(&other, 32, &ORDINARY).await?;
        import_by_hand(&api, &mut agent, "victim", &small).await?;
        drop(announcers);
        Ok(())
    })
}
