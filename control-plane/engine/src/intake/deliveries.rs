//! Assigns deliveries to jobs when an agent opens one.

use std::sync::Arc;

use postern_store::{AgentId, DirectoryId, Job, JobId, JobState, OrganizationId, Store};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use super::hold;
use super::notes::Notes;
use super::proof::{Cut, Mismatch};
use super::source::{Origin, Source, Standing};
use crate::jobs::failure::Failure;
use crate::jobs::running::Running;

/// An agent's right to deliver for a job. There is one at a time: a newer one takes over.
#[derive(Debug)]
pub struct AdmittedDelivery {
    /// The import.
    pub job: JobId,
    /// Its generation.
    pub attempt: u32,
    /// The organization of the job.
    pub organization: OrganizationId,
    /// The directory that is read.
    pub directory: DirectoryId,
    /// Where the entries are written: the database, or a copy that is thrown away.
    pub data: Store,
    /// Canceled when the job leaves this replica, or a newer delivery takes over.
    pub ended: CancellationToken,
    _turn: OwnedMutexGuard<()>,
}

/// Why an agent may not deliver.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The job does not need it any more.
    NotWanted,
    /// The job may need it soon: the agent's session has not announced it yet.
    TryAgain,
}

impl Running {
    /// Opens a delivery. Waits until an older one of the same job has ended.
    pub async fn delivery(
        &self,
        agent: AgentId,
        job: JobId,
        attempt: u32,
    ) -> Result<Result<AdmittedDelivery, Refusal>, postern_store::Error> {
        let known = self.table.change(job, attempt, |entry| {
            (entry.is(agent, attempt) && !entry.proven).then(|| {
                // Ends with the job, or earlier with the next delivery.
                let newest = entry.ended.child_token();
                std::mem::replace(&mut entry.newest_delivery, newest.clone()).cancel();
                (newest, Arc::clone(&entry.delivery), entry.job.organization, entry.job.directory)
            })
        });
        let (ended, turn, organization, directory) = match known {
            Some(Some(known)) => known,
            Some(None) => return Ok(Err(Refusal::NotWanted)),
            None => return self.why_unknown(agent, job, attempt).await.map(Err),
        };
        let turn = tokio::select! {
            turn = turn.lock_owned() => turn,
            () = ended.cancelled() => return Ok(Err(Refusal::TryAgain)),
        };
        let Some(data) = self.data_of(job, attempt).await? else { return Ok(Err(Refusal::TryAgain)) };
        Ok(Ok(AdmittedDelivery { job, attempt, organization, directory, data, ended, _turn: turn }))
    }

    async fn why_unknown(&self, agent: AgentId, job: JobId, attempt: u32) -> Result<Refusal, postern_store::Error> {
        let stored = self.store.job_by_id(job).await?;
        let waits = stored.is_some_and(|job| {
            job.state == JobState::Running && !job.proven && job.attempt == attempt && job.agent == Some(agent)
        });
        Ok(if waits { Refusal::TryAgain } else { Refusal::NotWanted })
    }

    /// Counts entries that became durable.
    pub fn stored(&self, job: JobId, attempt: u32, entries: u64) {
        let now = self.clock.now();
        self.table.change(job, attempt, |entry| {
            entry.progress.entries_stored += entries;
            entry.progress.measure(now);
        });
    }

    /// Records that everything was delivered and proven. `false`: this replica no longer owns the job.
    pub async fn proven(&self, job: JobId, attempt: u32, unusable: u64) -> Result<bool, postern_store::Error> {
        // Before the proof: after a kill, the replica that finishes the job must know about unusable entries.
        Notes::change(self, job, attempt, |notes| notes.unusable = unusable);
        self.write_progress_of(job, attempt).await?;
        // Without the copy nobody else could finish it, so the database does not count it as proven.
        let on_copy = self.table.change(job, attempt, |entry| entry.uses_copy) == Some(true);
        if !on_copy && !self.store.mark_proven(&self.lease_of(job, attempt), self.clock.now()).await? {
            return Ok(false);
        }
        self.table.change(job, attempt, |entry| {
            entry.proven = true;
            entry.progress.phase = Some("committing".to_owned());
            entry.progress.dirty = true;
        });
        Ok(true)
    }

