//! One stream of a delivery: open, learn where to go on, then send and take acknowledgements side by side.

use std::time::Duration;

use postern_proto::v1::chunk::{self, Entries, Open, Summary};
use postern_proto::v1::chunk_ack::{Kind as Ack, LookAgain, Opened, SummaryRefused};
use postern_proto::v1::gateway_client::GatewayClient;
use postern_proto::v1::{self, Chunk, ChunkAck};
use postern_proto::{MAX_CHUNK_BYTES, MAX_FRAME_BYTES};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::{Code as GrpcCode, Status, Streaming};

use super::delivery::{Break, Compression, Delivery, Item, confused};
use crate::command::End;
use crate::failure::{Class, Failure};
use crate::link::Connection;
use crate::served::{Mark, Source};

/// How long the other end may take to say where to go on.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may be silent with chunks on the way before another stream is tried.
const STALL_TIMEOUT: Duration = Duration::from_mins(2);
/// Chunks between this and HTTP/2; its own buffers come on top.
const CHUNKS_IN_FLIGHT: usize = 1;

/// What an answer of the control plane means.
enum Answered {
    /// There is more to come.
    GoOn,
    /// Entries that were known are missed.
    LookAgain(LookAgain),
    /// Both ends hold the same.
    Last,
}

impl Delivery {
    pub(super) async fn stream(
        &mut self,
        connection: &Connection,
        items: &mut mpsc::Receiver<Item>,
    ) -> Result<(), Break> {
        let clock = self.clock.clone();
        let opening = self.open(connection);
        let (chunks, mut acks) = tokio::select! {
            opened = opening => opened?,
            () = clock.sleep(OPEN_TIMEOUT) => return Err(Break::Cut("no answer to Open".to_owned())),
        };
        let mut summary_sent = false;
        let mut sending = true;
        loop {
            let may_summarize = self.complete && !summary_sent && !self.window.has_unsent();
            let wants_to_send = sending && (self.window.has_unsent() || may_summarize);
            tokio::select! {
                ack = acks.message() => match self.answered(ack)? {
                    Answered::Last => return Ok(()),
                    Answered::GoOn => {}
                    // Nothing else is on the way while the other end waits for this.
                    Answered::LookAgain(asked) => {
                        let looked = Chunk { kind: Some(chunk::Kind::LookedAgain(self.look_again(asked).await?)) };
                        // Closed, why is in the answers.
                        let _ = chunks.send(looked).await;
                    }
                },
                permit = chunks.reserve(), if wants_to_send => match permit {
                    Ok(permit) => {
                        let next = self.next_chunk();
                        summary_sent |= matches!(next.kind, Some(chunk::Kind::Summary(_)));
                        permit.send(next);
                    }
                    // The other end has closed; why is in the answers.
                    Err(_) => sending = false,
                },
                item = items.recv(), if !self.complete && self.window.has_room() => match item {
                    Some(item) => self.take(item),
                    // The reader is gone without saying that it was done; it ends the import itself.
                    None => std::future::pending().await,
                },
                () = clock.sleep(STALL_TIMEOUT), if !self.window.is_empty() || summary_sent => {
                    return Err(Break::Cut("no acknowledgement".to_owned()));
                }
            }
        }
    }

    async fn open(&mut self, connection: &Connection) -> Result<(mpsc::Sender<Chunk>, Streaming<ChunkAck>), Break> {
        let (chunks, outgoing) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let open = Open {
            command_id: self.key.id.to_string(),
            generation: self.key.generation,
            source: Some(source(&self.source)),
            listed: self.listed.clone(),
        };
        // Cannot fail: the channel is empty and its other end is held here.
        let _ = chunks.try_send(Chunk { kind: Some(chunk::Kind::Open(open)) });
        let mut client = GatewayClient::with_origin(connection.clone(), connection.origin())
            .max_encoding_message_size(MAX_CHUNK_BYTES)
            .max_decoding_message_size(MAX_FRAME_BYTES);
        let compressing = self.compresses(connection);
        if compressing {
            client = client.send_compressed(CompressionEncoding::Zstd);
        }
        let opened = client.deliver(ReceiverStream::new(outgoing)).await;
        let mut acks = opened.map_err(|status| refused(&status, compressing))?.into_inner();
        match acks.message().await.map_err(|status| refused(&status, compressing))? {
            Some(ChunkAck { kind: Some(Ack::Opened(Opened { next_sequence })) }) => {
                self.window.resume(next_sequence).map_err(|gap| confused(&gap))?;
                Ok((chunks, acks))
            }
            Some(_) => Err(Break::Cut("an unexpected answer to Open".to_owned())),
            None => Err(Break::Cut("closed after Open".to_owned())),
        }
    }

    fn compresses(&self, connection: &Connection) -> bool {
        self.compress
            && match self.options.compression {
                Some(compression) => compression == Compression::Zstd,
                None => !connection.is_local(),
            }
    }

    fn next_chunk(&mut self) -> Chunk {
        let kind = match self.window.next_unsent() {
            Some(numbered) => chunk::Kind::Entries(Entries { sequence: numbered.sequence, payload: numbered.payload }),
            None => chunk::Kind::Summary(Summary {
                chunks: self.totals.chunks,
                users: self.totals.users,
                groups: self.totals.groups,
                digest: self.totals.digest.to_bytes().to_vec().into(),
                unusable: self.totals.unusable,
                looks_again: true,
            }),
        };
        Chunk { kind: Some(kind) }
    }

    /// What an answer means.
    fn answered(&mut self, answer: Result<Option<ChunkAck>, Status>) -> Result<Answered, Break> {
        let answer = answer.map_err(|status| refused(&status, false))?;
        match answer.map(|ack| ack.kind) {
            None => Err(Break::Cut("closed before the end".to_owned())),
            Some(Some(Ack::ThroughSequence(through))) => self.acknowledged(through).map(|()| Answered::GoOn),
            Some(Some(Ack::SummaryAccepted(_))) => Ok(Answered::Last),
            Some(Some(Ack::LookAgain(asked))) => Ok(Answered::LookAgain(asked)),
            Some(Some(Ack::SummaryRefused(SummaryRefused { reason }))) => {
                // The control plane starts a new generation by itself; nobody waits for this one.
                tracing::error!(command = %self.key.id, reason, "delivery.summary_refused");
                Err(Break::over(End::Unwanted))
            }
            // An answer of a newer release.
            Some(Some(Ack::Opened(_)) | None) => Ok(Answered::GoOn),
        }
    }
}

/// Where the entries come from, as it travels.
fn source(from: &Source) -> v1::Source {
    let mark = |mark: &Mark| v1::Mark { server: mark.server.clone(), value: mark.value.clone() };
    let digest = |digest: Option<[u8; 32]>| digest.map(|digest| digest.to_vec().into()).unwrap_or_default();
    v1::Source {
        server: from.server.clone(),
        marks: from.marks.iter().map(mark).collect(),
        users_digest: digest(from.users_digest),
        groups_digest: digest(from.groups_digest),
    }
}

fn refused(status: &Status, compressing: bool) -> Break {
    match status.code() {
        GrpcCode::NotFound | GrpcCode::Aborted | GrpcCode::PermissionDenied => Break::over(End::Unwanted),
        GrpcCode::Unimplemented if compressing => Break::NoCompression,
        GrpcCode::InvalidArgument | GrpcCode::Unimplemented => {
            let message = format!("the control plane could not read what was delivered: {}", status.message());
            Break::over(End::Failed(Failure::new(Class::Internal, message)))
        }
        code => Break::Cut(format!("{code:?}: {}", status.message())),
    }
}
