//! A thread that only makes connections, which saves memory: an allocator gives each thread a region of its own. What a
//! connection keeps is mostly buffers that it hardly uses. Made among handshakes and enrollments, they would lie on
//! pages that those have touched, and would be resident in full: a fifth of all memory with ten thousand idle agents.

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
                // If an order panics, its caller receives nothing, and the next order still runs.
                let _ = catch_unwind(AssertUnwindSafe(order));
            }
        };
        thread::Builder::new().name("connections".to_owned()).spawn(work)?;
        Ok(Self(orders))
    }

    /// Runs `make` on the thread; `None` if it panicked.
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
