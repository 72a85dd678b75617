//! The agent's session with its control plane: one enum of states, and transitions that consume it.
//!
//! ```text
//! disconnected(wait) ──due──▶ connecting ──welcomed──▶ connected ──drain asked / stop──▶ draining
//!       ▲                        │ lost                   │ lost                             │ drained, lost
//!       └────────────────────────┴────────────────────────┴──────────────────────────────────┘ (or stopped)
//! ```

mod live;
pub(crate) mod parts;
pub mod run;

use std::time::Duration;

use postern_runtime::retry::Backoff;

use crate::status::Shown;

/// Where the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits before it tries again.
    Disconnected {
        /// For this long.
        wait: Duration,
    },
    /// Dials, and introduces itself.
    Connecting,
    /// Takes commands.
    Connected,
    /// Accepts no more commands; sends what is left, then closes.
    Draining(Then),
    /// Is over; the process ends.
    Stopped,
}

/// What comes after draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Coming back, not sooner than asked.
    Return {
        /// What the control plane asked for.
        not_before: Option<Duration>,
    },
    /// The end of the process.
    Stop,
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The wait is over.
    Due,
    /// The control plane has welcomed the agent.
    Welcomed,
    /// The connection is gone, or did not come about. `settled`: it had held for a while, so that this is a new
    /// trouble and not the old one.
    Lost {
        /// Whether the backoff starts anew.
        settled: bool,
    },
    /// The control plane asks the agent to leave.
    DrainAsked {
        /// And not to come back sooner.
        retry_after: Option<Duration>,
    },
    /// The process is ending.
    StopAsked,
    /// Everything was sent; the session is closed.
    Drained,
}

impl State {
    /// How every session begins: it dials at once.
    pub fn initial() -> Self {
        Self::Disconnected { wait: Duration::ZERO }
    }

    /// What `event` makes of this state. An event that has no meaning in a state leaves it as it is.
    #[must_use]
    pub fn next(self, event: Event, backoff: &mut Backoff) -> Self {
        match (self, event) {
            (Self::Stopped, _)
            | (Self::Disconnected { .. } | Self::Connecting, Event::StopAsked)
            | (Self::Draining(Then::Stop), Event::Drained | Event::Lost { .. }) => Self::Stopped,
            (Self::Connected | Self::Draining(_), Event::StopAsked) => Self::Draining(Then::Stop),

            (Self::Disconnected { .. }, Event::Due) => Self::Connecting,
            (Self::Connecting, Event::Welcomed) => Self::Connected,

            (Self::Connecting | Self::Connected, Event::Lost { settled }) => {
                if settled {
                    backoff.reset();
                }
                Self::Disconnected { wait: backoff.next_delay() }
            }
            // Refused before it began: there is nothing to drain.
            (Self::Connecting, Event::DrainAsked { retry_after }) => come_back(retry_after, backoff),
            (Self::Connected, Event::DrainAsked { retry_after }) => {
                Self::Draining(Then::Return { not_before: retry_after })
            }
            (Self::Draining(Then::Return { not_before }), Event::Drained | Event::Lost { .. }) => {
                backoff.reset();
                come_back(not_before, backoff)
            }
            (state, Event::Due | Event::Welcomed | Event::Lost { .. } | Event::DrainAsked { .. } | Event::Drained) => {
                state
            }
        }
    }

    /// Its name in logs, metrics and status reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disconnected { .. } => "disconnected",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Draining(_) => "draining",
            Self::Stopped => "stopped",
        }
    }
}

impl State {
    /// As a status report shows it.
    pub(crate) fn shown(&self) -> Shown {
        let retry_in = match self {
            Self::Disconnected { wait } => Some(*wait),
            _ => None,
        };
        Shown { name: self.name(), retry_in, connected: *self == Self::Connected }
    }
}

/// Not sooner than asked, and not all agents at that very moment.
fn come_back(not_before: Option<Duration>, backoff: &mut Backoff) -> State {
    State::Disconnected { wait: not_before.unwrap_or_default().saturating_add(backoff.next_delay()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_mins(1);
    const ASKED: Duration = Duration::from_secs(90);

    fn states() -> [State; 6] {
        [
            State::Disconnected { wait: Duration::ZERO },
            State::Connecting,
            State::Connected,
            State::Draining(Then::Return { not_before: Some(ASKED) }),
            State::Draining(Then::Stop),
            State::Stopped,
        ]
    }

    fn events() -> [Event; 6] {
        [
            Event::Due,
            Event::Welcomed,
            Event::Lost { settled: false },
            Event::DrainAsked { retry_after: Some(ASKED) },
            Event::StopAsked,
            Event::Drained,
        ]
    }

    /// One row a state, one column an event, in the order of the functions above. `=` stays, `d` disconnected,
    /// `D` disconnected for at least what was asked, `c` connecting, `C` connected, `r` draining to return,
    /// `s` draining to stop, `S` stopped.
    const TABLE: [&str; 6] = ["c===S=", "=CdDS=", "==drs=", "==D=sD", "==S=sS", "======"];

    #[test]
    fn every_event_in_every_state_leads_where_the_table_says() {
        for (state, row) in states().into_iter().zip(TABLE) {
            for (event, expected) in events().into_iter().zip(row.chars()) {
                let mut backoff = Backoff::new(Duration::from_secs(1), MAX);
                let next = state.next(event, &mut backoff);
                let fits = match expected {
                    '=' => next == state,
                    'd' => matches!(next, State::Disconnected { wait } if wait <= Duration::from_millis(1_001)),
                    'D' => matches!(next, State::Disconnected { wait } if wait >= ASKED && wait <= ASKED + MAX),
                    'c' => next == State::Connecting,
                    'C' => next == State::Connected,
                    'r' => next == State::Draining(Then::Return { not_before: Some(ASKED) }),
                    's' => next == State::Draining(Then::Stop),
                    'S' => next == State::Stopped,
                    other => panic!("no such mark: {other}"),
                };
                assert!(fits, "{state:?} on {event:?} became {next:?}, expected {expected}");
            }
        }
    }

    #[test]
    fn waits_grow_until_a_session_has_settled() {
        let mut backoff = Backoff::new(Duration::from_secs(1), MAX);
        for _ in 0..20 {
            let _ = State::Connecting.next(Event::Lost { settled: false }, &mut backoff);
        }
        let waits = |backoff: &mut Backoff| match State::Connected.next(Event::Lost { settled: true }, backoff) {
            State::Disconnected { wait } => wait,
            other => panic!("{other:?}"),
        };
        assert!(waits(&mut backoff) <= Duration::from_millis(1_001));
    }
}
