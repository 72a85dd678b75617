//! One delivery, over as many streams as it takes.

use std::time::Duration;

use postern_proto::digest::Digest;
use postern_proto::v1::chunk::Listed;
use postern_runtime::clock::SharedClock;
use postern_runtime::retry::Backoff;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::window::{Gap, Window};
use crate::command::{End, Key};
use crate::encode::Encoded;
use crate::failure::{Class, Failure};
use crate::link::Line;
use crate::served::{SecondLook, Source};

const RETRY_INITIAL: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// Whether chunks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// About a sixth of the bytes, for about a microsecond an entry.
    Zstd,
    /// As they are.
    None,
}

/// Limits of a delivery.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryOptions {
    /// Most chunks sent and not acknowledged.
    pub window_chunks: usize,
    /// About as many bytes sent and not acknowledged; a single chunk may be larger.
    pub window_bytes: usize,
    /// Unset: compressed unless the other end is on this machine.
    pub compression: Option<Compression>,
    /// How long it waits at first before it opens another stream after a cut, doubled with each cut.
    pub retry_initial: Duration,
    /// The longest such wait.
    pub retry_max: Duration,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            window_chunks: 48,
            window_bytes: 8 << 20,
            compression: None,
            retry_initial: RETRY_INITIAL,
            retry_max: RETRY_MAX,
        }
    }
}

/// What the reading end hands over.
#[derive(Debug)]
pub(crate) enum Item {
    /// Where the entries come from, and which attributes the site delivers: before all others, and once.
    Begin(Source, Option<Listed>),
    /// A chunk.
    Chunk(Encoded),
    /// That was all. Without this there is no summary.
    Complete {
        /// Entries that the directory returned besides and that could not be used.
        unusable: u64,
        /// For what did not come.
        second_look: Box<dyn SecondLook>,
    },
}

/// What all chunks add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) chunks: u64,
    pub(super) users: u64,
    pub(super) groups: u64,
    pub(super) unusable: u64,
    pub(super) digest: Digest,
}

/// Why one stream ended before the delivery did.
#[derive(Debug)]
pub(super) enum Break {
    /// The line was cut or the other end is unwell: go on over another stream.
    Cut(String),
    /// The other end cannot read compressed chunks: go on without.
    NoCompression,
    /// There is no going on.
    Over(Box<End>),
}

/// One delivery.
pub(crate) struct Delivery {
    pub(super) key: Key,
    pub(super) listed: Option<Listed>,
    pub(super) line: Line,
    pub(super) options: DeliveryOptions,
    pub(super) clock: SharedClock,
    pub(super) window: Window,
    pub(super) totals: Totals,
    pub(super) complete: bool,
    pub(super) source: Source,
    pub(super) second_look: Option<Box<dyn SecondLook>>,
    /// Entries that were looked for so far.
    pub(super) looked_for: usize,
    pub(super) compress: bool,
    pub(super) backoff: Backoff,
}

impl Delivery {
    pub(crate) fn new(key: Key, line: Line, options: DeliveryOptions, clock: SharedClock) -> Self {
        Self {
            key,
            listed: None,
            line,
            options,
            clock,
            window: Window::new(options.window_chunks, options.window_bytes),
            totals: Totals::default(),
            complete: false,
            source: Source::default(),
            second_look: None,
            looked_for: 0,
            compress: true,
            backoff: Backoff::new(options.retry_initial, options.retry_max),
        }
    }

    /// Delivers everything that `items` yields, and ends well only when the control plane has confirmed that both
    /// hold the same. Returns what is to be said of the second look.
    pub(crate) async fn run(mut self, mut items: mpsc::Receiver<Item>) -> Result<Option<String>, End> {
        // The opening says where the entries come from.
        match items.recv().await {
            Some(item) => self.take(item),
            // The reader is gone without saying that it was done; it ends the import itself.
            None => std::future::pending().await,
        }
        loop {
            let connection = self.line.connection().await;
            match self.stream(&connection, &mut items).await {
                Ok(()) => return Ok(self.second_look.and_then(|look| look.remark())),
                Err(Break::Over(end)) => return Err(*end),
                Err(Break::NoCompression) => {
                    tracing::info!(command = %self.key.id, "delivery.uncompressed");
                    self.compress = false;
                }
                Err(Break::Cut(reason)) => {
                    let delay = self.backoff.next_delay();
                    tracing::info!(
                        command = %self.key.id,
                        error = reason,
                        unacknowledged = self.window.len(),
                        retry_in_ms = delay.as_millis(),
                        "delivery.cut"
                    );
                    metrics::counter!("postern_agent_delivery_cuts_total").increment(1);
                    self.clock.sleep(delay).await;
                }
            }
        }
    }

    pub(super) fn take(&mut self, item: Item) {
        match item {
            Item::Begin(source, listed) => {
                self.listed = listed;
                if let Some(listed) = &mut self.listed {
                    let leaves = |name: &&String| listed.users.contains(name) || listed.groups.contains(name);
                    listed.binary = source.binary_attributes.iter().filter(leaves).cloned().collect();
                    // One that is listed for users and groups.
                    listed.binary.sort_unstable();
                    listed.binary.dedup();
                }
                self.source = source;
            }
            Item::Complete { unusable, second_look } => {
                self.totals.unusable = unusable;
                self.second_look = Some(second_look);
                self.complete = true;
            }
            Item::Chunk(chunk) => {
                self.totals.chunks += 1;
                self.totals.users += chunk.users;
                self.totals.groups += chunk.groups;
                self.totals.digest.add(&chunk.digest);
                self.window.push(chunk.payload);
            }
        }
    }

    pub(super) fn acknowledged(&mut self, through: u64) -> Result<(), Break> {
        let chunks = self.window.acknowledge(through).map_err(|gap| confused(&gap))?;
        if chunks > 0 {
            self.backoff.reset();
        }
        metrics::counter!("postern_agent_chunks_delivered_total").increment(chunks);
        Ok(())
    }
}

impl Break {
    pub(super) fn over(end: End) -> Self {
        Self::Over(Box::new(end))
    }
}

/// The control plane has lost or invented chunks: no going on with this generation.
pub(super) fn confused(error: &Gap) -> Break {
    tracing::error!(%error, "delivery.confused");
    Break::over(End::Failed(Failure::new(Class::Internal, error.to_string()).retryable()))
}
