//! The calls that are open on a connection: while there is one, the connection is not idle.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

/// Counts the calls that are open on a connection.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    open: AtomicU32,
    /// Signals that a call began or ended.
    changed: Notify,
}

impl Calls {
    /// Opens a call.
    pub(crate) fn open(self: &Arc<Self>) -> OpenCall {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
        OpenCall(Arc::clone(self))
    }

    /// Ends when the connection has had no call for too long: `first` before its first call, `between` after that. No
    /// timer runs while a call is open.
    pub(crate) async fn idle(&self, first: Duration, between: Duration) {
        let mut period = first;
        loop {
            let changed = self.changed.notified();
            if self.open.load(Ordering::Acquire) > 0 {
                changed.await;
                period = between;
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(period) => return,
            }
        }
    }

    /// Ends when no call is open.
    pub(crate) async fn all_ended(&self) {
        while self.open.load(Ordering::Acquire) > 0 {
            self.changed.notified().await;
        }
    }
}

/// A call that is open as long as this lives.
#[derive(Debug)]
pub(crate) struct OpenCall(Arc<Calls>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

/// The body of an answer; the call stays open until the body ends.
pub(crate) struct Answer<B> {
    body: B,
    _call: Option<OpenCall>,
}

impl<B> Answer<B> {
    /// The body of this call's answer.
    pub(crate) fn new(body: B, call: Option<OpenCall>) -> Self {
        Self { body, _call: call }
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
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

    const FIRST: Duration = Duration::from_secs(10);
    const BETWEEN: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_no_call_was_open_for_a_while() {
        let calls = Arc::new(Calls::default());
        let began = Instant::now();
        calls.idle(FIRST, BETWEEN).await;
        assert_eq!(began.elapsed(), FIRST, "it never asked anything");

        let open = calls.open();
        let mut waiting = std::pin::pin!(calls.idle(FIRST, BETWEEN));
        let during = tokio::time::timeout(BETWEEN * 100, waiting.as_mut()).await;
        assert!(during.is_err(), "a session lasts for as long as it likes");
        let ended = Instant::now();
        drop(open);
        waiting.await;
        assert_eq!(ended.elapsed(), BETWEEN);
    }
}
