//! The guard between a server and the `ldap3` crate. It reads the server's bytes, refuses what no LDAP server sends
//! (oversized, too deeply nested, cut inside), keeps the search entries for us, undecoded and without a copy, and hands
//! only the small rest (results of operations) to `ldap3`.
//!
//! This closes what `ldap3` leaves open: its decoder recurses and waits without a bound, copies every entry twice, and
//! queues entries without a limit. Here a full channel stops the reading, and TCP slows the server.

use std::io;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::raw_entry::SEARCH_RESULT_ENTRY;
use crate::transport::Wire;
use postern_dn::ber::{self, Malformed, Reader};

/// `SearchResultReference` (RFC 4511 §4.5.2).
pub(crate) const SEARCH_RESULT_REFERENCE: u8 = 0x73;

const EXTENDED_RESPONSE: u8 = 0x78;
const INTERMEDIATE_RESPONSE: u8 = 0x79;

/// A group of half a million members fits.
const MAX_ENTRY_BYTES: usize = 128 * 1024 * 1024;

/// Results are small; an extended response may carry a little more.
const MAX_RESULT_BYTES: usize = 1024 * 1024;

/// An LDAP result with controls is nested six deep.
const MAX_NESTING: usize = 16;

/// The memory that reads go to, a few TLS records at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// No read asks for less than one TLS record.
const LEAST_READ_BYTES: usize = 16 * 1024;

/// How many reads' worth of entries may wait: a bound on memory, and enough for reading and decoding to overlap.
pub(crate) const WAITING_BATCHES: usize = 4;

/// Search entries and references that arrived together, each a whole `LDAPMessage`.
pub(crate) type Batch = Vec<Bytes>;

/// Why the guard closed the connection.
#[derive(Debug, Error)]
pub(crate) enum GuardError {
    #[error("the connection failed")]
    Io(#[source] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server announced that it disconnects, with result code {code}")]
    Disconnected { code: u32 },
    #[error("the server sent invalid LDAP")]
    Malformed(#[source] Malformed),
}

/// Moves bytes between the server and `ldap3` until either side is done.
pub(crate) async fn run(
    server: Box<dyn Wire>,
    local: impl AsyncRead + AsyncWrite,
    entries: mpsc::Sender<Batch>,
) -> Result<(), GuardError> {
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let (mut from_local, mut to_local) = tokio::io::split(local);
    let mut incoming = BytesMut::with_capacity(BLOCK_BYTES);
    let mut outgoing = BytesMut::with_capacity(4 * 1024);
    let mut sorted = Sorted::default();
    loop {
        tokio::select! {
            read = from_server.read_buf(&mut incoming) => {
                if read.map_err(GuardError::Io)? == 0 {
                    return Err(GuardError::Closed);
                }
                sorted.take_from(&mut incoming).map_err(GuardError::Malformed)?;
                // Entries first: when `ldap3` reports the search's end, all of them are in the channel.
                if !sorted.entries.is_empty() && entries.send(std::mem::take(&mut sorted.entries)).await.is_err() {
                    return Ok(());
                }
                if !sorted.results.is_empty() {
                    to_local.write_all(&sorted.results).await.map_err(GuardError::Io)?;
                    sorted.results.clear();
                }
                if let Some(code) = sorted.disconnected {
                    return Err(GuardError::Disconnected { code });
                }
                // Values share these blocks: each is filled before the next is taken.
                if incoming.capacity() - incoming.len() < LEAST_READ_BYTES {
                    incoming.reserve(LEAST_READ_BYTES);
                }
            }
            read = from_local.read_buf(&mut outgoing) => {
                if !matches!(read, Ok(count) if count > 0) {
                    // `ldap3` let go: its last handle is dropped.
                    let _ = to_server.shutdown().await;
                    return Ok(());
                }
                to_server.write_all_buf(&mut outgoing).await.map_err(GuardError::Io)?;
                to_server.flush().await.map_err(GuardError::Io)?;
            }
        }
    }
}

/// Messages of one read, by where they go.
#[derive(Default)]
struct Sorted {
    entries: Batch,
    results: Vec<u8>,
    disconnected: Option<u32>,
}

impl Sorted {
    /// Takes the whole messages off the front of `incoming`.
    fn take_from(&mut self, incoming: &mut BytesMut) -> Result<(), Malformed> {
        while let Some(header) = ber::header(incoming)? {
            if header.tag != ber::SEQUENCE {
                return Err(Malformed("a message that is not a sequence"));
            }
            if header.total() > MAX_ENTRY_BYTES {
                return Err(Malformed("a message beyond 128 MiB"));
            }
            if incoming.len() < header.total() {
                break;
            }
            let message = incoming.split_to(header.total()).freeze();
            let (id, operation) = envelope(&message)?;
            match operation {
                SEARCH_RESULT_ENTRY | SEARCH_RESULT_REFERENCE => self.entries.push(message),
                // No search of ours asks for them, and `ldap3` takes them for entries.
                INTERMEDIATE_RESPONSE => {}
                EXTENDED_RESPONSE if id == 0 => self.disconnected = Some(disconnection_code(&message).unwrap_or(52)),
                _ => self.take_result(&message)?,
            }
        }
        Ok(())
    }

    fn take_result(&mut self, message: &Bytes) -> Result<(), Malformed> {
        if message.len() > MAX_RESULT_BYTES {
            return Err(Malformed("a result beyond 1 MiB"));
        }
        ber::check_nesting(message, MAX_NESTING)?;
        self.results.extend_from_slice(message);
        Ok(())
    }
}

/// Message id and operation of an `LDAPMessage`.
fn envelope(message: &[u8]) -> Result<(i64, u8), Malformed> {
    let mut outer = Reader::new(message);
    let mut parts = Reader::new(outer.require(ber::SEQUENCE)?);
    let id = ber::integer(parts.require(ber::INTEGER)?)?;
    let operation = parts.next_element()?.ok_or(Malformed("a message without an operation"))?;
    Ok((id, operation.tag))
}

/// The result code of a notice of disconnection (RFC 4511 §4.4.1).
fn disconnection_code(message: &[u8]) -> Option<u32> {
    let mut outer = Reader::new(message);
    let mut parts = Reader::new(outer.require(ber::SEQUENCE).ok()?);
    parts.require(ber::INTEGER).ok()?;
    let mut response = Reader::new(parts.require(EXTENDED_RESPONSE).ok()?);
    u32::try_from(ber::integer(response.require(ber::ENUMERATED).ok()?).ok()?).ok()
}

/// The entries in a stream, as the fuzzer wants them.
pub(crate) fn sort_for_fuzzing(stream: &mut BytesMut) -> Batch {
    let mut sorted = Sorted::default();
    let _ = sorted.take_from(stream);
    sorted.entries
}

/// Whether this is a continuation reference, which is counted and not chased.
pub(crate) fn is_reference(message: &Bytes) -> bool {
    envelope(message).is_ok_and(|(_, operation)| operation == SEARCH_RESULT_REFERENCE)
}

#[cfg(test)]
mod tests;
