//! The gRPC codec of both services: prost's, with buffers small enough for ten thousand idle sessions.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

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
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(buffers())
    }
}

fn buffers() -> BufferSettings {
    BufferSettings::new(INITIAL_BUFFER_BYTES, YIELD_THRESHOLD_BYTES)
}
