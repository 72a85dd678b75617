//! The writing half of a delivery: chunks are gathered into transactions, and acknowledged when they are durable. While
//! one transaction runs, the next is gathered.

use std::time::Duration;

use futures_util::future::{BoxFuture, OptionFuture};
use postern_proto::v1::chunk_ack;
use postern_store::{Backend, Lease};
use tokio::sync::mpsc;
use tonic::Status;

use super::answers::{Answers, Item, answer, not_stored};
use super::second_look::SecondLook;
use crate::gateway::memory::Taken;
use crate::gateway::parts::{Parts, unavailable};
use postern_engine::intake::apply;
use postern_engine::intake::decided::Decided;
use postern_engine::intake::deliveries::AdmittedDelivery;
use postern_engine::intake::in_flight::InFlight;
use postern_engine::intake::place::Place;
use postern_engine::intake::proof::{self, Summary};

/// How long a transaction that is not full waits for another chunk.
const GATHER_PATIENCE: Duration = Duration::from_millis(50);

/// The size of a transaction.
#[derive(Clone, Copy)]
struct Limits {
    /// Entries in a transaction.
    entries: u64,
    /// Chunks in a transaction: fewer than an agent may have under way, or both would wait for each other.
    chunks: usize,
}

impl Limits {
    const fn of(backend: Backend) -> Self {
        match backend {
            // Each transaction writes pages of all indexes, so few large ones are far cheaper than many small ones.
            Backend::Sqlite => Self { entries: 10_000, chunks: 20 },
            // It gains nothing from large ones, and this process holds the rows of a transaction in memory.
            Backend::Postgres => Self { entries: 5_000, chunks: 10 },
        }
    }
}

/// Commits the gathered chunks, then acknowledges them.
pub(super) struct Writer<'a> {
    parts: &'a Parts,
    place: Place,
    delivery: &'a AdmittedDelivery,
    answers: &'a Answers,
    in_flight: &'a InFlight,
    limits: Limits,
    /// The first sequence number that is not durable.
    next: u64,
}

/// Chunks for one transaction.
#[derive(Default)]
struct Batch {
    chunks: Vec<Decided>,
    taken: Vec<Taken>,
    entries: u64,
}

impl Batch {
    fn add(&mut self, chunk: Decided, taken: Taken) {
        self.entries += chunk.entries();
        self.taken.push(taken);
        self.chunks.push(chunk);
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn is_full(&self, limits: Limits) -> bool {
        self.entries >= limits.entries || self.chunks.len() >= limits.chunks
    }
}

/// What became durable.
struct Written {
    chunks: u64,
    entries: u64,
    keys: Vec<u128>,
}

/// A transaction under way.
type Write<'a> = OptionFuture<BoxFuture<'a, Result<Written, apply::Error>>>;

impl<'a> Writer<'a> {
    /// A writer for a delivery whose chunks before the sequence number `next` are durable.
    pub(super) fn new(
        parts: &'a Parts,
        place: Place,
        delivery: &'a AdmittedDelivery,
        answers: &'a Answers,
        in_flight: &'a InFlight,
        next: u64,
    ) -> Self {
        let limits = Limits::of(delivery.data.backend());
        Self { parts, place, delivery, answers, in_flight, limits, next }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Item>) -> Result<(), Status> {
        let mut write = Write::default();
        let ended = self.write_all(&mut queue, &mut write).await;
        // Not cut short: a commit under way ends before the next delivery reads what is stored.
        write.await;
        match ended? {
            Some(summary) => self.conclude(&summary, queue).await,
            None => Ok(()),
        }
    }

