//! The writing half of a delivery: chunks are gathered into transactions, and acknowledged when they are durable.
//!
//! `PostgreSQL` gets a second transaction while it works on the first, if the second cannot depend on what the first
//! writes: two of its processes use two cores. They still become durable in order.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use postern_proto::chunk::MemberForm;
use postern_proto::v1::chunk_ack;
use postern_store::{Backend, Lease};
use tokio::sync::{mpsc, oneshot};
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

/// How long a complete transaction waits for the one before it.
const ORDER_PATIENCE: Duration = Duration::from_secs(10);

/// The size of a transaction, and how many may run at a time.
#[derive(Clone, Copy)]
struct Limits {
    /// Entries in a transaction.
    entries: u64,
    /// Chunks in a transaction: fewer than an agent may have under way, or both would wait for each other.
    chunks: usize,
    abreast: usize,
}

impl Limits {
    const fn of(backend: Backend) -> Self {
        match backend {
            // Each transaction writes pages of all indexes, so few large ones are far cheaper than many small ones.
            Backend::Sqlite => Self { entries: 10_000, chunks: 20, abreast: 1 },
            Backend::Postgres => Self { entries: 5_000, chunks: 10, abreast: 2 },
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
    /// Receives when the latest transaction is durable.
    last: Option<oneshot::Receiver<()>>,
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

    /// Whether it can be written in parallel with another batch whose members have this form.
    fn is_apart(&self, form: Option<MemberForm>) -> bool {
        self.chunks.iter().all(|chunk| Some(chunk.member_form) == form && chunk.brings_only_newcomers())
    }
}

/// What became durable.
struct Written {
    chunks: u64,
    entries: u64,
    keys: Vec<u128>,
}

/// Why a transaction was not written.
enum Unwritten {
    /// The one before it failed or took too long.
    Behind,
    /// It failed itself.
    Failed(apply::Error),
}

impl From<apply::Error> for Unwritten {
    fn from(error: apply::Error) -> Self {
        Self::Failed(error)
    }
}

type Writes<'a> = FuturesOrdered<BoxFuture<'a, Result<Written, Unwritten>>>;

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
        Self { parts, place, delivery, answers, in_flight, limits, next, last: None }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Item>) -> Result<(), Status> {
        let mut writes = Writes::new();
        let ended = self.write_all(&mut queue, &mut writes).await;
        // Not cut short: a commit under way ends before the next delivery reads what is stored.
        while writes.next().await.is_some() {}
        match ended? {
            Some(summary) => self.conclude(&summary, queue).await,
            None => Ok(()),
        }
    }

    /// Writes everything up to the summary, or until the reading half ends.
    async fn write_all(
        &mut self,
        queue: &mut mpsc::Receiver<Item>,
        writes: &mut Writes<'a>,
    ) -> Result<Option<Summary>, Status> {
        let (mut batch, mut form, mut summary) = (Batch::default(), None, None);
        // `over`: no more chunks will come. `ready`: none has come for a while.
        let (mut over, mut ready) = (false, false);
        loop {
            let beside = writes.len() < self.limits.abreast && batch.is_apart(form);
            if (batch.is_full(self.limits) || ready) && !batch.is_empty() && (writes.is_empty() || beside) {
                form = batch.chunks.first().map(|chunk| chunk.member_form);
                writes.push_back(self.begin(std::mem::take(&mut batch)));
                ready = over;
            }
            if over && batch.is_empty() && writes.is_empty() {
                return Ok(summary);
            }
            tokio::select! {
                biased;
                Some(written) = writes.next(), if !writes.is_empty() => self.durable(written).await?,
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

    /// Writes chunks in a transaction that becomes durable after the one begun before it.
    fn begin(&mut self, batch: Batch) -> BoxFuture<'a, Result<Written, Unwritten>> {
        let (done, durable) = oneshot::channel();
        let before = self.last.replace(durable);
        let (store, place, now) = (&self.delivery.data, self.place, self.parts.clock.now());
        let AdmittedDelivery { job, attempt, .. } = *self.delivery;
        let lease = Lease { job, attempt, owner: self.parts.dispatcher.running.owner };
        let keys: Vec<u128> = batch.chunks.iter().flat_map(Decided::row_keys).collect();
        let written = Written { chunks: batch.chunks.len() as u64, entries: batch.entries, keys };
        Box::pin(async move {
            let _until_it_is_written = batch.taken;
            let tx = apply::prepare(store, place, lease, batch.chunks, now).await?;
            if let Some(before) = before {
                // If the sender is dropped, that transaction failed, and none after it counts. The wait is bounded:
                // that transaction may wait for one of another import, which waits for names of this one. The database
                // cannot detect that circle.
                let before = tokio::time::timeout(ORDER_PATIENCE, before).await;
                before.map_err(|_| Unwritten::Behind)?.map_err(|_| Unwritten::Behind)?;
            }
            apply::finish(tx, lease).await?;
            // There may be no later transaction.
            let _ = done.send(());
            Ok(written)
        })
    }

    async fn durable(&mut self, written: Result<Written, Unwritten>) -> Result<(), Status> {
        let Written { chunks, entries, keys } = match written {
            Ok(written) => written,
            Err(Unwritten::Failed(apply::Error::Store(error))) => {
                return Err(not_stored(self.parts, self.delivery, &error).await);
            }
            Err(Unwritten::Failed(error @ apply::Error::Fenced)) => return Err(Status::aborted(error.to_string())),
            Err(Unwritten::Behind) => {
                tracing::warn!(job = %self.delivery.job, "gateway.behind: a transaction waited long for the one before it");
                return Err(Status::unavailable("the database is slow; delivering again goes on from what is stored"));
            }
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
