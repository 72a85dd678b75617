//! One connection after its handshake: HTTP/2 with small limits, ended when it is idle, when its agent is revoked,
//! or when the process stops.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use postern_runtime::lifecycle::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use super::service::{Answered, Service};
use super::workshop::Workshop;
use crate::pki::PeerAgent;

/// A connection that made no call for this long is closed; one that never made any after the first period.
const FIRST_CALL: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_mins(1);
/// Time for answers under way to leave once a connection is being closed.
const LINGER: Duration = Duration::from_secs(5);
/// The same for a revoked agent, whose line shall be cut within a second.
const LINGER_REVOKED: Duration = Duration::from_millis(200);

const WINDOW_BYTES: u32 = 1 << 20;
/// A session, a delivery or two, a renewal.
const STREAMS: u32 = 8;
const SEND_BUFFER_BYTES: usize = 64 << 10;
const HEADER_BYTES: u32 = 4 << 10;

/// Counts the calls that are open on a connection.
#[derive(Debug, Default)]
struct Calls {
    open: AtomicU32,
    /// One began or ended.
    changed: Notify,
}

type Connection<S> = http2::Connection<TokioIo<S>, Handler, TokioExecutor>;

/// Serves a connection until either end closes it.
pub(super) async fn serve<S>(
    stream: S,
    peer: Option<Arc<PeerAgent>>,
    service: Arc<Service>,
    workshop: Workshop,
    shutdown: &Shutdown,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let calls = Arc::new(Calls::default());
    // Canceled for a revoked agent, and for everybody when the process stops: one thing to wait for, not two.
    let cut = shutdown.stopping().child_token();
    let held = peer.as_ref().map(|peer| service.registry().connected(peer.agent, cut.clone()));
    let handler = Handler { peer, service, calls: Arc::clone(&calls) };
    let Some(mut connection) = workshop.make(move || speak(stream, handler)).await else {
        tracing::error!("gateway.connection_not_made");
        return;
    };
    drop(workshop);
    let linger = tokio::select! {
        biased;
        ended = connection.as_mut() => return log_end(ended),
        () = cut.cancelled() => None,
        () = idle(&calls) => Some(LINGER),
    };
    let linger = match linger {
        Some(linger) => linger,
        None if !shutdown.stopping().is_cancelled() => LINGER_REVOKED,
        None => tokio::select! {
            ended = connection.as_mut() => return log_end(ended),
            () = all_ended(&calls) => LINGER,
        },
    };
    connection.as_mut().graceful_shutdown();
    // What does not end by then is dropped with the connection.
    let _ = tokio::time::timeout(linger, connection).await;
    drop(held);
}

/// In a box of its own: a future that awaits it would hold the room for it more than once.
fn speak<S>(stream: S, handler: Handler) -> Pin<Box<Connection<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(builder().serve_connection(TokioIo::new(stream), handler))
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(error = %postern_runtime::supervise::chain(&error), "gateway.connection_broken");
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_BYTES)
        .auto_date_header(false);
    builder
}

/// Ends when the connection has had no call for too long. There is no timer while one is open, as there is for as long
/// as a session lasts.
async fn idle(calls: &Calls) {
    let mut period = FIRST_CALL;
    loop {
        let changed = calls.changed.notified();
        if calls.open.load(Ordering::Acquire) > 0 {
            changed.await;
            period = IDLE;
            continue;
        }
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(period) => return,
        }
    }
}

/// Ends when the calls are over: sessions drain by themselves when the process stops, and say good-bye.
async fn all_ended(calls: &Calls) {
    while calls.open.load(Ordering::Acquire) > 0 {
        calls.changed.notified().await;
    }
}

/// Passes the calls of one connection on, with who is calling.
#[derive(Debug)]
struct Handler {
    peer: Option<Arc<PeerAgent>>,
    service: Arc<Service>,
    calls: Arc<Calls>,
}

impl hyper::service::Service<Request<Incoming>> for Handler {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let call = OpenCall::new(&self.calls);
        Answering { answer: self.service.call(self.peer.as_ref(), request), call: Some(call) }
    }
}

/// A call that is open as long as this lives.
#[derive(Debug)]
struct OpenCall(Arc<Calls>);

impl OpenCall {
    fn new(calls: &Arc<Calls>) -> Self {
        calls.open.fetch_add(1, Ordering::AcqRel);
        calls.changed.notify_one();
        Self(Arc::clone(calls))
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

/// A call whose answer is being made.
struct Answering {
    answer: Answered,
    call: Option<OpenCall>,
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(context).map_ok(|response| {
            let call = self.call.take();
            response.map(|body| Answer { body, _call: call })
        })
    }
}

/// The body of an answer; the call is open until it ends.
struct Answer {
    body: tonic::body::Body,
    _call: Option<OpenCall>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_no_call_was_open_for_a_while() {
        let calls = Arc::new(Calls::default());
        let began = Instant::now();
        idle(&calls).await;
        assert_eq!(began.elapsed(), FIRST_CALL, "it never asked anything");

        let open = OpenCall::new(&calls);
        let mut waiting = std::pin::pin!(idle(&calls));
        let during = tokio::time::timeout(IDLE * 100, waiting.as_mut()).await;
        assert!(during.is_err(), "a session lasts for as long as it likes");
        let ended = Instant::now();
        drop(open);
        waiting.await;
        assert_eq!(ended.elapsed(), IDLE);
    }
}