    /// The delivery differs from what the agent says that it sent: it changes nothing further, and the import starts
    /// again.
    pub async fn refused(&self, job: JobId, attempt: u32, mismatch: &Mismatch) -> Result<(), postern_store::Error> {
        let Some(job) = self.table.change(job, attempt, |entry| entry.job.clone()) else { return Ok(()) };
        let failure = Failure::new(
            "incomplete",
            format!("The import arrived incomplete or damaged: {mismatch}. Nobody was marked missing."),
            "Start the import again; if it happens again, update agent and control plane to the same release.",
        );
        let next = self.after(&job, &failure.retryable(), false);
        self.follow(&job, next).await
    }

    /// The directory ended a search early and reported success: no account is marked missing, and the import starts
    /// again.
    pub async fn cut(&self, job: JobId, attempt: u32, cut: &Cut) -> Result<(), postern_store::Error> {
        let Some(job) = self.table.change(job, attempt, |entry| entry.job.clone()) else { return Ok(()) };
        let failure = Failure::new(
            "incomplete",
            format!(
                "The directory ended a search before its end and called that a success: {cut}. Nobody was marked missing."
            ),
            "Nothing at once: the import is tried again by itself. If it stays so, look in the directory server's log for \
             what it was doing, such as loading its data anew.",
        );
        let next = self.after(&job, &failure.retryable(), false);
        self.follow(&job, next).await
    }

    /// Keeps the names of binary attributes, for the entries that are applied at the end of the import.
    pub fn keep_binary(&self, job: JobId, attempt: u32, names: Vec<String>) {
        Notes::change(self, job, attempt, |notes| notes.binary = names);
    }

    /// Compares the source of a delivery with the import before. `false`: its server is behind, the delivery is
    /// refused, and the job is tried again later.
    pub async fn comes_from(
        &self,
        job: JobId,
        attempt: u32,
        source: Option<Source>,
    ) -> Result<bool, postern_store::Error> {
        let Some(job) = self.table.change(job, attempt, |entry| entry.job.clone()) else { return Ok(true) };
        let before = self.store.directory_source(job.organization, job.directory).await?;
        let before: Option<Source> = before.and_then(|stored| serde_json::from_value(stored).ok());
        let source = source.unwrap_or_default();
        let standing = match source.standing(before.as_ref()) {
            // The administrator's approval of the server promised that no account is marked missing.
            _ if job.approvals.server_behind => Standing::Unproven,
            standing => standing,
        };
        let differing = source.differing_sections(before.as_ref());
        if standing == Standing::Behind {
            tracing::warn!(job = %job.id, directory = job.directory_name, "intake.server_behind");
            self.is_behind(&job, before.as_ref()).await?;
            return Ok(false);
        }
        if standing == Standing::Unproven {
            tracing::warn!(job = %job.id, directory = job.directory_name, "intake.other_server");
        }
        if !differing.is_empty() {
            let sections = differing.join(", ");
            tracing::warn!(job = %job.id, directory = job.directory_name, sections, "intake.other_configuration");
        }
        let differing = differing.into_iter().map(str::to_owned).collect();
        let origin = Origin { source, unproven: standing == Standing::Unproven, differing };
        Notes::change(self, job.id, attempt, |notes| notes.origin = Some(origin));
        Ok(true)
    }

    /// Tries again later, or holds the job if that is hopeless.
    async fn is_behind(&self, job: &Job, before: Option<&Source>) -> Result<(), postern_store::Error> {
        let on_copy = self.table.change(job.id, job.attempt, |entry| entry.uses_copy) == Some(true);
        if !on_copy
            && before.is_some_and(|before| before.is_long_ago(self.clock.now()))
            && self.hold(job, &hold::of_server_behind().to_json()).await?
        {
            return Ok(());
        }
        let next = self.after(job, &behind_server().retryable(), false);
        self.follow(job, next).await
    }
}

fn behind_server() -> Failure {
    Failure::new(
        "behind",
        "The directory server that the agent reached is behind the one of the last import: it lacks changes that are \
         known. Nothing was taken from it, and nobody was marked missing.",
        "Nothing at once: the import is tried again, and works once the server has caught up. If it stays so, look at the \
         replication of the directory servers, or put the server that is up to date first in urls. If the server was \
         restored from a backup, start an import four hours after the last one: it is held, and approving it accepts the server.",
    )
}
