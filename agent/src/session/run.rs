//! Drives a session for as long as the process lives: it comes back by itself, whatever happened.

use std::time::Duration;

use postern_runtime::retry::Backoff;
use postern_runtime::supervise::chain;

use super::live::{self, Live};
use super::parts::Session;
pub use super::parts::SessionOptions;
use super::{Event, State, Then};
use crate::link::Connection;
use crate::renew::warn_of_standing;

/// So many tries come within the first seconds after a cut: a restart of the control plane takes no longer.
const QUICK_RETRIES: u32 = 3;

impl Session {
    /// Runs until the process stops.
    pub(crate) async fn run(self) {
        let backoff = Backoff::new(self.options.reconnect_initial, self.options.reconnect_max);
        let mut backoff = backoff.quick(QUICK_RETRIES);
        let mut state = State::initial();
        let mut live = None;
        let mut sessions = 0;
        while state != State::Stopped {
            self.observed.entered(&state.shown(), self.clock.now());
            let event = match state {
                State::Disconnected { wait } => self.pulse.during(self.wait(wait)).await,
                State::Connecting => {
                    sessions += 1;
                    let (event, established) = self.pulse.during(self.connect(sessions)).await;
                    live = established;
                    event
                }
                State::Connected => self.converse(live.as_mut()).await,
                State::Draining(then) => {
                    let event = self.pulse.during(self.drain(live.as_mut(), then)).await;
                    if event != Event::StopAsked {
                        live = None;
                    }
                    event
                }
                State::Stopped => break,
            };
            if matches!(event, Event::Lost { .. } | Event::Drained) {
                self.line.down();
                live = None;
            }
            state = state.next(event, &mut backoff);
        }
        self.commands.hand_back();
        self.observed.entered(&state.shown(), self.clock.now());
    }

    async fn wait(&self, wait: Duration) -> Event {
        if !wait.is_zero() {
            tracing::info!(retry_in_ms = wait.as_millis(), "session.waiting");
        }
        tokio::select! {
            biased;
            () = self.supervisor.shutdown().stopping().cancelled() => Event::StopAsked,
            () = self.clock.sleep(wait) => Event::Due,
        }
    }

    async fn connect(&self, number: u64) -> (Event, Option<Live>) {
        let attempt = tokio::select! {
            biased;
            () = self.supervisor.shutdown().stopping().cancelled() => return (Event::StopAsked, None),
            attempt = self.establish(number) => attempt,
            () = self.clock.sleep(self.options.connect_timeout) => Err(live::Error::Timeout),
        };
        match attempt {
            Ok(live) => {
                self.line.up(live.connection.clone());
                (Event::Welcomed, Some(live))
            }
            Err(live::Error::Drained { retry_after }) => (Event::DrainAsked { retry_after }, None),
            Err(error) => {
                self.failed(&error);
                (Event::Lost { settled: false }, None)
            }
        }
    }

    async fn establish(&self, number: u64) -> Result<Live, live::Error> {
        if let Some(identity) = &self.identity {
            identity.refresh();
        }
        let dialed = self.dial.dial().await.map_err(live::Error::Dial)?;
        let connection = Connection::start(dialed, &self.supervisor).await.map_err(live::Error::Http2)?;
        let introduction = live::Introduction {
            number,
            changes: self.roster.watch(),
            directories: self.roster.announced(),
            held: self.commands.keys(),
            now: self.clock.now(),
            instance: self.instance,
            password_key: self.commands.password_key(),
        };
        let (live, welcome) = Live::establish(connection, introduction).await?;
        self.observed.welcomed(&welcome, self.clock.now());
        Ok(live)
    }

    fn failed(&self, error: &live::Error) {
        let text = chain(error);
        tracing::warn!(error = text, "session.connect_failed");
        metrics::counter!("postern_agent_connect_failures_total").increment(1);
        if let Some(identity) = &self.identity {
            warn_of_standing(&identity.current(), self.clock.now());
        }
        self.observed.failed(text, self.clock.now());
    }

    async fn converse(&self, live: Option<&mut Live>) -> Event {
        let Some(live) = live else { return Event::Lost { settled: false } };
        let since = self.clock.now();
        let ended = live.converse(self).await;
        let settled = self.clock.now().duration_since(since).unsigned_abs() >= self.options.settled_after;
        match ended {
            live::Ended::Stop => Event::StopAsked,
            live::Ended::Drain { retry_after, reason } => {
                tracing::info!(reason, retry_after_ms = retry_after.map(|it| it.as_millis()), "session.drain_asked");
                Event::DrainAsked { retry_after }
            }
            live::Ended::Lost(reason) => {
                live.connection.close();
                tracing::warn!(session = live.session_id, error = reason, "session.lost");
                self.observed.failed(reason, self.clock.now());
                Event::Lost { settled }
            }
        }
    }

    async fn drain(&self, live: Option<&mut Live>, then: Then) -> Event {
        let Some(live) = live else { return Event::Drained };
        let stopping = self.supervisor.shutdown().stopping();
        let event = match then {
            Then::Return { .. } => tokio::select! {
                () = live.leave(self) => Event::Drained,
                () = stopping.cancelled() => Event::StopAsked,
            },
            Then::Stop => {
                tokio::select! {
                    () = live.finish(self) => {}
                    () = self.clock.sleep(self.options.drain_timeout) => {
                        tracing::warn!("session.drain_timeout");
                    }
                }
                live.leave(self).await;
                Event::Drained
            }
        };
        if event == Event::Drained {
            live.connection.close();
            tracing::info!(session = live.session_id, "session.closed");
        }
        event
    }
}
