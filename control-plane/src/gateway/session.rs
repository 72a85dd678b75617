//! The session of one agent: commands to the agent, outcomes from it. The connection drives the stream, without a task
//! or buffers for each session, because there are ten thousand of them and nearly all are idle.

mod hello;
mod seat;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::{BoxFuture, OptionFuture};
use postern_proto::v1::agent_frame::Kind as FromAgent;
use postern_proto::v1::control_frame::Kind as ToWire;
use postern_proto::{text, v1};
use postern_store::AgentReading;
use tonic::{Status, Streaming};
use uuid::Uuid;

use self::seat::Seat;
use super::parts::{Gateway, unavailable};
use super::pulse::Pulse;
use crate::pki::PeerAgent;
use postern_engine::jobs::reach::{Messages, Route, ToAgent};
use postern_engine::wire;

/// Time for the first frame.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// Time for the agent to close the session after a Drain.
const DRAIN_LINGER: Duration = Duration::from_secs(1);
/// How many sessions may come back in a second after a restart.
const RETURNS_PER_SECOND: u32 = 2_500;

/// The answers of a session.
pub(super) type ControlFrames = Pin<Box<dyn Stream<Item = Result<v1::ControlFrame, Status>> + Send>>;

type Frame = Result<v1::ControlFrame, Status>;

/// Opens the session of an admitted agent.
pub(super) fn open(
    gateway: Gateway,
    peer: &Arc<PeerAgent>,
    known: AgentReading,
    inbound: Streaming<v1::AgentFrame>,
) -> ControlFrames {
    let ended = gateway.0.supervisor.shutdown().stopping().child_token();
    let (route, messages) = Route::open(known.agent.id, Uuid::now_v7(), ended);
    let session = Box::new(Session {
        phase: Phase::Greeting(Box::new(known)),
        deadline: Some(gateway.0.clock.sleep(HELLO_DEADLINE)),
        pulse: Arc::new(Pulse::new(peer.not_after)),
        seat: Seat { gateway, route, directories: Vec::new(), refused: false, seated: false, broken: None },
        inbound,
        messages,
        outbox: VecDeque::new(),
        unknown_frames: 0,
    });
    Box::pin(futures_util::stream::unfold(session, async |mut session| {
        let frame = session.next().await?;
        Some((frame, session))
    }))
}

/// The phases of a session.
#[derive(Debug)]
enum Phase {
    /// Waits for the Hello of this agent.
    Greeting(Box<AgentReading>),
    /// Commands and outcomes flow.
    Open,
    /// A Drain was sent; no command follows.
    Draining,
    /// Nothing follows.
    Closed,
}

struct Session {
    phase: Phase,
    seat: Seat,
    inbound: Streaming<v1::AgentFrame>,
    messages: Messages,
    outbox: VecDeque<v1::ControlFrame>,
    pulse: Arc<Pulse>,
    /// When the greeting or the drain must have ended.
    deadline: Option<BoxFuture<'static, ()>>,
    unknown_frames: u32,
}

enum Event {
    Frame(Result<Option<v1::AgentFrame>, Status>),
    Message(ToAgent),
    Ended,
    TooLate,
}

