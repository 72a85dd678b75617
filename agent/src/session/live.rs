//! One established stream: frames up and down until it ends.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use postern_proto::v1::control_frame::Kind as Down;
use postern_proto::v1::gateway_client::GatewayClient;
use postern_proto::v1::{AgentFrame, Command, ControlFrame, Welcome};
use postern_proto::{MAX_FRAME_BYTES, PROTOCOL_MAX, PROTOCOL_MIN};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::parts::Session;
use crate::command::Key;
use crate::link::{Connection, dial, http2};
use crate::roster::Announced;
use crate::status::Welcomed;
use crate::wire;

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(30);
const HEARTBEAT_LIMITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_mins(5));
/// As many intervals without a frame, and the line counts as dead.
const SILENT_INTERVALS: u32 = 3;
/// How long the other end may take to close after this one has.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
const FRAMES_IN_FLIGHT: usize = 4;
/// Nothing more is read while as many answers wait to be sent, so that memory stays bounded whatever is asked.
const ANSWERS_WAITING: usize = 64;

/// Why no session came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot reach the control plane")]
    Dial(#[source] dial::Error),
    #[error("cannot communicate with the control plane")]
    Http2(#[source] http2::Error),
    #[error("the control plane refuses the session: {0}")]
    Refused(String),
    #[error("the control plane chose protocol version {0}, which this agent does not support; update the older one")]
    Version(u32),
    #[error("the control plane did not send Welcome first")]
    NoWelcome,
    #[error("the control plane did not answer in time")]
    Timeout,
    #[error("the control plane asks to come back later")]
    Drained { retry_after: Option<Duration> },
}

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The process is stopping.
    Stop,
    /// The control plane asks the agent to leave.
    Drain { retry_after: Option<Duration>, reason: String },
    /// The connection is gone.
    Lost(String),
}

/// What the agent says of itself at the beginning.
pub(super) struct Introduction {
    pub(super) number: u64,
    pub(super) directories: Vec<Announced>,
    /// Subscribed before the directories were read, so that no change goes unseen.
    pub(super) changes: watch::Receiver<u64>,
    pub(super) held: Vec<Key>,
    pub(super) now: Timestamp,
    pub(super) instance: Uuid,
    pub(super) password_key: Bytes,
}

/// An established session.
pub(super) struct Live {
    pub(super) connection: Connection,
    pub(super) session_id: String,
    number: u64,
    // Boxed, because a channel keeps room for dozens of frames that are hardly ever there.
    outgoing: Option<mpsc::Sender<Box<AgentFrame>>>,
    incoming: Streaming<ControlFrame>,
    changes: watch::Receiver<u64>,
    pending: VecDeque<AgentFrame>,
    heartbeat: Duration,
    heard: bool,
    silent_intervals: u32,
}

impl Live {
    /// Says hello and waits for the welcome.
    pub(super) async fn establish(
        connection: Connection,
        introduction: Introduction,
    ) -> Result<(Self, Welcomed), Error> {
        let (outgoing, frames) = mpsc::channel(FRAMES_IN_FLIGHT);
        let Introduction { number, directories, changes, held, now, instance, password_key } = introduction;
        let hello = wire::hello(directories, held, now, instance, password_key);
        // Before the call: the other end may not answer before it has seen the hello. Cannot fail, the channel is new.
        let _ = outgoing.try_send(Box::new(hello));
        let frames = ReceiverStream::new(frames).map(|frame: Box<AgentFrame>| *frame);
        let mut client = GatewayClient::with_origin(connection.clone(), connection.origin())
            .max_decoding_message_size(MAX_FRAME_BYTES);
        let refused = |status: Status| Error::Refused(failure_text(&connection, &status));
        let mut incoming = client.connect(frames).await.map_err(refused)?.into_inner();
        let first = incoming.message().await.map_err(refused)?;
        let welcome = match first.and_then(|frame| frame.kind) {
            Some(Down::Welcome(welcome)) => welcome,
            Some(Down::Drain(drain)) => return Err(Error::Drained { retry_after: millis(drain.retry_after_ms) }),
            _ => return Err(Error::NoWelcome),
        };
        if !(PROTOCOL_MIN..=PROTOCOL_MAX).contains(&welcome.protocol_version) {
            return Err(Error::Version(welcome.protocol_version));
        }
        let live = Self {
            connection,
            session_id: wire::text(&welcome.session_id),
            number,
            outgoing: Some(outgoing),
            incoming,
            changes,
            pending: VecDeque::new(),
            heartbeat: heartbeat(&welcome),
            heard: true,
            silent_intervals: 0,
        };
        let clock = Timestamp::from_millisecond(welcome.clock_unix_ms).unwrap_or(introduction.now);
        let refused = wire::refused(welcome.refused_directories);
        let session_id = live.session_id.clone();
        Ok((live, Welcomed { session_id, clock, refused }))
    }

