//! Reads all users and groups of a directory and delivers them. Reading, encoding and sending overlap: the directory
//! reads ahead by a page or two, the encoder by a chunk or two, the delivery by its window; more is never in memory.

use tokio::sync::mpsc;

use super::Work;
use super::outcome::{Answer, End, Failure, Imported, Progress};
use crate::deliver::{Delivery, Item};
use crate::encode::Encoder;
use crate::served::{Digests, Page, Phase, Unusable};

/// Encoded chunks that may wait for room in the delivery's window.
const CHUNKS_AHEAD: usize = 2;
/// Unusable entries that are told by name.
const MAX_SAMPLES: usize = 20;

pub(super) async fn run(work: &Work, chunk_entries: usize) -> End {
    let context = work.context();
    let (chunks, waiting) = mpsc::channel(CHUNKS_AHEAD);
    let delivery = Delivery::new(work.key, context.line.clone(), context.delivery, context.clock.clone());
    let delivery = delivery.listing(work.policy.listed(&*work.directory));
    let reading = async { read(work, chunk_entries, chunks).await.map_err(End::Failed) };
    match tokio::try_join!(reading, delivery.run(waiting)) {
        Ok((mut imported, said)) => {
            imported.remarks += u64::from(said.is_some());
            // Before those of single entries, of which there may be more than are kept.
            imported.remark_samples.splice(0..0, said);
            End::Answered(Answer::Import(imported))
        }
        Err(end) => end,
    }
}

/// Reads to the end. Only then does it say so: a reader that fails leaves the delivery without a summary, and
/// without a summary nothing is concluded from what is missing.
async fn read(work: &Work, chunk_entries: usize, chunks: mpsc::Sender<Item>) -> Result<Imported, Failure> {
    let mut pages = work.directory.enumerate(work.cancel.child_token());
    let source = pages.source().await;
    work.context().roster.read_by(&work.directory, Digests::of(&source));
    send(&chunks, Item::Begin(source)).await;
    let mut encoder = Encoder::new(work.directory.member_form(), chunk_entries);
    let mut imported = Imported::default();
    while let Some(page) = pages.next().await {
        let Page { phase, records, mut unusable, referrals, unknown_switches, unreadable, remarks } = page?;
        for record in records {
            match encoder.add(phase, record, &work.policy) {
                Ok(full) => {
                    imported.count(phase);
                    if let Some(chunk) = full {
                        send(&chunks, Item::Chunk(chunk)).await;
                    }
                }
                Err(too_large) => unusable.push(too_large),
            }
        }
        imported.pages += 1;
        imported.referrals += referrals;
        imported.unknown_switches += unknown_switches;
        imported.unreadable = imported.unreadable.or(unreadable);
        note(&mut imported, unusable);
        remark(&mut imported, remarks);
        work.report(Progress { entries: imported.users + imported.groups, pages: imported.pages, phase });
    }
    if let Some(chunk) = encoder.finish() {
        send(&chunks, Item::Chunk(chunk)).await;
    }
    imported.left_out.clone_from(encoder.left_out());
    send(&chunks, Item::Complete { unusable: imported.unusable, second_look: pages.second_look() }).await;
    Ok(imported)
}

/// Waits for room. A delivery that is gone has ended the whole import with its own reason, and this with it.
async fn send(chunks: &mpsc::Sender<Item>, item: Item) {
    if chunks.send(item).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Imported {
    fn count(&mut self, phase: Phase) {
        match phase {
            Phase::Users => self.users += 1,
            Phase::Groups => self.groups += 1,
        }
    }
}

fn remark(imported: &mut Imported, remarks: Vec<Unusable>) {
    imported.remarks += u64::try_from(remarks.len()).unwrap_or(u64::MAX);
    let room = MAX_SAMPLES.saturating_sub(imported.remark_samples.len());
    imported
        .remark_samples
        .extend(remarks.into_iter().take(room).map(|entry| format!("{}: {}", entry.dn, entry.reason)));
}

fn note(imported: &mut Imported, unusable: Vec<Unusable>) {
    imported.unusable += u64::try_from(unusable.len()).unwrap_or(u64::MAX);
    let room = MAX_SAMPLES.saturating_sub(imported.unusable_samples.len());
    let samples = unusable.into_iter().take(room).map(|entry| format!("{}: {}", entry.dn, entry.reason));
    imported.unusable_samples.extend(samples);
}
