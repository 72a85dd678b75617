//! Reads all users and groups of a directory and delivers them. Reading, encoding and sending overlap: the directory
//! reads ahead by a page or two, the encoder by a chunk or two, the delivery by its window; more is never in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use postern_proto::{CHUNK_ENTRIES, limits, v1};
use tokio::sync::mpsc;

use super::kind::{Kind, Run, Work};
use crate::command::{End, Progress};
use crate::deliver::{Delivery, Item};
use crate::encode::Encoder;
use crate::failure::Failure;
use crate::served::{Digests, Page, Phase, Unusable};

/// Encoded chunks that may wait for room in the delivery's window.
const CHUNKS_AHEAD: usize = 2;
/// Unusable entries that are reported by name.
const MAX_SAMPLES: usize = 20;

/// Reads and delivers everything.
#[derive(Debug)]
pub(super) struct Import;

impl Kind for Import {
    fn name(&self) -> &'static str {
        "import"
    }

    fn read(&self, asked: &v1::command::Kind) -> Option<Result<Arc<dyn Run>, Failure>> {
        let v1::command::Kind::Import(v1::Import { chunk_entries }) = asked else { return None };
        Some(Ok(Arc::new(Whole { chunk_entries: self::chunk_entries(*chunk_entries) })))
    }
}

fn chunk_entries(asked: u32) -> usize {
    let entries = if asked == 0 { CHUNK_ENTRIES } else { asked };
    usize::try_from(entries).unwrap_or(usize::MAX).min(limits::MAX_CHUNK_ENTRIES)
}

/// An import of a whole directory.
#[derive(Debug)]
struct Whole {
    /// Most entries in one chunk.
    chunk_entries: usize,
}

impl Run for Whole {
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, End> {
        Box::pin(async {
            let _turn = work.turns.take(|| work.context.policy.load().imports_at_once).await;
            import(work, self.chunk_entries).await
        })
    }
}

async fn import(work: &Work, chunk_entries: usize) -> End {
    let context = &work.context;
    let (chunks, waiting) = mpsc::channel(CHUNKS_AHEAD);
    let delivery = Delivery::new(work.key, context.line.clone(), context.delivery, context.clock.clone());
    let reading = async { read(work, chunk_entries, chunks).await.map_err(End::Failed) };
    match tokio::try_join!(reading, delivery.run(waiting)) {
        Ok((mut result, remark)) => {
            result.remarks += u64::from(remark.is_some());
            // Before those of single entries, of which there may be more than are kept.
            result.remark_samples.splice(0..0, remark);
            End::Answered(v1::outcome::Result::Import(result))
        }
        Err(end) => end,
    }
}

/// Reads to the end. Only then does it say so: a reader that fails leaves the delivery without a summary, and
/// without a summary nothing is concluded from what is missing.
async fn read(work: &Work, chunk_entries: usize, chunks: mpsc::Sender<Item>) -> Result<v1::ImportResult, Failure> {
    let mut pages = work.directory.enumerate(work.cancel.child_token());
    let source = pages.source().await;
    work.context.roster.read_by(&work.directory, Digests::of(&source));
    // What a configuration leaves open is known now.
    let listed = work.policy.listed(&*work.directory);
    send(&chunks, Item::Begin(source, listed)).await;
    let mut encoder = Encoder::new(work.directory.member_form(), chunk_entries);
    let (mut result, mut hidden) = (v1::ImportResult::default(), BTreeSet::new());
    while let Some(page) = pages.next().await {
        let mut page = page?;
        note_unknown_switches(&mut result, &mut hidden, &mut page);
        let Page { phase, entries, mut unusable, referrals, remarks, .. } = page;
        for entry in entries {
            match encoder.add(phase, entry, &work.policy) {
                Ok(full) => {
                    count(&mut result, phase);
                    if let Some(chunk) = full {
                        send(&chunks, Item::Chunk(chunk)).await;
                    }
                }
                Err(too_large) => unusable.push(too_large),
            }
        }
        result.pages += 1;
        result.referrals += referrals;
        note(&mut result, unusable);
        remark(&mut result, remarks);
        (work.report)(Progress { entries: result.users + result.groups, pages: result.pages, phase });
    }
    if let Some(chunk) = encoder.finish() {
        send(&chunks, Item::Chunk(chunk)).await;
    }
    result.unreadable_switch = Vec::from_iter(hidden).join(" and ");
    let left_out = encoder.left_out();
    (result.values_left_out, result.left_out_samples) = (left_out.values, left_out.samples.clone());
    send(&chunks, Item::Complete { unusable: result.unusable, second_look: pages.second_look() }).await;
    Ok(result)
}

/// Waits for room. A delivery that is gone has ended the whole import with its own reason, and this with it.
async fn send(chunks: &mpsc::Sender<Item>, item: Item) {
    if chunks.send(item).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn count(result: &mut v1::ImportResult, phase: Phase) {
    match phase {
        Phase::Users => result.users += 1,
        Phase::Groups => result.groups += 1,
    }
}

/// Counts the users of a page whose switch is unknown, names some of them, and adds the attributes that are hidden.
fn note_unknown_switches(result: &mut v1::ImportResult, hidden: &mut BTreeSet<&'static str>, page: &mut Page) {
    result.unknown_switches += page.unknown_switches;
    hidden.append(&mut page.unreadable);
    let room = MAX_SAMPLES.saturating_sub(result.unknown_switch_samples.len());
    result.unknown_switch_samples.extend(page.unknown_samples.drain(..).take(room));
}

fn remark(result: &mut v1::ImportResult, remarks: Vec<Unusable>) {
    result.remarks += u64::try_from(remarks.len()).unwrap_or(u64::MAX);
    let room = MAX_SAMPLES.saturating_sub(result.remark_samples.len());
    result.remark_samples.extend(remarks.into_iter().take(room).map(|entry| format!("{}: {}", entry.dn, entry.reason)));
}

fn note(result: &mut v1::ImportResult, unusable: Vec<Unusable>) {
    result.unusable += u64::try_from(unusable.len()).unwrap_or(u64::MAX);
    let room = MAX_SAMPLES.saturating_sub(result.unusable_samples.len());
    let samples = unusable.into_iter().take(room).map(|entry| format!("{}: {}", entry.dn, entry.reason));
    result.unusable_samples.extend(samples);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hidden_attribute_is_named_with_some_of_the_users() {
        let (mut result, mut hidden) = (v1::ImportResult::default(), BTreeSet::new());
        for attribute in ["userAccountControl", "accountExpires", "userAccountControl"] {
            let mut page = Page::new(Phase::Users);
            (0..15).for_each(|number| page.note_unknown_switch(&format!("cn={number}"), attribute));
            note_unknown_switches(&mut result, &mut hidden, &mut page);
        }
        assert_eq!((result.unknown_switches, result.unknown_switch_samples.len()), (45, MAX_SAMPLES));
        assert_eq!(result.unknown_switch_samples[0], "cn=0: userAccountControl");
        assert_eq!(Vec::from_iter(hidden), ["accountExpires", "userAccountControl"]);
    }

    #[test]
    fn the_size_of_chunks_has_a_default_and_a_limit() {
        assert_eq!([0, 7, u32::MAX].map(chunk_entries), [500, 7, 10_000]);
    }
}
