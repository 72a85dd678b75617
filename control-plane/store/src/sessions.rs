//! Which replica holds each agent's session, and which replicas are alive.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{AgentId, JobId, ReplicaId};
use crate::records::{ClosedSession, NewSession, Session, Stranded, live_since};
use crate::sql::{Row, sql};
use crate::transaction::Tx;
use crate::wake::Wake;

/// Processes of one agent that are remembered as replaced.
const REMEMBERED: usize = 4;

/// The columns that [`read`] reads, of `sessions s` and `replicas r`.
macro_rules! session_columns {
    () => {
        "s.replica_id, s.session_id, s.instance, s.replaced, s.connected_at, r.seen_at"
    };
}
pub(crate) use session_columns;

/// Reads a session from an outer join; `None` if no replica holds one.
pub(crate) fn read(row: &mut Row) -> Result<Option<Session>> {
    let replica: Option<ReplicaId> = row.take()?;
    let id: Option<Uuid> = row.take()?;
    let instance: Option<String> = row.take()?;
    let replaced: Option<serde_json::Value> = row.take()?;
    let connected_at: Option<Timestamp> = row.take()?;
    let seen_at: Option<Timestamp> = row.take()?;
    let (Some(replica), Some(id), Some(connected_at)) = (replica, id, connected_at) else { return Ok(None) };
    let replaced = serde_json::from_value(replaced.unwrap_or_default());
    let replaced = replaced.map_err(|error| Error::corrupt(format!("replaced processes: {error}")))?;
    let seen_at = seen_at.unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(Session { replica, id, instance, replaced, connected_at, seen_at }))
}

impl Store {
    /// Records that a replica is alive. `true`: it is new, or was taken for dead and forgotten.
    pub async fn record_replica(&self, replica: ReplicaId, now: Timestamp) -> Result<bool> {
        let update = sql("UPDATE replicas SET seen_at = $1 WHERE id = $2").bind(now).bind(replica);
        if self.database.execute(update).await? > 0 {
            return Ok(false);
        }
        let insert = sql("INSERT INTO replicas (id, seen_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING");
        self.database.execute(insert.bind(replica).bind(now)).await.map(|_| true)
    }

    /// Deletes replicas whose last sign of life is older than this, which is when their agents were last seen. Returns
    /// how many.
    pub async fn forget_replicas(&self, seen_before: Timestamp) -> Result<u64> {
        let mut tx = self.database.begin().await?;
        let stale = sql("SELECT id, seen_at FROM replicas WHERE seen_at < $1 ORDER BY id").bind(seen_before);
        let stale: Vec<(ReplicaId, Timestamp)> = tx.rows(stale, |mut row| Ok((row.take()?, row.take()?))).await?;
        let mut forgotten = 0;
        for (replica, seen_at) in stale {
            // It may have given a sign of life since it was read.
            let forget = sql("DELETE FROM replicas WHERE id = $1 AND seen_at < $2").bind(replica).bind(seen_before);
            if tx.execute(forget).await? == 0 {
                continue;
            }
            forget_sessions(&mut tx, replica, seen_at).await?;
            forgotten += 1;
        }
        if forgotten == 0 {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
        }
        Ok(forgotten)
    }

    /// Deletes a replica that stops, with its remaining sessions, whose agents were last seen now.
    pub async fn forget_replica(&self, replica: ReplicaId, now: Timestamp) -> Result<()> {
        let mut tx = self.database.begin().await?;
        tx.execute(sql("DELETE FROM replicas WHERE id = $1").bind(replica)).await?;
        forget_sessions(&mut tx, replica, now).await?;
        tx.commit().await
    }

    /// The recorded sessions of a replica.
    pub async fn sessions_of_replica(&self, replica: ReplicaId) -> Result<Vec<(AgentId, Uuid)>> {
        let query = sql("SELECT agent_id, session_id FROM sessions WHERE replica_id = $1").bind(replica);
        self.database.rows(query, |mut row| Ok((row.take()?, row.take()?))).await
    }

