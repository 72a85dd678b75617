//! Work that waits for a disk.

use crate::error::{EngineError, Error, Result};

/// Runs work on a thread that may wait for a disk.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program is ending.
            Err(_) => Err(Error::Unavailable(EngineError::Closed)),
        },
    }
}
