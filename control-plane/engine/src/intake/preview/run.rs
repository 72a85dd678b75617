//! Runs the end of an import on a copy, and records what it changed there.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;
use postern_store::{AccountKind, Job, JobId, MemberChanges, PreviewRow, WorkingCopy};

use super::result::{Counts, MOST_ROWS};
use super::row::Row;
use crate::intake::commit::{Data, End, conclude};
use crate::intake::hold::Hold;
use crate::intake::result::ImportResult;
use crate::jobs::failure::Failure;
use crate::jobs::running::Running;
use crate::jobs::running::copies::Copy;

/// Names of members that come or leave, of each group.
const MEMBERS: u32 = 5;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// A row by the number of its account, or of its user if it has none.
type Key = (bool, i64);

/// The rows of what is done without an approval, as hashes: a million rows take a few dozen megabytes.
#[derive(Default)]
struct AtOnce {
    hashes: HashMap<Key, u64, RandomState>,
    hasher: RandomState,
}

impl AtOnce {
    fn hash(&self, row: &Row) -> u64 {
        self.hasher.hash_one(row.stored().content.to_string())
    }

    fn note(&mut self, key: Key, row: &Row) {
        let hash = self.hash(row);
        self.hashes.insert(key, hash);
    }

    /// Whether the same is done without an approval.
    fn has(&self, key: Key, row: &Row) -> bool {
        self.hashes.get(&key) == Some(&self.hash(row))
    }
}

/// Finishes a preview whose entries are all in its copy.
pub async fn run(running: &Arc<Running>, job: JobId, attempt: u32) -> Result<()> {
    let known = running.table.change(job, attempt, |entry| (entry.job.clone(), entry.copy.clone()));
    let Some((claimed, Some(copy))) = known else { return Ok(()) };
    let preview = Preview { running, copy, masked: masked(running, &claimed).await?, job: claimed };
    let Some((import, hold, at_once)) = Box::pin(preview.conclude()).await? else { return Ok(()) };
    let mut written = Written { preview: &preview, batch: Vec::new(), from: 0, counts: Counts::default() };
    preview.data().compare_members().await?;
    let mut rows = preview.rows();
    while let Some(page) = rows.next().await? {
        for (key, row) in page {
            written.take(key, row, at_once.as_ref());
        }
        if !written.flush().await? {
            return preview.stopped().await;
        }
    }
    if !written.flush().await? {
        return preview.stopped().await;
    }
    let result = written.counts.result(import, hold);
    running.succeed(job, attempt, serde_json::to_value(result).unwrap_or_default()).await
}

/// The attributes whose values are not shown.
async fn masked(running: &Running, job: &Job) -> Result<HashSet<String>> {
    let defined = running.store.attribute_definitions(job.organization).await?;
    Ok(defined.into_iter().filter(|defined| defined.sensitive).map(|defined| defined.name).collect())
}

struct Preview<'p> {
    running: &'p Arc<Running>,
    job: Job,
    copy: Arc<Copy>,
    masked: HashSet<String>,
}

impl Preview<'_> {
    fn data(&self) -> &WorkingCopy {
        &self.copy.data
    }

    /// After rows were not written: the job was canceled, or another replica has it.
    async fn stopped(&self) -> Result<()> {
        let Job { id, attempt, .. } = self.job;
        if self.running.store.job_by_id(id).await?.is_some_and(|job| job.cancel_requested) {
            return self.running.cancel_now(id, attempt).await;
        }
        self.running.table.remove(id, attempt);
        Ok(())
    }

    /// Ends the import on the copy. If it is held, notes what it did without an approval, and approves it. `None`: the
    /// job has ended or left.
    async fn conclude(&self) -> Result<Option<(ImportResult, Option<Hold>, Option<AtOnce>)>> {
        let data = Data { store: self.data().store(), is_copy: true };
        let hold = match conclude(self.running, data, &self.job).await? {
            End::Done(result, _) => return Ok(Some((*result, None, None))),
            End::Over => return Ok(None),
            End::Held(hold) => *hold,
        };
        let mut at_once = AtOnce::default();
        self.data().compare_members().await?;
        let mut rows = self.rows();
        while let Some(page) = rows.next().await? {
            for (key, row) in page {
                at_once.note(key, &row);
            }
        }
        let mut approved = self.job.clone();
        approved.approvals.changes = true;
        match conclude(self.running, data, &approved).await? {
            End::Done(result, _) => Ok(Some((*result, Some(hold), Some(at_once)))),
            End::Over => Ok(None),
            End::Held(_) => {
                let failure = Failure::unexpected().to_json();
                self.running.fail(self.job.id, self.job.attempt, failure).await.map(|()| None)
            }
        }
    }

    /// All rows, page by page.
    fn rows(&self) -> Rows<'_> {
        Rows { data: self.data(), masked: &self.masked, of: Of::Users, after: 0 }
    }
}