impl Session {
    /// The next frame for the agent; `None` ends the stream.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.outbox.pop_front() {
                if self.outbox.is_empty() {
                    self.outbox.shrink_to_fit();
                }
                return Some(Ok(frame));
            }
            if matches!(self.phase, Phase::Closed) {
                return None;
            }
            let event = self.event().await;
            if let Err(status) = self.handle(event).await {
                Box::pin(self.seat.note_refusal(&status)).await;
                self.phase = Phase::Closed;
                return Some(Err(status));
            }
        }
    }

    async fn event(&mut self) -> Event {
        let greeting = matches!(self.phase, Phase::Greeting(_));
        let draining = matches!(self.phase, Phase::Draining);
        tokio::select! {
            biased;
            () = self.messages.ended(), if !draining => Event::Ended,
            message = self.messages.next(), if !greeting && !draining => Event::Message(message),
            frame = self.inbound.message() => Event::Frame(frame),
            Some(()) = OptionFuture::from(self.deadline.as_mut()) => Event::TooLate,
        }
    }

    async fn handle(&mut self, event: Event) -> Result<(), Status> {
        match event {
            Event::Frame(Ok(Some(frame))) => self.frame(frame).await,
            Event::Message(message) => self.message(message),
            Event::Ended => {
                if let Some(reason) = self.seat.route.reason() {
                    return self.message(reason);
                }
                let sessions = self.seat.gateway.registry().sessions();
                self.drain(spread(sessions), "the control plane is restarting");
                Ok(())
            }
            Event::TooLate if matches!(self.phase, Phase::Greeting(_)) => {
                Err(Status::failed_precondition("the session did not begin with a Hello"))
            }
            // The connection broke, and the agent does not see this; or a frame is invalid, and the agent sees the
            // reason.
            Event::Frame(Err(status)) => {
                let (agent, reason) = (self.seat.route.agent(), status.message());
                tracing::info!(%agent, session = %self.seat.route.session(), reason, "gateway.session_broken");
                self.seat.broken = Some(format!("the connection broke: {}", text::clean(reason)));
                Err(status)
            }
            // The time to drain is over, or the agent closed in good order. The agent reconnects by itself.
            Event::TooLate | Event::Frame(Ok(None)) => {
                self.seat.broken = None;
                self.phase = Phase::Closed;
                Ok(())
            }
        }
    }

    async fn frame(&mut self, frame: v1::AgentFrame) -> Result<(), Status> {
        self.pulse.heard();
        if let Phase::Greeting(known) = &self.phase {
            let Some(FromAgent::Hello(hello)) = frame.kind else {
                return Err(Status::failed_precondition("the session must begin with a Hello"));
            };
            let known = known.clone();
            // Boxed, like every step that needs the database, to keep idle sessions small.
            let welcome = Box::pin(hello::greet(&mut self.seat, &self.pulse, &known, hello)).await?;
            self.phase = Phase::Open;
            self.deadline = None;
            // Assumed until it ends otherwise: a cut connection drops the session without an event.
            self.seat.broken = Some("the connection was lost".to_owned());
            self.outbox.push_back(wire::frame(ToWire::Welcome(welcome)));
            return Ok(());
        }
        match frame.kind {
            Some(FromAgent::Outcome(outcome)) => Box::pin(self.outcome(outcome)).await,
            Some(FromAgent::Progress(progress)) => {
                if let Some(progress) = wire::progress(&progress) {
                    self.seat.gateway.0.dispatcher.progress(self.seat.route.agent(), &progress);
                }
                Ok(())
            }
            Some(FromAgent::Heartbeat(heartbeat)) => {
                if heartbeat.echo {
                    self.outbox.push_back(wire::frame(ToWire::Heartbeat(v1::Heartbeat { echo: false })));
                }
                Ok(())
            }
            Some(FromAgent::DirectoriesChanged(changed)) => {
                let answer = Box::pin(hello::directories_changed(&mut self.seat, changed)).await?;
                self.outbox.extend(answer);
                Ok(())
            }
            Some(FromAgent::Hello(_)) => Err(Status::failed_precondition("a session has only one Hello")),
            None => {
                self.unknown_frames += 1;
                metrics::counter!("postern_gateway_unknown_frames_total").increment(1);
                if self.unknown_frames == 1 {
                    tracing::warn!(agent = %self.seat.route.agent(), "gateway.unknown_frame");
                }
                Ok(())
            }
        }
    }

    async fn outcome(&mut self, outcome: v1::Outcome) -> Result<(), Status> {
        let (command_id, generation) = (outcome.command_id.clone(), outcome.generation);
        let Some(outcome) = wire::outcome(outcome) else {
            return Err(Status::invalid_argument("an outcome must name its command"));
        };
        let dispatcher = &self.seat.gateway.0.dispatcher;
        let Some(outcome) = self.seat.gateway.0.operations.outcome(self.seat.route.agent(), outcome) else {
            // An operation, which is acknowledged once its outcome is written.
            return Ok(());
        };
        // Acknowledged only when durable. On an error the session ends, and the agent sends the outcome again in the
        // next.
        dispatcher.outcome(self.seat.route.agent(), outcome).await.map_err(|error| unavailable(&error))?;
        self.outbox.push_back(wire::frame(ToWire::OutcomeAck(v1::OutcomeAck { command_id, generation })));
        Ok(())
    }

    fn message(&mut self, message: ToAgent) -> Result<(), Status> {
        match message {
            ToAgent::Command(command) => self.outbox.push_back(wire::frame(ToWire::Command(wire::command(command)))),
            ToAgent::Cancel(job) => {
                let cancel = v1::Cancel { command_id: job.to_string() };
                self.outbox.push_back(wire::frame(ToWire::Cancel(cancel)));
            }
            ToAgent::Acknowledge(job, generation) => {
                let ack = v1::OutcomeAck { command_id: job.to_string(), generation };
                self.outbox.push_back(wire::frame(ToWire::OutcomeAck(ack)));
            }
            ToAgent::Replaced => self.drain(Duration::ZERO, "a newer session of this agent has taken over"),
            ToAgent::Changed => self.drain(Duration::ZERO, "an administrator has changed what this agent may serve"),
            ToAgent::CertificateExpired => {
                self.drain(Duration::ZERO, "the certificate of this connection has expired");
            }
            ToAgent::CertificateRenewed => {
                self.drain(Duration::ZERO, "come back with the renewed certificate");
            }
            ToAgent::Silent => {
                self.seat.broken = Some("it sent no heartbeat; its machine or the network is down".to_owned());
                return Err(Status::deadline_exceeded("the agent sent no heartbeat"));
            }
            ToAgent::Revoked => {
                self.seat.broken = None;
                return Err(Status::permission_denied("this agent was revoked"));
            }
        }
        Ok(())
    }

    /// Asks the agent to close and come back; a `retry_after` of zero leaves the time to the agent's backoff.
    fn drain(&mut self, retry_after: Duration, reason: &str) {
        let retry_after_ms = u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX);
        let drain = v1::Drain { retry_after_ms, reason: reason.to_owned() };
        self.outbox.push_back(wire::frame(ToWire::Drain(drain)));
        self.seat.broken = None;
        self.phase = Phase::Draining;
        // No further commands go to this session.
        self.seat.gateway.0.reach.gone(&self.seat.route, &self.seat.directories);
        self.deadline = Some(self.seat.gateway.0.clock.sleep(DRAIN_LINGER));
    }
}

/// How long an agent waits to come back after a restart: random, over a span in which all agents can be served.
fn spread(sessions: usize) -> Duration {
    let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
    let span = Duration::from_millis(500) + Duration::from_secs(1) * sessions / RETURNS_PER_SECOND;
    Duration::from_millis(100) + span.mul_f64(rand::random::<f64>())
}
