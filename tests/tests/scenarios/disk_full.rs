//! The `SQLite` volume is full: the state is clear, nothing is acknowledged that is not stored, and with room again it
//! goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_agent::identity::Identity;
use postern_proto::digest::Digest;
use postern_proto::v1::chunk_ack::Kind as Ack;
use postern_tests::control_plane::ControlPlane;
use postern_tests::in_process_agent::{Circumstances, enroll};
use postern_tests::raw_agent::{Batch, RawAgent, RawUser};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::small_disk::SmallDisk;
use postern_tests::{Stage, control_plane, scenario, slapd, wait};
use serde_json::Value;

fn on_a_small_disk(stage: &Stage) -> Result<(SmallDisk, control_plane::Options)> {
    let disk = SmallDisk::mount(stage, 24 * 1024)?;
    let mut options = control_plane::Options::for_tests()?;
    options.data_dir = Some(disk.folder().join("data"));
    std::fs::create_dir(disk.folder().join("data"))?;
    Ok((disk, options))
}

#[test]
fn a_full_disk_is_said_and_acknowledges_nothing_that_is_not_stored() -> Result<()> {
    scenario(async |stage| {
        let (disk, options) = on_a_small_disk(stage)?;
        let site = Site::start_with(stage, slapd::Options::people(1_000), options).await?;
        disk.fill(192)?;
        let job = site.api.start_job("import", DIRECTORY, Value::Null).await.context("with little room left")?;
        wait::until_true("the control plane says that the disk is full", Duration::from_secs(40), || async {
            Ok(site.control_plane.log().contains("the database's volume is full or cannot be written"))
        })
        .await?;
        // The job says it as well, and so does whatever asks for a write.
        wait::until_true("the job says that the disk is full", wait::SOON, || async {
            let job = site.api.get(&format!("/api/v1/jobs/{}", job.id)).await?;
            Ok(job["message"].as_str().is_some_and(|message| message.contains("is full")))
        })
        .await?;
        wait::until_true("a write is answered 503", wait::SOON, || async {
            Ok(site.api.enrollment_token().await.is_err_and(|error| format!("{error:#}").contains("503")))
        })
        .await?;
        site.control_plane.ready().await.context("on a full disk")?;
        // What is there can be looked at all the while, and nothing claims to be over.
        let state = site.api.job(&job.id).await.context("on a full disk")?.state;
        ensure!(!matches!(state.as_str(), "succeeded" | "canceled" | "held"), "{state}");
        let accounts = site.api.accounts(DIRECTORY, "user").await.context("on a full disk")?;
        ensure!(accounts.len() < 1_000, "a full disk took everything: the test proves nothing");
        ensure!(accounts.iter().all(|account| account.missing_since.is_none()), "somebody was marked missing");
        disk.free()?;
        let job = site.api.finished(&job.id, Duration::from_mins(2)).await?;
        // It waited for room, or it failed and said why.
        ensure!(job.state == "succeeded" || !job.error_code().is_empty(), "{job:?}");
        if job.state != "succeeded" {
            site.api.import(DIRECTORY).await.context("with room again")?;
        }
        site.compare().await
    })
}

/// Users in each chunk of the delivery that fills a disk.
const USERS: u32 = 500;

fn batch(sequence: u64) -> Result<Batch> {
    let number = u32::try_from(sequence)?;
    Ok(Batch::of_users(number * USERS, (number + 1) * USERS))
}

#[test]
fn what_was_acknowledged_while_the_disk_filled_up_outlives_a_kill() -> Result<()> {
    scenario(async |stage| {
        let (disk, options) = on_a_small_disk(stage)?;
        let mut control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        let identity = enroll(&api.enrollment_token().await?, &Circumstances::default()).await?;
        let parts = identity.parts().clone();
        let mut agent = RawAgent::connect(identity, DIRECTORY).await?;
        api.directory(DIRECTORY).await?;
        api.start_job("import", DIRECTORY, Value::Null).await?;
        let command = agent.command().await?;
        disk.fill(3 * 1024)?;
        let (mut delivery, mut acknowledged) = agent.deliver(&command).await?;
        while delivery.chunk(acknowledged, &batch(acknowledged)?).await.is_ok()
            && delivery.acked_through(acknowledged).await.is_ok()
        {
            acknowledged += 1;
            ensure!(acknowledged < 100, "the disk never was full");
        }
        ensure!(acknowledged > 0, "nothing was acknowledged: the test proves nothing");
        control_plane.kill().await?;
        disk.free()?;
        control_plane.run(stage).await?;

        let accounts = api.accounts(DIRECTORY, "user").await?;
        let known: BTreeSet<&str> = accounts.iter().map(|account| account.dn.as_str()).collect();
        for index in 0..u32::try_from(acknowledged)? * USERS {
            let dn = RawUser::of(index).dn;
            ensure!(known.contains(dn.as_str()), "{acknowledged} chunks were acknowledged, and {dn} is not there");
        }
        // And there is where it goes on.
        let agent = RawAgent::connect_holding(Identity::new(parts)?, DIRECTORY, &[&command]).await?;
        let (mut delivery, next) = agent.deliver(&command).await?;
        ensure!(next >= acknowledged, "{acknowledged} chunks were acknowledged, and chunk {next} is asked for");
        delivery.chunk(next, &batch(next)?).await?;
        delivery.acked_through(next).await?;
        let mut digest = Digest::default();
        for sequence in 0..=next {
            digest.add(&batch(sequence)?.digest);
        }
        delivery.summary(next + 1, (next + 1) * u64::from(USERS), digest).await?;
        let answer = delivery.ack().await?;
        ensure!(matches!(answer, Ack::SummaryAccepted(_)), "{answer:?}");
        Ok(())
    })
}
