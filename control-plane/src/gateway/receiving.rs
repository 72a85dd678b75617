//! The bytes of a delivery as they arrive. Memory for a message is taken from the agent's share before the message is
//! read, and given back when the message arrives too slowly. It is decompressed here, because the gRPC library would
//! stop only at its limit for one message, however much memory others use.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http::Request;
use hyper::body::Incoming;
use postern_proto::MAX_CHUNK_BYTES;
use tokio::time::Instant;
use tonic::Status;
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

use super::memory::{ORDINARY_BYTES, Share, Stage, Taken};

/// A flag of one byte and a length of four stand before each message of gRPC.
const HEADER_BYTES: usize = 5;
/// Messages up to this size are not counted: the streams of a connection bound them.
const FREE_BYTES: usize = 16 << 10;
/// How many times larger a compressed message may become, if that is more than [`ORDINARY_BYTES`]. The agent is asked
/// to send denser ones uncompressed.
const MOST_UNPACKED: usize = 32;
/// Bytes decompressed in one step.
const STEP_BYTES: usize = 256 << 10;
/// Time for a message to arrive: this long, plus a second for each so many bytes that have arrived. A message that was
/// only announced holds memory no longer than that.
const PATIENCE: Duration = Duration::from_secs(30);
const SLOWEST_BYTES_PER_SECOND: usize = 2 << 10;
const SLOWEST_LARGE_BYTES_PER_SECOND: usize = 128 << 10;

/// A request whose body is counted and decompressed.
pub(super) fn counted(request: Request<Incoming>, share: Arc<Share>) -> Request<Body> {
    let packed = request.headers().get("grpc-encoding").is_some_and(|encoding| encoding == "zstd");
    let (head, body) = request.into_parts();
    let receiving = Receiving {
        body: Body::new(body).into_data_stream(),
        share,
        packed,
        message: Message::Header(BytesMut::with_capacity(HEADER_BYTES)),
        ready: VecDeque::new(),
        arriving: None,
        unpacked: None,
        begun: None,
    };
    let frames = stream::unfold(receiving, async |mut receiving| Some((receiving.next().await?, receiving)));
    Request::from_parts(head, Body::from_stream(frames))
}

/// How far the current message has arrived.
enum Message {
    /// Its header, as far as it has arrived.
    Header(BytesMut),
    /// Passed on as it arrives; `left` bytes are missing.
    Plain { size: usize, left: usize },
    /// Gathered until it is complete.
    Packed { size: usize, bytes: BytesMut },
}

struct Receiving {
    body: axum::body::BodyDataStream,
    share: Arc<Share>,
    /// The stream may contain compressed messages.
    packed: bool,
    message: Message,
    ready: VecDeque<Bytes>,
    arriving: Option<Taken>,
    unpacked: Option<Taken>,
    /// Since when there is room for the current message.
    begun: Option<Instant>,
}

