//! One connection after its handshake: HTTP/2 with small limits, ended when it is idle, when its agent is revoked,
//! or when the process stops.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use postern_runtime::lifecycle::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection_thread::ConnectionThread;
use super::service::{Answered, Service};
use crate::calls::{Answer, Calls, OpenCall};
use crate::crowd::Stranger;
use crate::pki::PeerAgent;

/// How long a connection may stay without a call: before its first one, and after that.
const FIRST_CALL: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_mins(1);
/// The same for an anonymous connection, which makes one call (an enrollment), and how long it may stay at all.
const IDLE_STRANGER: Duration = Duration::from_secs(5);
const STAY_STRANGER: Duration = Duration::from_secs(30);
/// Time for answers under way to leave once a connection is being closed.
const LINGER: Duration = Duration::from_secs(5);
/// The same for a revoked agent, which must be cut off within a second.
const LINGER_REVOKED: Duration = Duration::from_millis(200);

const WINDOW_BYTES: u32 = 1 << 20;
/// More than the window of one stream: a delivery that waits for its turn leaves room for the session's heartbeats.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Enough for a session, a delivery or two, and a renewal.
const STREAMS: u32 = 8;
const STREAMS_STRANGER: u32 = 1;
const SEND_BUFFER_BYTES: usize = 64 << 10;
const HEADER_BYTES: u32 = 4 << 10;

type Connection<S> = http2::Connection<TokioIo<S>, Handler, TokioExecutor>;

/// The peer of a connection.
pub(super) struct Caller {
    /// From its certificate; an anonymous connection has none.
    pub(super) peer: Option<Arc<PeerAgent>>,
    /// The address that it calls from.
    pub(super) address: IpAddr,
    /// The place of an anonymous connection.
    pub(super) stranger: Option<Stranger>,
}

/// Ends when an anonymous connection must close: its place is needed, or it has stayed too long.
async fn given_up(stranger: Option<&Stranger>) {
    match stranger {
        Some(stranger) => {
            let _ = tokio::time::timeout(STAY_STRANGER, stranger.evicted()).await;
        }
        None => std::future::pending().await,
    }
}

/// Serves a connection until either end closes it.
pub(super) async fn serve<S>(
    stream: S,
    caller: Caller,
    service: Arc<Service>,
    thread: ConnectionThread,
    shutdown: &Shutdown,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Caller { peer, address, stranger } = caller;
    let calls = Arc::new(Calls::default());
    // Canceled for a revoked agent, and for all when the process stops: one signal to wait for, not two.
    let cut = shutdown.stopping().child_token();
    let held = peer.as_ref().map(|peer| service.registry().connected(peer.agent, cut.clone()));
    let known = peer.is_some();
    let handler = Handler { peer, address, service, calls: Arc::clone(&calls) };
    let Some(mut connection) = thread.make(move || speak(stream, handler, known)).await else {
        tracing::error!("gateway.connection_not_made");
        return;
    };
    drop(thread);
    let linger = tokio::select! {
        biased;
        ended = connection.as_mut() => return log_end(ended),
        () = cut.cancelled() => None,
        () = given_up(stranger.as_ref()) => return,
        () = calls.idle(FIRST_CALL, if known { IDLE } else { IDLE_STRANGER }) => Some(LINGER),
    };
    let linger = match linger {
        Some(linger) => linger,
        None if !shutdown.stopping().is_cancelled() => LINGER_REVOKED,
        None => tokio::select! {
            ended = connection.as_mut() => return log_end(ended),
            () = calls.all_ended() => LINGER,
        },
    };
    connection.as_mut().graceful_shutdown();
    // What does not end in time is dropped with the connection.
    let _ = tokio::time::timeout(linger, connection).await;
    drop(held);
}

/// Boxed: a future that awaits it inline would hold its size more than once.
fn speak<S>(stream: S, handler: Handler, known: bool) -> Pin<Box<Connection<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(builder(known).serve_connection(TokioIo::new(stream), handler))
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(error = %postern_runtime::supervise::chain(&error), "gateway.connection_broken");
    }
}

fn builder(known: bool) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(if known { CONNECTION_WINDOW_BYTES } else { WINDOW_BYTES })
        .max_concurrent_streams(if known { STREAMS } else { STREAMS_STRANGER })
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_BYTES)
        .auto_date_header(false);
    builder
}

/// Passes the calls of one connection on, with the caller.
#[derive(Debug)]
struct Handler {
    peer: Option<Arc<PeerAgent>>,
    address: IpAddr,
    service: Arc<Service>,
    calls: Arc<Calls>,
}

impl hyper::service::Service<Request<Incoming>> for Handler {
    type Response = Response<Answer<tonic::body::Body>>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let call = self.calls.open();
        Answering { answer: self.service.call(self.peer.as_ref(), self.address, request), call: Some(call) }
    }
}

/// A call that is being answered.
struct Answering {
    answer: Answered,
    call: Option<OpenCall>,
}

impl Future for Answering {
    type Output = Result<Response<Answer<tonic::body::Body>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(context).map_ok(|response| {
            let call = self.call.take();
            response.map(|body| Answer::new(body, call))
        })
    }
}
