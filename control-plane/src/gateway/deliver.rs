//! One delivery: chunks arrive, are decided while earlier ones are committed, and are acknowledged when they are
//! durable. Memory is bounded by what waits between the two halves, independent of the size of the directory.

mod answers;
mod second_look;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use postern_proto::digest::Digest;
use postern_proto::v1::chunk::Kind;
use postern_proto::v1::chunk_ack;
use postern_proto::{limits, v1};
use postern_runtime::supervise::{OnCancel, chain};
use postern_store::{AgentId, JobId, Staged};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use self::answers::{Answers, Item, answer, not_stored};
use self::writing::Writer;
use super::memory::{Share, Stage, Taken};
use super::parts::{Gateway, Parts, unavailable};
use postern_engine::intake::decide;
use postern_engine::intake::decided::Decided;
use postern_engine::intake::deliveries::{AdmittedDelivery, Refusal};
use postern_engine::intake::first_import::FirstImportIndex;
use postern_engine::intake::in_flight::InFlight;
use postern_engine::intake::listed::Listed;
use postern_engine::intake::place::Place;
use postern_engine::intake::proof::{self, Summary};
use postern_engine::intake::reading::Reading;
use postern_engine::wire;

/// The answers of a delivery.
pub(super) type ChunkAcks = ReceiverStream<Result<v1::ChunkAck, Status>>;

/// Time for the first message.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// Decided chunks that may wait to be gathered into a transaction.
const WAITING: usize = 2;
/// Acknowledgements that may wait to be sent.
const ANSWERS: usize = 16;

/// Opens a delivery of an admitted agent.
pub(super) fn open(gateway: &Gateway, agent: AgentId, share: Arc<Share>, inbound: Streaming<v1::Chunk>) -> ChunkAcks {
    let (answers, stream) = mpsc::channel(ANSWERS);
    let parts = Arc::clone(&gateway.0);
    gateway.0.supervisor.spawn("gateway.delivery", OnCancel::Finish, async move {
        if let Err(status) = Box::pin(run(&parts, agent, share, inbound, &answers)).await {
            tracing::info!(agent = %agent, code = ?status.code(), reason = status.message(), "gateway.delivery_ended");
            let _ = answers.send(Err(status)).await;
        }
    });
    ReceiverStream::new(stream)
}

async fn run(
    parts: &Arc<Parts>,
    agent: AgentId,
    share: Arc<Share>,
    mut inbound: Streaming<v1::Chunk>,
    answers: &Answers,
) -> Result<(), Status> {
    let (job, attempt, source, listed) = first(&mut inbound).await?;
    let delivery = Arc::new(admit(parts, agent, job, attempt).await?);
    match parts.dispatcher.running.comes_from(job, attempt, source.map(wire::source)).await {
        Ok(true) => {}
        Ok(false) => return Err(Status::aborted("the server is behind the one that was read before")),
        Err(error) => return Err(unavailable(&error)),
    }
    parts.dispatcher.running.keep_binary(job, attempt, listed.binary());
    let (place, newcomers, staged, reading) = match begin(parts, &delivery, listed).await {
        Ok(Some(begun)) => begun,
        Ok(None) => return Err(Status::aborted("the directory was deleted")),
        Err(error) => return Err(not_stored(parts, &delivery, &error).await),
    };
    let opened = chunk_ack::Opened { next_sequence: staged.next_sequence };
    answer(answers, chunk_ack::Kind::Opened(opened)).await?;
    tracing::info!(job = %job, attempt, agent = %agent, next_sequence = staged.next_sequence, "gateway.delivery_opened");

    let (items, queue) = mpsc::channel(WAITING);
    let (next, in_flight, over) = (staged.next_sequence, Arc::new(InFlight::default()), CancellationToken::new());
    let until_over = over.clone().drop_guard();
    let reader = Reader {
        parts: Arc::clone(parts),
        place,
        delivery: Arc::clone(&delivery),
        in_flight: Arc::clone(&in_flight),
        newcomers,
        reading,
        next,
        share,
    };
    let read = reader.spawn(inbound, items, over);
    let written = Writer::new(parts, place, &delivery, answers, &in_flight, next).run(queue).await;
    // Ends the reading half. Otherwise the agent would learn of a failure only when it sends more, and it may be
    // waiting for acknowledgements.
    drop(until_over);
    let read = read.await.unwrap_or_else(|_| Err(Status::internal("the delivery could not be read further")));
    written.and(read)
}

