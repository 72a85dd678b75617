//! Deliveries that are made to take memory: they cost the agent that sends them its stream, and nobody else anything.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use postern_proto::digest::Digest;
use postern_tests::control_plane::Options;
use postern_tests::in_process_agent::{Circumstances, enroll};
use postern_tests::raw_agent::{Batch, RawAgent};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{scenario, slapd};

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