    /// Receives commands and sends outcomes until something ends it.
    pub(super) async fn converse(&mut self, session: &Session) -> Ended {
        let stopping = session.supervisor.shutdown().stopping();
        let mut tick = session.clock.sleep(self.heartbeat);
        loop {
            self.gather(session);
            tokio::select! {
                biased;
                () = stopping.cancelled() => return Ended::Stop,
                () = session.pulse.beat() => {}
                frame = self.incoming.message(), if self.pending.len() < ANSWERS_WAITING => {
                    if let Some(ended) = self.received(session, frame, true) {
                        return ended;
                    }
                }
                sent = send(self.outgoing.as_ref(), &mut self.pending), if !self.pending.is_empty() => {
                    if !sent {
                        return Ended::Lost(self.reason("the stream was closed"));
                    }
                }
                () = session.commands.changed() => {}
                () = changed(&mut self.changes) => {
                    self.pending.push_back(wire::directories_changed(session.roster.announced()));
                }
                () = &mut tick => {
                    if let Some(ended) = self.ticked() {
                        return ended;
                    }
                    tick = session.clock.sleep(self.heartbeat);
                }
            }
        }
    }

    /// Goes on telling outcomes until every command has ended and is acknowledged. New commands are not taken, nor
    /// answered: an answer worth another try would bring them back here at once and count as a failure each time. What
    /// is not answered is handed to another agent once this session is closed, or to this one when it is back, and
    /// counts as nothing.
    pub(super) async fn finish(&mut self, session: &Session) {
        loop {
            self.gather(session);
            let nothing_to_tell = self.pending.is_empty() && session.commands.is_idle();
            if nothing_to_tell || self.outgoing.is_none() {
                return;
            }
            tokio::select! {
                frame = self.incoming.message() => {
                    if self.received(session, frame, false).is_some_and(|ended| matches!(ended, Ended::Lost(_))) {
                        return;
                    }
                }
                sent = send(self.outgoing.as_ref(), &mut self.pending), if !self.pending.is_empty() => {
                    if !sent {
                        return;
                    }
                }
                () = session.commands.changed() => {}
            }
        }
    }

    /// Closes this end and waits a moment for the other.
    pub(super) async fn leave(&mut self, session: &Session) {
        self.outgoing = None;
        let closed = async {
            while let Ok(Some(frame)) = self.incoming.message().await {
                let _ = handle(session, frame, false);
            }
        };
        tokio::select! {
            () = closed => {}
            () = session.clock.sleep(CLOSE_TIMEOUT) => {}
        }
    }

    /// Queues messages of commands, unless many are waiting already.
    fn gather(&mut self, session: &Session) {
        if self.pending.len() < FRAMES_IN_FLIGHT {
            self.pending.extend(session.commands.events(self.number).iter().map(wire::event));
        }
    }

    fn received(
        &mut self,
        session: &Session,
        frame: Result<Option<ControlFrame>, Status>,
        take_commands: bool,
    ) -> Option<Ended> {
        let frame = match frame {
            Ok(Some(frame)) => frame,
            Ok(None) => return Some(Ended::Lost("the control plane closed the session".to_owned())),
            Err(status) => return Some(Ended::Lost(failure_text(&self.connection, &status))),
        };
        self.heard = true;
        self.silent_intervals = 0;
        match handle(session, frame, take_commands) {
            Handled::Done => None,
            Handled::Answer(frame) => {
                self.pending.push_back(frame);
                None
            }
            Handled::Drain { retry_after, reason } => Some(Ended::Drain { retry_after, reason }),
        }
    }

