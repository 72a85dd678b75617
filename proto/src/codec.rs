//! The gRPC codec of both services: prost's, with buffers small enough for ten thousand idle sessions.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::guard::{self, Guarded};

/// tonic allocates 8 KiB for reading as soon as a stream exists; a heartbeat needs some bytes.
const INITIAL_BUFFER_BYTES: usize = 256;
/// How much is gathered before it is handed to HTTP/2.
const YIELD_THRESHOLD_BYTES: usize = 32 * 1024;

/// Prost messages with small initial buffers. Named by the generated code.
pub struct GatewayCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> std::fmt::Debug for GatewayCodec<T, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GatewayCodec")
    }
}

impl<T, U> Default for GatewayCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for GatewayCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Guarded + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = GuardedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        GuardedDecoder(ProstCodec::<T, U>::raw_decoder(buffers()))
    }
}

/// Decodes what [`guard`] lets pass.
#[derive(Debug)]
pub struct GuardedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default + Guarded> Decoder for GuardedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // All of a message lies in one piece.
        if guard::is_bounded::<U>(buffer.chunk()) {
            self.0.decode(buffer)
        } else {
            Err(Status::invalid_argument("a message with too many fields"))
        }
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

fn buffers() -> BufferSettings {
    BufferSettings::new(INITIAL_BUFFER_BYTES, YIELD_THRESHOLD_BYTES)
}
