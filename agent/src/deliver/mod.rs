//! Bulk results on their way: a window of chunks that were sent and not yet acknowledged, on a stream of its own,
//! taken up again at the first chunk that is not durable whenever the line was cut.

mod delivery;
mod look;
mod stream;
mod window;

pub use self::delivery::{Compression, DeliveryOptions};
pub(crate) use self::delivery::{Delivery, Item};