    /// Records sessions that a replica has opened, each in place of the agent's earlier session. Wakes a replica that
    /// held one of those.
    pub async fn open_sessions(&self, replica: ReplicaId, mut opened: Vec<NewSession>) -> Result<()> {
        if opened.is_empty() {
            return Ok(());
        }
        // Always in this order, so that two replicas do not deadlock.
        opened.sort_unstable_by_key(|session| session.agent);
        opened.dedup_by_key(|session| session.agent);
        let mut tx = self.database.begin().await?;
        let before = before(&mut tx, &opened).await?;
        let mut replaced = Vec::with_capacity(opened.len());
        for session in &opened {
            let before = before.get(&session.agent);
            if before.is_some_and(|before| before.replica != replica) {
                tx.wake(Wake::SessionMoved(session.agent));
            }
            replaced.push(serde_json::json!(gave_way(before, session.instance.as_ref())).to_string());
        }
        let insert = Bulk::new(
            "WITH v(agent, organization, session, instance, replaced, connected) AS ({rows}) \
             INSERT INTO sessions (agent_id, organization_id, replica_id, session_id, instance, replaced, connected_at) \
             SELECT v.agent, v.organization, :1, v.session, v.instance, v.replaced, v.connected FROM v WHERE TRUE \
             ON CONFLICT (agent_id) DO UPDATE SET replica_id = excluded.replica_id, session_id = excluded.session_id, \
             instance = excluded.instance, replaced = excluded.replaced, connected_at = excluded.connected_at",
        )
        .column(Cells::Uuids(opened.iter().map(|session| session.agent.as_uuid()).collect()))
        .column(Cells::Uuids(opened.iter().map(|session| session.organization.as_uuid()).collect()))
        .column(Cells::Uuids(opened.iter().map(|session| session.id).collect()))
        .column(Cells::MaybeTexts(opened.iter().map(|session| session.instance.clone()).collect()))
        .column(Cells::Texts(replaced))
        .column(Cells::Ints(opened.iter().map(|session| session.connected_at.as_millisecond()).collect()))
        .shared(replica);
        tx.bulk(insert).await?;
        tx.commit().await
    }

    /// Records sessions that have ended, and when each agent was last seen. A newer session of the agent stays.
    pub async fn close_sessions(&self, mut closed: Vec<ClosedSession>) -> Result<()> {
        if closed.is_empty() {
            return Ok(());
        }
        closed.sort_unstable_by_key(|session| session.agent);
        let agents = || Cells::Uuids(closed.iter().map(|session| session.agent.as_uuid()).collect());
        let mut tx = self.database.begin().await?;
        let delete = Bulk::new("DELETE FROM sessions WHERE session_id {in}")
            .column(Cells::Uuids(closed.iter().map(|session| session.id).collect()));
        let seen = Bulk::new(
            "WITH v(agent, seen, error) AS ({rows}) {update} agents SET last_seen_at = v.seen, \
             last_error = COALESCE(v.error, agents.last_error), \
             last_error_at = CASE WHEN v.error IS NULL THEN agents.last_error_at ELSE v.seen END FROM v \
             WHERE agents.id = v.agent AND (agents.last_seen_at IS NULL OR agents.last_seen_at < v.seen)",
        )
        .column(agents())
        .column(Cells::Ints(closed.iter().map(|session| session.closed_at.as_millisecond()).collect()))
        .column(Cells::MaybeTexts(closed.iter().map(|session| session.error.clone()).collect()));
        tx.bulk(delete).await?;
        tx.bulk(seen).await?;
        tx.commit().await
    }

