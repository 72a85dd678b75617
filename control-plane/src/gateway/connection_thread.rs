//! A thread that makes connections and does nothing else, for the sake of memory: an allocator gives each thread a
//! region of its own. What a connection holds for as long as it lives is mostly buffers that it hardly uses; made where
//! handshakes and enrollments come and go, they would lie on pages that those have touched, and be resident in full.
//! Seen with ten thousand idle agents: a fifth of all memory.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use tokio::sync::{mpsc, oneshot};

type Order = Box<dyn FnOnce() + Send>;

/// The thread; it ends with the last clone.
#[derive(Clone, Debug)]
pub(super) struct ConnectionThread(mpsc::UnboundedSender<Order>);

impl ConnectionThread {
    /// Starts the thread.
    pub(super) fn open() -> io::Result<Self> {
        let (orders, mut waiting) = mpsc::unbounded_channel::<Order>();
        let work = move || {
            while let Some(order) = waiting.blocking_recv() {
                // Whoever ordered finds that nothing comes back; the next order is made all the same.
                let _ = catch_unwind(AssertUnwindSafe(order));
            }
        };
        thread::Builder::new().name("connections".to_owned()).spawn(work)?;
        Ok(Self(orders))
    }

    /// What `make` makes, made on the thread; nothing if it panicked.
    pub(super) async fn make<T: Send + 'static>(&self, make: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        self.0.send(Box::new(move || drop(done.send(make())))).ok()?;
        result.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_is_not_made_and_the_next_is() {
        let thread = ConnectionThread::open().unwrap();
        assert_eq!(thread.make(|| -> u8 { panic!("on purpose") }).await, None);
        let name = thread.make(|| thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, Some(Some("connections".to_owned())));
    }
}
