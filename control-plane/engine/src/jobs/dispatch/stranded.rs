//! Jobs whose agent has no session here any more: they wait for it, or continue where there is an agent.

use std::time::Duration;

use jiff::Timestamp;
use postern_store::{Job, JobId};

use super::{Dispatcher, Result};

/// How long a job waits for its agent to return if another agent could run it …
pub(super) const ABSENCE_REPLACEABLE: Duration = Duration::from_secs(1);
/// … and if none could.
const ABSENCE: Duration = Duration::from_mins(1);

const ABSENT: &str = "The connection to the agent was lost and did not come back. The job starts again.";
const ELSEWHERE: &str = "The agent came back to another replica without the job. The job starts again.";
const REPLACED: &str =
    "The connection to the agent was lost. Another agent that serves the directory takes the job up.";

impl Dispatcher {
    /// Hands back jobs that need not wait for their agent, or have waited long enough.
    pub(super) async fn look_after_stranded(&self, now: Timestamp) -> Result<()> {
        let absent: Vec<(Job, Duration)> = self
            .running
            .table
            .lock()
            .values()
            .filter(|entry| !entry.proven)
            .filter_map(|entry| Some((entry.job.clone(), since(entry.orphaned_at?, now))))
            .filter(|(_, absent)| *absent >= ABSENCE_REPLACEABLE)
            .collect();
        if absent.is_empty() {
            return Ok(());
        }
        let jobs: Vec<JobId> = absent.iter().map(|(job, _)| job.id).collect();
        let stranded = self.store.stranded_jobs(self.running.owner, &jobs, now).await?;
        for (job, absent) in absent {
            let message = match stranded.get(&job.id) {
                None => {
                    self.lost(job.id, job.attempt).await?;
                    continue;
                }
                Some(stranded) if stranded.agent_is_elsewhere => ELSEWHERE,
                Some(stranded) if stranded.has_another => REPLACED,
                Some(_) if absent > ABSENCE => ABSENT,
                Some(_) => continue,
            };
            let still = self.running.table.change(job.id, job.attempt, |entry| entry.orphaned_at.is_some());
            if still == Some(true) {
                self.running.hand_back(&job, message, now).await?;
            }
        }
        Ok(())
    }

    /// A job no longer belongs to this replica. Logs why, unless that was logged.
    pub(super) async fn lost(&self, id: JobId, attempt: u32) -> Result<()> {
        let job = self.store.job_by_id(id).await?;
        let over = job.is_none_or(|job| job.state.is_final() && job.attempt == attempt);
        let Some(entry) = self.running.table.remove(id, attempt) else { return Ok(()) };
        if over {
            // This attempt has ended, which was logged.
            tracing::debug!(job = %id, attempt, "jobs.over");
        } else if entry.orphaned_at.is_some() {
            tracing::info!(job = %id, attempt, "jobs.moved");
        } else {
            tracing::warn!(job = %id, attempt, "jobs.lease_lost");
        }
        Ok(())
    }
}

pub(super) fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(earlier)).unwrap_or_default()
}
