//! Transactions that the database undid because of others, repeated: nothing of them was stored.

use super::error::{Error, Result};

/// How often a transaction is tried.
const TRIES: usize = 3;

/// Carries a transaction out, and once more if the database undid it because of another one.
pub(super) async fn again<T, F: Future<Output = Result<T>>>(mut once: impl FnMut() -> F) -> Result<T> {
    for _ in 1..TRIES {
        match once().await {
            Err(Error::Unavailable(error)) if error.is_undone() => {
                tracing::info!(error = %error, "store.transaction_repeated");
            }
            done => return done,
        }
    }
    once().await
}