/// The place of the entries, the index of a first import, and what is durable already; `None` if the directory was
/// deleted.
async fn begin(
    parts: &Parts,
    delivery: &AdmittedDelivery,
    listed: Listed,
) -> Result<Option<(Place, FirstImportIndex, Staged, Reading)>, postern_store::Error> {
    let &AdmittedDelivery { organization, directory, job, attempt, ref data, .. } = delivery;
    let Some(found) = parts.store.get_directory(organization, directory).await? else { return Ok(None) };
    let place = Place::of(&found);
    let staged = data.staged(organization, job, attempt).await?;
    let reading = Reading::of(data, organization, directory, listed).await?;
    Ok(Some((place, FirstImportIndex::of(data, place).await?, staged, reading)))
}

/// Waits until the delivery must end, and gives the reason.
async fn quit(parts: &Parts, delivery: &AdmittedDelivery) -> Status {
    tokio::select! {
        () = delivery.ended.cancelled() => Status::aborted("the job has ended, or a newer delivery has taken over"),
        () = parts.supervisor.shutdown().stopping().cancelled() => {
            Status::unavailable("the control plane is restarting")
        }
    }
}

async fn first(inbound: &mut Streaming<v1::Chunk>) -> Result<(JobId, u32, Option<v1::Source>, Listed), Status> {
    let first = tokio::time::timeout(OPEN_DEADLINE, inbound.message());
    let first = first.await.map_err(|_| Status::failed_precondition("the delivery did not begin with an Open"))??;
    let Some(Kind::Open(open)) = first.and_then(|chunk| chunk.kind) else {
        return Err(Status::failed_precondition("a delivery must begin with an Open"));
    };
    let job = open.command_id.parse().map_err(|_| Status::invalid_argument("command_id is no id"))?;
    Ok((job, open.generation, open.source, listed(open.listed)?))
}

fn listed(said: Option<v1::chunk::Listed>) -> Result<Listed, Status> {
    let Some(v1::chunk::Listed { users, groups, binary }) = said else { return Ok(Listed::default()) };
    let too_long = users.iter().chain(&groups).chain(&binary).any(|name| name.len() > limits::MAX_NAME_BYTES);
    let most = limits::MAX_LISTED_ATTRIBUTES;
    if too_long || users.len() + groups.len() > most || binary.len() > most {
        return Err(Status::invalid_argument("the list of attributes is beyond its limit"));
    }
    Ok(Listed::new(&users, &groups).with_binary(&binary))
}

async fn admit(parts: &Parts, agent: AgentId, job: JobId, attempt: u32) -> Result<AdmittedDelivery, Status> {
    match parts.dispatcher.running.delivery(agent, job, attempt).await {
        Ok(Ok(delivery)) => Ok(delivery),
        Ok(Err(Refusal::NotWanted)) => Err(Status::not_found("the control plane no longer waits for this command")),
        Ok(Err(Refusal::TryAgain)) => Err(Status::unavailable("the command is not known here yet")),
        Err(error) => Err(unavailable(&error)),
    }
}

/// The reading half: decodes chunks and decides them.
struct Reader {
    parts: Arc<Parts>,
    place: Place,
    delivery: Arc<AdmittedDelivery>,
    in_flight: Arc<InFlight>,
    newcomers: FirstImportIndex,
    reading: Reading,
    /// The next sequence number to receive.
    next: u64,
    share: Arc<Share>,
}

