//! `/api/v1/jobs/{id}/events`: a job as server-sent events, one `job` event a change with the whole job as its data.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::stream::{self, Stream, StreamExt as _};
use postern_engine::records::{Job, JobId};
use postern_engine::services::{self, Ear, too_many_streams};
use tokio::sync::OwnedSemaphorePermit;

use super::super::Api;
use super::super::auth::{Caller, identify};
use super::super::extract::Id;
use super::super::problem::Problem;
use super::super::share::FOLLOWING_AT_ONCE;
use super::JobView;

/// How often to look without a wake-up, because wake-ups may be lost.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Changes within this time are sent as one.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// A comment this often keeps proxies from cutting a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often the token is checked, besides before each event, when it is revoked and when it expires.
const RECHECK: Duration = Duration::from_secs(15);

/// Follows a job
///
/// Server-sent events: the first has the current job, and each change sends a further one. The data is the job as
/// `GET /api/v1/jobs/{id}` returns it. The stream ends after the job has ended.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "jobs", operation_id = "follow_job",
    params(("id" = String, Path, description = "Id of the job, or its beginning")),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub(super) async fn follow(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    // Checked before the stream begins, because a stream has no status for errors.
    let id = api.services.jobs(&caller.actor)?.get(&id).await?.id;
    let share = api.shares.following.of(caller.actor.organization, FOLLOWING_AT_ONCE);
    let Ok(place) = share.try_acquire_owned() else { return Err(too_many_streams().into()) };
    let ear = api.services.changes().follow(id)?;
    let ended = over(api.clone(), caller.clone(), headers.clone());
    let follower = Follower { api, caller, headers, id, ear, _place: place, last: None };
    let events = stream::unfold(follower, async |mut follower| Some((follower.next().await?, follower)));
    Ok(Sse::new(events.take_until(ended).fuse().map(Ok)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Follower {
    api: Api,
    caller: Caller,
    headers: HeaderMap,
    id: JobId,
    ear: Ear,
    /// Its place among the streams of its organization.
    _place: OwnedSemaphorePermit,
    last: Option<JobView>,
}

impl Follower {
    /// Waits for the next change. `None`: the end of the job was sent, or it can no longer be read.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(last) = &self.last {
                if last.state.is_final() {
                    return None;
                }
                self.pause().await;
            }
            match self.look().await {
                Ok(job) => {
                    let view = JobView::from(job);
                    if self.last.as_ref() != Some(&view) {
                        if self.last.is_some() && refused(&self.api, &self.headers).await {
                            return None;
                        }
                        let event = Event::default().event("job").json_data(&view).ok();
                        self.last = Some(view);
                        return event;
                    }
                }
                // A database that is away for a while is not the job's end.
                Err(error) if is_ours(&error) && self.last.is_some() => {}
                Err(_) => return None,
            }
        }
    }

    /// The job as it is now.
    async fn look(&self) -> services::Result<Job> {
        self.api.services.jobs(&self.caller.actor)?.of_id(self.id).await
    }

    /// Waits until it is worth looking again.
    async fn pause(&mut self) {
        self.api.clock.sleep(MIN_INTERVAL).await;
        tokio::select! {
            () = self.ear.changed() => {}
            () = self.api.clock.sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// Whether the caller has done nothing wrong.
fn is_ours(error: &services::Error) -> bool {
    matches!(error, services::Error::Busy(_) | services::Error::Unavailable(_) | services::Error::Internal(_))
}

/// Waits until the process stops or the token is no longer valid.
async fn over(api: Api, caller: Caller, headers: HeaderMap) {
    let stopping = api.supervisor.shutdown().stopping().clone();
    loop {
        let left = caller.expires_at.map(|end| Duration::try_from(end.duration_since(api.now())).unwrap_or_default());
        tokio::select! {
            () = stopping.cancelled() => return,
            () = api.services.changes().token_revoked(caller.token) => {}
            () = api.clock.sleep(left.map_or(RECHECK, |left| left.min(RECHECK))) => {}
        }
        if refused(&api, &headers).await {
            return;
        }
    }
}

/// Whether the token is no longer valid. A database that is away for a while is no reason to cut.
async fn refused(api: &Api, headers: &HeaderMap) -> bool {
    identify(api, headers, None).await.is_err_and(|problem| problem.document().status < 500)
}