    /// The newest sessions of these agents, at any replica.
    pub async fn sessions_of(&self, agents: &[AgentId]) -> Result<HashMap<AgentId, Session>> {
        let query = Bulk::new(concat!(
            "WITH v(id) AS ({rows}) SELECT s.agent_id, ",
            session_columns!(),
            " FROM v JOIN sessions s ON s.agent_id = v.id LEFT JOIN replicas r ON r.id = s.replica_id"
        ))
        .column(Cells::Uuids(agents.iter().map(|agent| agent.as_uuid()).collect()));
        let found = self.database.bulk_rows(query, |mut row| Ok((row.take()?, read(&mut row)?))).await?;
        Ok(found.into_iter().filter_map(|(agent, session)| Some((agent, session?))).collect())
    }

    /// For jobs of this replica whose agents have no session with it any more: where they could continue. A job that is
    /// missing from the answer no longer belongs to this replica.
    pub async fn stranded_jobs(
        &self,
        owner: ReplicaId,
        jobs: &[JobId],
        now: Timestamp,
    ) -> Result<HashMap<JobId, Stranded>> {
        let query = Bulk::new(
            "WITH v(id) AS ({rows}) SELECT j.id, \
             EXISTS (SELECT 1 FROM sessions s JOIN replicas r ON r.id = s.replica_id \
             WHERE s.agent_id = j.agent_id AND s.replica_id <> :1 AND r.seen_at > :2), \
             EXISTS (SELECT 1 FROM agent_directories d JOIN agents a ON a.id = d.agent_id \
             JOIN sessions s ON s.agent_id = d.agent_id JOIN replicas r ON r.id = s.replica_id \
             WHERE d.directory_id = j.directory_id AND d.agent_id <> j.agent_id AND d.problem IS NULL \
             AND a.revoked_at IS NULL AND r.seen_at > :2) \
             FROM v JOIN jobs j ON j.id = v.id WHERE j.owner = :1 AND j.state = 'running'",
        )
        .column(Cells::Uuids(jobs.iter().map(|job| job.as_uuid()).collect()))
        .shared(owner)
        .shared(live_since(now));
        let stranded = |mut row: Row| {
            let job: JobId = row.take()?;
            Ok((job, Stranded { agent_is_elsewhere: row.take()?, has_another: row.take()? }))
        };
        Ok(self.database.bulk_rows(query, stranded).await?.into_iter().collect())
    }
}

/// Deletes the sessions of a replica, with the time when its agents were last seen.
async fn forget_sessions(tx: &mut Tx, replica: ReplicaId, seen_at: Timestamp) -> Result<()> {
    let seen = sql("UPDATE agents SET last_seen_at = $1 WHERE (last_seen_at IS NULL OR last_seen_at < $1) \
         AND id IN (SELECT agent_id FROM sessions WHERE replica_id = $2)");
    tx.execute(seen.bind(seen_at).bind(replica)).await?;
    tx.execute(sql("DELETE FROM sessions WHERE replica_id = $1").bind(replica)).await.map(|_| ())
}

/// The sessions that these replace.
async fn before(tx: &mut Tx, opened: &[NewSession]) -> Result<HashMap<AgentId, Session>> {
    let query = Bulk::new(concat!(
        "WITH v(id) AS ({rows}) SELECT s.agent_id, ",
        session_columns!(),
        " FROM v JOIN sessions s ON s.agent_id = v.id LEFT JOIN replicas r ON r.id = s.replica_id"
    ))
    .column(Cells::Uuids(opened.iter().map(|session| session.agent.as_uuid()).collect()));
    let found = tx.bulk_rows(query, |mut row| Ok((row.take()?, read(&mut row)?))).await?;
    Ok(found.into_iter().filter_map(|(agent, session)| Some((agent, session?))).collect())
}

/// The replaced processes, after a process opens a session in place of the earlier one.
fn gave_way(before: Option<&Session>, instance: Option<&String>) -> Vec<String> {
    let Some(before) = before else { return Vec::new() };
    let mut replaced = before.replaced.clone();
    if let Some(older) = before.instance.as_ref().filter(|older| Some(*older) != instance) {
        replaced.retain(|known| known != older);
        replaced.insert(0, older.clone());
        replaced.truncate(REMEMBERED);
    }
    replaced
}