impl Reader {
    /// Reads in a task of its own, to use one core for decisions and another for writing.
    fn spawn(
        self,
        inbound: Streaming<v1::Chunk>,
        items: mpsc::Sender<Item>,
        over: CancellationToken,
    ) -> oneshot::Receiver<Result<(), Status>> {
        let (ended, end) = oneshot::channel();
        let (parts, delivery) = (Arc::clone(&self.parts), Arc::clone(&self.delivery));
        self.parts.supervisor.clone().spawn("gateway.delivery_reading", OnCancel::Finish, async move {
            let _ = ended.send(tokio::select! {
                ended = self.run(inbound, items) => ended,
                status = quit(&parts, &delivery) => Err(status),
                () = over.cancelled() => Ok(()),
            });
        });
        end
    }

    async fn run(mut self, mut inbound: Streaming<v1::Chunk>, items: mpsc::Sender<Item>) -> Result<(), Status> {
        let mut summarized = false;
        while let Some(chunk) = inbound.message().await? {
            let item = match chunk.kind {
                Some(Kind::LookedAgain(looked)) if summarized => Item::Looked(looked.sights),
                Some(_) if summarized => return Err(Status::invalid_argument("only answers follow a summary")),
                Some(Kind::LookedAgain(_)) => return Err(Status::invalid_argument("an answer before the summary")),
                Some(Kind::Entries(entries)) if entries.sequence < self.next => Item::Duplicate,
                Some(Kind::Entries(entries)) if entries.sequence == self.next => {
                    self.next += 1;
                    let (decided, taken) = self.decide(&entries).await?;
                    Item::Chunk(Box::new(decided), taken)
                }
                Some(Kind::Entries(_)) => return Err(Status::invalid_argument("a chunk is missing before this one")),
                Some(Kind::Summary(summary)) => Item::Summary(read_summary(&summary)?),
                Some(Kind::Open(_)) => return Err(Status::invalid_argument("a delivery has only one Open")),
                None => return Err(Status::invalid_argument("a chunk of a kind unknown to this release")),
            };
            summarized |= matches!(item, Item::Summary(_));
            if items.send(item).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn decide(&mut self, entries: &v1::chunk::Entries) -> Result<(Decided, Taken), Status> {
        let weight = decide::weight(&entries.payload, Stage::Decided.most()).map_err(|error| undecided(&error))?;
        let taken = self.share.take(Stage::Decided, weight).await?;
        let (store, now) = (&self.delivery.data, self.parts.clock.now());
        loop {
            let (place, newcomers, reading) = (self.place, &mut self.newcomers, &self.reading);
            let decided = decide::decide(store, place, entries.sequence, &entries.payload, newcomers, reading, now);
            let decided = match decided.await {
                Ok(decided) => decided,
                Err(decide::Error::Store(error)) => {
                    return Err(not_stored(&self.parts, &self.delivery, &error).await);
                }
                Err(error) => return Err(undecided(&error)),
            };
            if self.in_flight.enter(&decided) {
                return Ok((decided, taken));
            }
            self.in_flight.landed().await;
        }
    }
}

fn undecided(error: &decide::Error) -> Status {
    tracing::warn!(error = chain(error), "gateway.chunk_refused");
    Status::invalid_argument(chain(error))
}

fn read_summary(summary: &v1::chunk::Summary) -> Result<Summary, Status> {
    let digest: [u8; 32] = summary
        .digest
        .as_ref()
        .try_into()
        .map_err(|_| Status::invalid_argument(proof::Mismatch::NoDigest.to_string()))?;
    let digest = Digest::from_bytes(&digest);
    Ok(Summary {
        chunks: summary.chunks,
        users: summary.users,
        groups: summary.groups,
        digest,
        unusable: summary.unusable,
        looks_again: summary.looks_again,
    })
}
