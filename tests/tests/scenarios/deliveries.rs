//! What an agent delivers, right and wrong: a chunk twice, a wrong count, a wrong digest, a gap, garbage, an old generation.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_proto::digest::Digest;
use postern_proto::v1::agent_frame::Kind as Up;
use postern_proto::v1::chunk_ack::Kind as Ack;
use postern_proto::v1::outcome::Result as Outcome;
use postern_proto::v1::{Command, ImportResult};
use postern_tests::api::{Api, AttributeValue};
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::in_process_agent::{Circumstances, enroll};
use postern_tests::raw_agent::{Batch, RawAgent, RawUser};
use postern_tests::{Stage, scenario, wait};
use serde_json::Value;

const DIRECTORY: &str = "raw";

async fn connected(stage: &Stage) -> Result<(ControlPlane, Api, RawAgent)> {
    let control_plane = ControlPlane::start(stage, Options::for_tests()?).await?;
    let api = control_plane.organization("Corp").await?;
    let identity = enroll(&api.enrollment_token().await?, &Circumstances::default()).await?;
    let agent = RawAgent::connect(identity, DIRECTORY).await?;
    api.directory(DIRECTORY).await?;
    Ok((control_plane, api, agent))
}

fn total(batches: &[&Batch]) -> Digest {
    let mut digest = Digest::default();
    for batch in batches {
        digest.add(&batch.digest);
    }
    digest
}

/// The directory holds the first so many of the made-up users, as they were delivered, and nobody is missing.
async fn holds(api: &Api, users: u32) -> Result<()> {
    let mut accounts = api.accounts(DIRECTORY, "user").await?;
    accounts.sort_by(|one, other| one.external_id.cmp(&other.external_id));
    ensure!(accounts.len() == users as usize, "{} accounts, not {users}", accounts.len());
    for (index, account) in (0..users).zip(&accounts) {
        let attribute = |name: &str| account.attributes.get(name).map(Vec::as_slice);
        let expected = RawUser::of(index);
        let text = |text: &str| vec![AttributeValue::Text(text.to_owned())];
        ensure!(
            account.external_id == expected.external_id
                && account.dn == expected.dn
                && attribute("uid") == Some(&text(&expected.uid))
                && attribute("cn") == Some(&text(&expected.cn))
                && account.attributes.len() == 2
                && account.missing_since.is_none(),
            "{account:?} is not {expected:?}"
        );
    }
    let mut names: Vec<String> = api.users().await?.into_iter().map(|user| user.user_name).collect();
    names.sort();
    let mut expected: Vec<String> = (0..users).map(|index| RawUser::of(index).uid).collect();
    expected.sort();
    ensure!(names == expected, "{names:?}");
    Ok(())
}

/// Reports the command done.
async fn report(agent: &RawAgent, command: &Command, users: u64) -> Result<()> {
    let import = ImportResult { users, ..ImportResult::default() };
    agent
        .say(Up::Outcome(postern_proto::v1::Outcome {
            command_id: command.command_id.clone(),
            generation: command.generation,
            elapsed_ms: 1,
            result: Some(Outcome::Import(import)),
        }))
        .await
}

/// Delivers these users properly, and waits for the job's success.
async fn deliver_all(api: &Api, agent: &RawAgent, command: &Command, batch: &Batch) -> Result<()> {
    let (mut delivery, next) = agent.deliver(command).await?;
    ensure!(next == 0, "a new generation begins at 0, not {next}");
    delivery.chunk(0, batch).await?;
    delivery.acked_through(0).await?;
    delivery.summary(1, batch.users, batch.digest).await?;
    let answer = delivery.ack().await?;
    ensure!(matches!(answer, Ack::SummaryAccepted(_)), "{answer:?}");
    report(agent, command, batch.users).await?;
    let job = api.finished(&command.command_id, Duration::from_secs(30)).await?.expect("succeeded")?;
    ensure!(job.count("users") == batch.users, "{job:?}");
    Ok(())
}

