//! What the halves of a delivery exchange, and the answers to the agent.

use std::time::Duration;

use bytes::Bytes;
use postern_engine::intake::decided::Decided;
use postern_engine::intake::deliveries::AdmittedDelivery;
use postern_engine::intake::proof::Summary;
use postern_engine::jobs::failure::Failure;
use postern_proto::v1;
use postern_proto::v1::chunk_ack;
use postern_runtime::supervise::chain;
use tokio::sync::mpsc;
use tonic::Status;

use super::super::memory::Taken;
use super::super::parts::{Parts, unavailable};

/// How long sending an acknowledgement may take.
const ANSWER_PATIENCE: Duration = Duration::from_mins(1);

/// Where the acknowledgements go.
pub(super) type Answers = mpsc::Sender<Result<v1::ChunkAck, Status>>;

/// What the reading half passes to the writing half.
pub(super) enum Item {
    /// With the memory that it uses until it is durable.
    Chunk(Box<Decided>, Taken),
    /// A chunk that is durable already.
    Duplicate,
    Summary(Summary),
    /// What the agent found of the accounts that it was asked for.
    Looked(Bytes),
}

/// Sends an acknowledgement.
pub(super) async fn answer(answers: &Answers, kind: chunk_ack::Kind) -> Result<(), Status> {
    let gone = |_| Status::cancelled("the agent has closed the delivery");
    let sent = answers.send(Ok(v1::ChunkAck { kind: Some(kind) }));
    // An agent that does not read its acknowledgements would keep the memory of later chunks without limit.
    match tokio::time::timeout(ANSWER_PATIENCE, sent).await {
        Ok(sent) => sent.map_err(gone),
        Err(_) => Err(Status::unavailable("the agent does not read its acknowledgements")),
    }
}

/// The answer after the store failed. If the failure is temporary, the agent tries again; a permanent one ends the job
/// with its reason.
pub(super) async fn not_stored(parts: &Parts, delivery: &AdmittedDelivery, error: &postern_store::Error) -> Status {
    if let postern_store::Error::Conflict { .. } = error {
        // Two first imports of an organization bring the same names: the later one repeats and reads what is stored
        // now.
        tracing::info!(error = chain(error), job = %delivery.job, "gateway.overtaken");
        return Status::unavailable(
            "another import was first with the same names; delivering again goes on from there",
        );
    }
    if !error.is_permanent() {
        return unavailable(error);
    }
    tracing::error!(error = chain(error), job = %delivery.job, "gateway.store_refused");
    match parts.dispatcher.running.fail(delivery.job, delivery.attempt, Failure::database(error).to_json()).await {
        Ok(()) => Status::aborted("the job was ended: the database failed at it"),
        Err(error) => unavailable(&error),
    }
}