    /// Writes everything up to the summary, or until the reading half ends.
    async fn write_all(
        &mut self,
        queue: &mut mpsc::Receiver<Item>,
        write: &mut Write<'a>,
    ) -> Result<Option<Summary>, Status> {
        let (mut batch, mut writing, mut summary) = (Batch::default(), false, None);
        // `over`: no more chunks will come. `ready`: none has come for a while.
        let (mut over, mut ready) = (false, false);
        loop {
            if !writing && !batch.is_empty() && (ready || batch.is_full(self.limits)) {
                *write = Some(self.begin(std::mem::take(&mut batch))).into();
                (writing, ready) = (true, over);
            }
            if over && !writing && batch.is_empty() {
                return Ok(summary);
            }
            tokio::select! {
                biased;
                Some(written) = &mut *write, if writing => {
                    (*write, writing) = (Write::default(), false);
                    self.durable(written).await?;
                }
                item = queue.recv(), if !over && !batch.is_full(self.limits) => match item {
                    Some(Item::Chunk(chunk, taken)) => {
                        batch.add(*chunk, taken);
                        ready = false;
                    }
                    Some(Item::Duplicate) => self.acknowledge().await?,
                    Some(Item::Looked(_)) => return Err(Status::invalid_argument("an answer before the summary")),
                    Some(Item::Summary(last)) => (over, ready, summary) = (true, true, Some(last)),
                    None => (over, ready) = (true, true),
                },
                () = tokio::time::sleep(GATHER_PATIENCE), if !ready && !batch.is_empty() => ready = true,
            }
        }
    }

    /// Writes chunks in one transaction.
    fn begin(&self, batch: Batch) -> BoxFuture<'a, Result<Written, apply::Error>> {
        let (store, place, now) = (&self.delivery.data, self.place, self.parts.clock.now());
        let AdmittedDelivery { job, attempt, .. } = *self.delivery;
        let lease = Lease { job, attempt, owner: self.parts.dispatcher.running.owner };
        let keys: Vec<u128> = batch.chunks.iter().flat_map(Decided::row_keys).collect();
        let written = Written { chunks: batch.chunks.len() as u64, entries: batch.entries, keys };
        Box::pin(async move {
            let _until_it_is_written = batch.taken;
            apply::chunks(store, place, lease, batch.chunks, now).await?;
            Ok(written)
        })
    }

    async fn durable(&mut self, written: Result<Written, apply::Error>) -> Result<(), Status> {
        let Written { chunks, entries, keys } = match written {
            Ok(written) => written,
            Err(apply::Error::Store(error)) => return Err(not_stored(self.parts, self.delivery, &error).await),
            Err(error @ apply::Error::Fenced) => return Err(Status::aborted(error.to_string())),
        };
        self.in_flight.leave(&keys);
        self.next += chunks;
        metrics::counter!("postern_intake_entries_total").increment(entries);
        self.parts.dispatcher.running.stored(self.delivery.job, self.delivery.attempt, entries);
        self.acknowledge().await
    }

    async fn acknowledge(&self) -> Result<(), Status> {
        match self.next.checked_sub(1) {
            Some(through) => answer(self.answers, chunk_ack::Kind::ThroughSequence(through)).await,
            None => Ok(()),
        }
    }

    /// The agent has sent everything and it is written: compares the summary with what is durable.
    async fn conclude(&self, summary: &Summary, queue: mpsc::Receiver<Item>) -> Result<(), Status> {
        let AdmittedDelivery { job, attempt, .. } = *self.delivery;
        let parts = self.parts;
        let recorded = self
            .delivery
            .data
            .staged(self.delivery.organization, job, attempt)
            .await
            .map_err(|error| unavailable(&error))?;
        if let Err(mismatch) = proof::compare(summary, &recorded) {
            tracing::warn!(job = %job, attempt, error = %mismatch, "intake.not_proven");
            let refused = chunk_ack::SummaryRefused { reason: mismatch.to_string() };
            parts.dispatcher.running.refused(job, attempt, &mismatch).await.map_err(|error| unavailable(&error))?;
            return answer(self.answers, chunk_ack::Kind::SummaryRefused(refused)).await;
        }
        let look = SecondLook { parts, delivery: self.delivery, answers: self.answers, queue };
        if let Some(cut) = look.run(summary, &recorded).await? {
            tracing::warn!(job = %job, attempt, found = cut.found, "intake.search_was_cut");
            let refused = chunk_ack::SummaryRefused { reason: cut.to_string() };
            parts.dispatcher.running.cut(job, attempt, &cut).await.map_err(|error| unavailable(&error))?;
            return answer(self.answers, chunk_ack::Kind::SummaryRefused(refused)).await;
        }
        match parts.dispatcher.running.proven(job, attempt, summary.unusable).await {
            Ok(true) => {
                parts.dispatcher.finish(job, attempt);
                answer(self.answers, chunk_ack::Kind::SummaryAccepted(chunk_ack::SummaryAccepted {})).await
            }
            Ok(false) => Err(Status::aborted(apply::Error::Fenced.to_string())),
            Err(error) => Err(unavailable(&error)),
        }
    }
}