impl Receiving {
    async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(Ok(bytes));
            }
            // The reader asks for more: it is done with earlier messages and their memory.
            self.unpacked = None;
            if let Err(status) = self.make_room().await {
                return Some(Err(status));
            }
            let frame = match self.next_frame().await {
                Ok(frame) => frame,
                Err(status) => return Some(Err(status)),
            };
            match frame? {
                Ok(frame) => {
                    if let Err(status) = self.take_in(frame).await {
                        return Some(Err(status));
                    }
                }
                Err(error) => return Some(Err(Status::unavailable(error.to_string()))),
            }
        }
    }

    async fn next_frame(&mut self) -> Result<Option<Result<Bytes, axum::Error>>, Status> {
        let Some(deadline) = self.deadline() else { return Ok(self.body.next().await) };
        let frame = tokio::time::timeout_at(deadline, self.body.next()).await;
        frame.map_err(|_| Status::unavailable("a chunk arrived too slowly; deliver it again"))
    }

    /// When more of the current message must have arrived.
    fn deadline(&self) -> Option<Instant> {
        let (size, arrived) = match &self.message {
            Message::Header(_) => return None,
            Message::Plain { size, left } => (*size, size - left),
            Message::Packed { size, bytes } => (*size, bytes.len()),
        };
        let slowest = if size > ORDINARY_BYTES { SLOWEST_LARGE_BYTES_PER_SECOND } else { SLOWEST_BYTES_PER_SECOND };
        Some(self.begun? + PATIENCE + Duration::from_secs((arrived / slowest) as u64))
    }

    /// Takes memory for a message that has begun, from which moment its time counts; releases it if none has.
    async fn make_room(&mut self) -> Result<(), Status> {
        let size = match &self.message {
            Message::Header(_) => {
                self.arriving = None;
                self.begun = None;
                return Ok(());
            }
            Message::Plain { size, .. } | Message::Packed { size, .. } => *size,
        };
        if self.begun.is_none() {
            if size > FREE_BYTES {
                let stage = if size > ORDINARY_BYTES { Stage::ArrivingLarge } else { Stage::Arriving };
                // What an earlier message had goes first: two of one stream could wait for each other.
                self.arriving = None;
                self.arriving = Some(self.share.take(stage, size).await?);
            }
            self.begun = Some(Instant::now());
        }
        Ok(())
    }

    /// Splits a frame into messages.
    async fn take_in(&mut self, mut frame: Bytes) -> Result<(), Status> {
        while !frame.is_empty() {
            match &mut self.message {
                Message::Header(header) => {
                    let missing = (HEADER_BYTES - header.len()).min(frame.len());
                    header.extend_from_slice(&frame.split_to(missing));
                    if header.len() == HEADER_BYTES {
                        self.begin();
                    }
                }
                Message::Plain { left, .. } => {
                    let some = frame.split_to((*left).min(frame.len()));
                    *left -= some.len();
                    let over = *left == 0;
                    self.ready.push_back(some);
                    if over {
                        self.end();
                    }
                }
                Message::Packed { size, bytes } => {
                    let some = frame.split_to((*size - bytes.len()).min(frame.len()));
                    bytes.extend_from_slice(&some);
                    if bytes.len() == *size {
                        let packed = std::mem::take(bytes);
                        self.unpack(&packed).await?;
                        self.end();
                    }
                }
            }
        }
        Ok(())
    }

    /// The header is complete. A size that is too large is passed on: the gRPC library refuses it with a reason.
    fn begin(&mut self) {
        let Message::Header(header) = &self.message else { return };
        let mut fields = &header[..];
        let (flag, size) = (fields.get_u8(), fields.get_u32() as usize);
        let unpackable = self.packed && flag == 1 && size <= MAX_CHUNK_BYTES;
        if unpackable && size > 0 {
            self.message = Message::Packed { size, bytes: BytesMut::new() };
            return;
        }
        self.ready.push_back(Bytes::copy_from_slice(header));
        self.message = Message::Plain { size, left: size };
        if size == 0 {
            self.end();
        }
    }

    fn end(&mut self) {
        self.message = Message::Header(BytesMut::with_capacity(HEADER_BYTES));
        self.begun = None;
    }

    /// Decompresses a message and passes it on as an uncompressed one.
    async fn unpack(&mut self, packed: &[u8]) -> Result<(), Status> {
        let most = packed.len().saturating_mul(MOST_UNPACKED).clamp(ORDINARY_BYTES, MAX_CHUNK_BYTES);
        // Held until more is asked for. Further messages of this frame count with it.
        if self.unpacked.is_none() {
            self.unpacked = Some(self.share.take(Stage::Unpacked, most).await?);
        }
        let message = unpack(packed, most)?;
        let mut header = BytesMut::with_capacity(HEADER_BYTES);
        header.put_u8(0);
        header.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        self.ready.extend([header.freeze(), message]);
        Ok(())
    }
}

/// A frame of zstd (RFC 8878), decompressed step by step and no further than `most`.
fn unpack(packed: &[u8], most: usize) -> Result<Bytes, Status> {
    let broken = |_| Status::internal("a message cannot be decompressed");
    let mut decoder = Decoder::new().map_err(broken)?;
    let mut input = InBuffer::around(packed);
    let mut out = BytesMut::new();
    let mut step = vec![0; STEP_BYTES];
    loop {
        let mut output = OutBuffer::around(step.as_mut_slice());
        let left = decoder.run(&mut input, &mut output).map_err(broken)?;
        let some = output.as_slice();
        if out.len() + some.len() > most {
            // The agent sends it again uncompressed, and its own limit applies.
            return Err(if most == MAX_CHUNK_BYTES {
                Status::resource_exhausted(format!("a message is larger than {most} bytes when decompressed"))
            } else {
                Status::unimplemented("a message is compressed too tightly; send it uncompressed")
            });
        }
        out.extend_from_slice(some);
        let stuck = some.is_empty() && input.pos() == packed.len();
        if left == 0 && input.pos() == packed.len() {
            return Ok(out.freeze());
        }
        if stuck {
            return Err(Status::internal("a message cannot be decompressed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_decompressed_up_to_what_is_allowed() {
        let plain = b"entries, entries and entries ".repeat(40_000);
        let packed = zstd::encode_all(&plain[..], 3).unwrap();
        assert_eq!(unpack(&packed, plain.len()).unwrap(), plain);
        let refused = unpack(&packed, plain.len() - 1).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unimplemented);
        assert_eq!(unpack(&packed[..packed.len() - 3], plain.len()).unwrap_err().code(), tonic::Code::Internal);
        assert_eq!(unpack(b"no zstd at all", 100).unwrap_err().code(), tonic::Code::Internal);
    }
}
