//! Makes known to all replicas which sessions this one holds, by way of the database. Sessions that open and close are
//! collected for a moment and written together: after a restart ten thousand agents come back within seconds.

use std::time::Duration;

use jiff::Timestamp;
use postern_store::{AgentId, Backend, ClosedSession, Session};

use super::parts::Gateway;
use super::unwritten::Changes;

/// How long changes are collected.
const COLLECT: Duration = Duration::from_millis(100);
/// How often a replica gives a sign of life to the others …
const BEAT: Duration = Duration::from_secs(1);
/// … and to whoever looks at the database after it was killed, where there are no others. Each costs the disk a write.
const BEAT_ALONE: Duration = Duration::from_secs(5);
/// How often all sessions are compared with the database.
const COMPARE: Duration = Duration::from_mins(1);
/// How long the agents may take to leave when this replica stops.
const LEAVE: Duration = Duration::from_secs(2);
/// A replica that gave no sign of life for so long is forgotten.
const FORGET: Duration = Duration::from_mins(2);

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Writes what changes and gives signs of life, for as long as the process runs.
pub(crate) async fn write(gateway: Gateway) -> Result<()> {
    let parts = &gateway.0;
    let (unwritten, clock) = (parts.registry.unwritten(), &parts.clock);
    let stopping = parts.supervisor.shutdown().stopping().clone();
    let beat = match parts.store.backend() {
        Backend::Sqlite => BEAT_ALONE,
        Backend::Postgres => BEAT,
    };
    parts.store.record_replica(parts.dispatcher.running.owner, clock.now()).await?;
    // Also after a failure, from which this task was started anew.
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
                // Others have taken this replica for dead: it stood still for a while.
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

/// On the way out, once the agents have left or have had time to: they were last seen now.
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
    // What this misses when it fails is found when all is compared.
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
            // A newer one elsewhere. Where the clocks of two replicas differ, the agent comes back once for nothing.
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

/// An agent has opened a session with another replica: its older session here ends.
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

/// Whether a process of an agent gave way to another one, whose session lives at another replica.
pub(super) fn gave_way(gateway: &Gateway, session: Option<&Session>, instance: Option<&str>) -> bool {
    let (Some(session), Some(instance)) = (session, instance) else { return false };
    session.is_live(gateway.0.clock.now())
        && session.replica != gateway.0.dispatcher.running.owner
        && session.instance.as_deref() != Some(instance)
        && session.replaced.iter().any(|replaced| replaced == instance)
}