/// Which rows come next.
#[derive(Clone, Copy)]
enum Of {
    Users,
    Groups,
    WithoutAccount,
    Nobody,
}

/// The rows, from here on.
struct Rows<'r> {
    data: &'r WorkingCopy,
    masked: &'r HashSet<String>,
    of: Of,
    after: i64,
}

impl Rows<'_> {
    /// The next rows. `None`: there are no more.
    async fn next(&mut self) -> Result<Option<Vec<(Key, Row)>>> {
        loop {
            let (page, next) = match self.of {
                Of::Users => (self.accounts(AccountKind::User).await?, Of::Groups),
                Of::Groups => (self.accounts(AccountKind::Group).await?, Of::WithoutAccount),
                Of::WithoutAccount => (self.without_account().await?, Of::Nobody),
                Of::Nobody => return Ok(None),
            };
            if let Some(rows) = page {
                return Ok(Some(rows));
            }
            (self.of, self.after) = (next, 0);
        }
    }

    async fn accounts(&mut self, kind: AccountKind) -> Result<Option<Vec<(Key, Row)>>> {
        let page = self.data.changed_accounts(kind, self.after).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = last.seq;
        let mut rows = Vec::with_capacity(page.len());
        for account in page {
            let members = match &account.group {
                Some(group) => self.data.member_changes(group.id, MEMBERS).await?,
                None => MemberChanges::default(),
            };
            rows.extend(Row::of_account(&account, members, self.masked).map(|row| ((true, account.seq), row)));
        }
        Ok(Some(rows))
    }

    async fn without_account(&mut self) -> Result<Option<Vec<(Key, Row)>>> {
        let page = self.data.changed_without_account(self.after).await?;
        let Some((last, ..)) = page.last() else { return Ok(None) };
        self.after = *last;
        let row = |(seq, now, before): &(i64, _, Option<_>)| {
            Row::without_account(now, before.as_ref(), self.masked).map(|row| ((false, *seq), row))
        };
        Ok(Some(page.iter().filter_map(row).collect()))
    }
}

/// Writes rows, a page at a time, and counts them.
struct Written<'w> {
    preview: &'w Preview<'w>,
    batch: Vec<PreviewRow>,
    /// Rows that are written already.
    from: u64,
    counts: Counts,
}

impl Written<'_> {
    /// Takes a row.
    fn take(&mut self, key: Key, row: Row, at_once: Option<&AtOnce>) {
        let waits = at_once.is_some_and(|at_once| !at_once.has(key, &row));
        let row = Row { waits, ..row };
        self.counts.add(&row);
        if self.counts.rows() <= MOST_ROWS {
            self.batch.push(row.stored());
        }
    }

    /// Writes what was taken. `false`: the job may not write any more.
    async fn flush(&mut self) -> Result<bool> {
        let Preview { running, job, .. } = self.preview;
        let batch = std::mem::take(&mut self.batch);
        let count = batch.len() as u64;
        let lease = running.lease_of(job.id, job.attempt);
        let written = running.store.write_preview(job.organization, &lease, self.from, batch).await?;
        self.from += count;
        Ok(written)
    }
}