#[test]
fn a_chunk_delivered_twice_counts_once() -> Result<()> {
    scenario(async |stage| {
        let (_control_plane, api, mut agent) = connected(stage).await?;
        api.start_job("import", DIRECTORY, Value::Null).await?;
        let command = agent.command().await?;
        let (first, second) = (Batch::of_users(0, 40), Batch::of_users(40, 70));
        let (mut delivery, _) = agent.deliver(&command).await?;
        delivery.chunk(0, &first).await?;
        delivery.acked_through(0).await?;
        // The acknowledgement was lost: the agent opens another stream and sends the chunk again.
        drop(delivery);
        let (mut delivery, next) = agent.deliver(&command).await?;
        ensure!(next == 1, "chunk 0 is durable, and {next} is asked for");
        delivery.chunk(0, &first).await?;
        delivery.chunk(1, &second).await?;
        delivery.acked_through(1).await?;
        delivery.summary(2, 70, total(&[&first, &second])).await?;
        let answer = delivery.ack().await?;
        ensure!(matches!(answer, Ack::SummaryAccepted(_)), "{answer:?}");
        report(&agent, &command, 70).await?;
        let job = api.finished(&command.command_id, Duration::from_secs(30)).await?.expect("succeeded")?;
        ensure!(job.count("users") == 70, "{job:?}");
        holds(&api, 70).await
    })
}

#[test]
fn a_summary_that_does_not_add_up_is_refused_and_marks_nobody_missing() -> Result<()> {
    scenario(async |stage| {
        let (_control_plane, api, mut agent) = connected(stage).await?;
        api.start_job("import", DIRECTORY, Value::Null).await?;
        let command = agent.command().await?;
        let everybody = Batch::of_users(0, 100);
        deliver_all(&api, &agent, &command, &everybody).await.context("the first, right import")?;

        let few = Batch::of_users(0, 60);
        let wrong: [(&str, u64, u64, Digest); 3] =
            [("count", 1, 100, few.digest), ("digest", 1, 60, everybody.digest), ("chunks", 2, 60, few.digest)];
        for (what, chunks, users, digest) in wrong {
            let job = api.start_job("import", DIRECTORY, Value::Null).await?;
            let command = agent.command().await?;
            refuse(&agent, &command, &few, (chunks, users, digest)).await.with_context(|| format!("wrong {what}"))?;
            holds(&api, 100).await.with_context(|| format!("a wrong {what} was believed"))?;
            api.decide(&job.id, "cancel").await?;
            ensure!(api.audited("job.cancel_requested").await?["object_id"] == serde_json::json!(job.id));
            api.finished(&job.id, wait::SOON).await?.expect("canceled")?;
        }
        // The same command again under a new generation, this time right.
        api.start_job("import", DIRECTORY, Value::Null).await?;
        let first = agent.command().await?;
        refuse(&agent, &first, &few, (1, 61, few.digest)).await?;
        let second = agent.command().await?;
        ensure!(second.command_id == first.command_id && second.generation > first.generation, "{second:?}");
        deliver_all(&api, &agent, &second, &everybody).await.context("the right generation")?;
        holds(&api, 100).await
    })
}

/// Delivers one batch with a summary that must be refused.
async fn refuse(agent: &RawAgent, command: &Command, batch: &Batch, summary: (u64, u64, Digest)) -> Result<()> {
    let (mut delivery, _) = agent.deliver(command).await?;
    delivery.chunk(0, batch).await?;
    delivery.acked_through(0).await?;
    let (chunks, users, digest) = summary;
    delivery.summary(chunks, users, digest).await?;
    let answer = delivery.ack().await?;
    ensure!(matches!(answer, Ack::SummaryRefused(_)), "{answer:?}");
    Ok(())
}

#[test]
fn gaps_garbage_and_old_generations_end_the_delivery() -> Result<()> {
    scenario(async |stage| {
        let (_control_plane, api, mut agent) = connected(stage).await?;
        api.start_job("import", DIRECTORY, Value::Null).await?;
        let command = agent.command().await?;
        let batch = Batch::of_users(0, 10);

        let (mut gap, _) = agent.deliver(&command).await?;
        gap.chunk(5, &batch).await?;
        ensure!(gap.acked_through(5).await.is_err(), "a gap was accepted");

        let (mut garbage, _) = agent.deliver(&command).await?;
        garbage
            .chunk(0, &Batch { payload: bytes::Bytes::from_static(b"\xff\xff\xffgarbage"), ..batch.clone() })
            .await?;
        ensure!(garbage.acked_through(0).await.is_err(), "garbage was acknowledged");

        let old = Command { generation: command.generation + 7, ..command.clone() };
        ensure!(agent.deliver(&old).await.is_err(), "an unknown generation was welcome");
        let unknown = Command { command_id: uuid::Uuid::nil().to_string(), ..command.clone() };
        ensure!(agent.deliver(&unknown).await.is_err(), "an unknown command was welcome");

        deliver_all(&api, &agent, &command, &batch).await
    })
}