    /// An interval has passed: give a sign of life, and give up after three without one of the other end. Only before
    /// the last of them is one asked for: answers cost the other end more than listening, with ten thousand agents.
    fn ticked(&mut self) -> Option<Ended> {
        if !std::mem::take(&mut self.heard) {
            self.silent_intervals += 1;
        }
        if self.silent_intervals >= SILENT_INTERVALS {
            let silence = self.heartbeat * self.silent_intervals;
            return Some(Ended::Lost(format!("no frame from the control plane for {} ms", silence.as_millis())));
        }
        self.pending.push_back(wire::heartbeat(self.silent_intervals + 1 == SILENT_INTERVALS));
        None
    }

    fn reason(&self, otherwise: &str) -> String {
        self.connection.failure().unwrap_or_else(|| otherwise.to_owned())
    }
}

enum Handled {
    Done,
    Answer(AgentFrame),
    Drain { retry_after: Option<Duration>, reason: String },
}

fn handle(session: &Session, frame: ControlFrame, take_commands: bool) -> Handled {
    match frame.kind {
        Some(Down::Command(command)) if take_commands => return take(session, command),
        Some(Down::Command(command)) => {
            tracing::info!(command = wire::text(&command.command_id), "session.command_not_taken");
        }
        Some(Down::Cancel(cancel)) => {
            if let Some(id) = wire::command_id(&cancel.command_id) {
                session.commands.cancel(id);
            }
        }
        Some(Down::OutcomeAck(ack)) => {
            if let Some(key) = wire::key(&ack.command_id, ack.generation) {
                session.commands.acknowledge(key);
            }
        }
        Some(Down::Heartbeat(beat)) if beat.echo => return Handled::Answer(wire::heartbeat_answer()),
        Some(Down::Heartbeat(_) | Down::Welcome(_)) => {}
        Some(Down::DirectoriesRefused(refused)) => session.observed.refused(&wire::refused(refused.directories)),
        Some(Down::Drain(drain)) => {
            let reason = wire::text(&drain.reason);
            return Handled::Drain { retry_after: millis(drain.retry_after_ms), reason };
        }
        None => {
            metrics::counter!("postern_agent_unknown_frames_total").increment(1);
            session.observed.unknown_frame();
        }
    }
    Handled::Done
}

/// Starts a command, or answers at once why not: none is dropped in silence.
fn take(session: &Session, command: Command) -> Handled {
    let (command_id, generation) = (wire::text(&command.command_id), command.generation);
    match wire::request(session.commands.kinds(), command).and_then(|request| session.commands.accept(request)) {
        Ok(()) => Handled::Done,
        Err(failure) => Handled::Answer(wire::not_taken(command_id, generation, &failure)),
    }
}

/// Sends the first frame in line as soon as there is room. Canceled in between, it has sent nothing.
async fn send(outgoing: Option<&mpsc::Sender<Box<AgentFrame>>>, pending: &mut VecDeque<AgentFrame>) -> bool {
    let Some(outgoing) = outgoing else { return false };
    let Ok(permit) = outgoing.reserve().await else { return false };
    if let Some(frame) = pending.pop_front() {
        permit.send(Box::new(frame));
    }
    true
}

async fn changed(version: &mut watch::Receiver<u64>) {
    if version.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn heartbeat(welcome: &Welcome) -> Duration {
    let asked = millis(welcome.heartbeat_interval_ms).unwrap_or(DEFAULT_HEARTBEAT);
    asked.clamp(HEARTBEAT_LIMITS.0, HEARTBEAT_LIMITS.1)
}

fn millis(value: u32) -> Option<Duration> {
    (value > 0).then(|| Duration::from_millis(value.into()))
}

/// What went wrong, in the connection's words where it has any: it knows more than the request that failed with it.
fn failure_text(connection: &Connection, status: &Status) -> String {
    connection.failure().unwrap_or_else(|| format!("{:?}: {}", status.code(), wire::text(status.message())))
}
