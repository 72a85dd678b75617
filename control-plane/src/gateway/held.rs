//! Records in the database which sessions this replica holds, for the other replicas. Sessions that open and close are
//! collected briefly and written together: after a restart ten thousand agents come back within seconds.

use std::time::Duration;

use jiff::Timestamp;
use postern_store::{AgentId, Backend, ClosedSession, Session};

use super::parts::Gateway;
use super::unwritten::Changes;

/// How long changes are collected.
const COLLECT: Duration = Duration::from_millis(100);
/// How often a replica writes that it is alive while there are others.
const BEAT: Duration = Duration::from_secs(1);
/// How often it does so alone: only for readers of the database after a kill. Each write costs the disk a sync.
const BEAT_ALONE: Duration = Duration::from_secs(5);
/// How often all sessions are compared with the database.
const COMPARE: Duration = Duration::from_mins(1);
/// How long agents may take to disconnect when this replica stops.
const LEAVE: Duration = Duration::from_secs(2);
/// A replica that has not written for this long is forgotten.
const FORGET: Duration = Duration::from_mins(2);

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Writes changes and signs of life while the process runs.
pub(crate) async fn write(gateway: Gateway) -> Result<()> {
    let parts = &gateway.0;
    let (unwritten, clock) = (parts.registry.unwritten(), &parts.clock);
    let stopping = parts.supervisor.shutdown().stopping().clone();
    let beat = match parts.store.backend() {
        Backend::Sqlite => BEAT_ALONE,
        Backend::Postgres => BEAT,
    };
    parts.store.record_replica(parts.dispatcher.running.owner, clock.now()).await?;
    // Also after a failure, because the supervisor starts this task again.
    compare(&gateway).await?;
    let (mut beaten, mut compared) = (clock.now(), clock.now());
    loop {
        tokio::select! {
            () = unwritten.changed.notified() => {
                clock.sleep(COLLECT).await;
                flush(&gateway).await?;
            }
            () = clock.sleep(left(beaten, beat, clock.now())) => {}
            () = stopping.cancelled() => return leave(&gateway).await,
        }
        let now = clock.now();
        if left(beaten, beat, now).is_zero() {
            beaten = now;
            if parts.store.record_replica(parts.dispatcher.running.owner, now).await? {
                // Other replicas took this one for dead, because it stood still for a while.
                compared = Timestamp::MIN;
            }
        }
        if left(compared, COMPARE, now).is_zero() {
            compared = now;
            compare(&gateway).await?;
            let forgotten = parts.store.forget_replicas(now.checked_sub(FORGET).unwrap_or(now)).await?;
            if forgotten > 0 {
                tracing::info!(replicas = forgotten, "gateway.replicas_forgotten");
            }
        }
    }
}

/// At shutdown, once the agents have left or had time to: records that they were last seen now.
async fn leave(gateway: &Gateway) -> Result<()> {
    let parts = &gateway.0;
    let over = parts.clock.sleep(LEAVE);
    tokio::pin!(over);
    while parts.registry.sessions() > 0 {
        tokio::select! {
            () = parts.registry.unwritten().changed.notified() => {}
            () = &mut over => break,
        }
    }
    flush(gateway).await?;
    parts.store.forget_replica(parts.dispatcher.running.owner, parts.clock.now()).await
}

fn left(since: Timestamp, period: Duration, now: Timestamp) -> Duration {
    period.saturating_sub(Duration::try_from(now.duration_since(since)).unwrap_or_default())
}

async fn flush(gateway: &Gateway) -> Result<()> {
    let parts = &gateway.0;
    let Changes { opened, closed } = std::mem::take(&mut *parts.registry.unwritten().lock());
    // If this fails, the next comparison finds what is missing.
    parts.store.close_sessions(closed).await?;
    parts.store.open_sessions(parts.dispatcher.running.owner, opened.into_values().collect()).await
}

/// Compares the sessions here with those in the database, and repairs the difference.
async fn compare(gateway: &Gateway) -> Result<()> {
    let parts = &gateway.0;
    let here = parts.registry.sessions_here();
    let agents: Vec<AgentId> = here.iter().map(|session| session.agent).collect();
    let mut known = parts.store.sessions_of(&agents).await?;
    let mut missing = Vec::new();
    for session in here {
        match known.remove(&session.agent) {
            Some(known) if known.id == session.id => {}
            // The agent has a newer session elsewhere. If the clocks of two replicas differ, it reconnects once
            // needlessly.
            Some(known)
                if known.replica != parts.dispatcher.running.owner && known.connected_at >= session.connected_at =>
            {
                parts.registry.replaced(session.agent, session.id);
            }
            _ => missing.push(session),
        }
    }
    parts.store.open_sessions(parts.dispatcher.running.owner, missing).await?;
    let ours = parts.store.sessions_of_replica(parts.dispatcher.running.owner).await?;
    let now = parts.clock.now();
    let gone = ours.into_iter().filter(|(agent, id)| parts.registry.session_here(*agent) != Some(*id));
    let gone = gone.map(|(agent, id)| ClosedSession { agent, id, closed_at: now, error: None }).collect();
    parts.store.close_sessions(gone).await
}

/// Ends the agent's session here if it has opened a newer one at another replica.
pub(super) async fn moved(gateway: &Gateway, agent: AgentId) -> Result<()> {
    let parts = &gateway.0;
    let Some(here) = parts.registry.session_here(agent) else { return Ok(()) };
    let newest = parts.store.sessions_of(&[agent]).await?.remove(&agent);
    let waits = parts.registry.unwritten().lock().opened.contains_key(&agent);
    if newest.is_some_and(|newest| newest.replica != parts.dispatcher.running.owner) && !waits {
        parts.registry.replaced(agent, here);
    }
    Ok(())
}

/// Whether this process of the agent was replaced by another one, whose session is at another replica.
pub(super) fn gave_way(gateway: &Gateway, session: Option<&Session>, instance: Option<&str>) -> bool {
    let (Some(session), Some(instance)) = (session, instance) else { return false };
    session.is_live(gateway.0.clock.now())
        && session.replica != gateway.0.dispatcher.running.owner
        && session.instance.as_deref() != Some(instance)
        && session.replaced.iter().any(|replaced| replaced == instance)
}
