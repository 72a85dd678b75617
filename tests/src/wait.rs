//! Waiting for a condition, with a bound: the only place of the harness that sleeps.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

/// Bound for what takes well under a second on an idle machine; generous because tests share two cores.
pub const SOON: Duration = Duration::from_secs(30);

/// Asks `probe` until it answers `Some`, and returns that answer.
///
/// An error of the probe counts as "not yet"; the last one is part of the error when the bound is over.
pub async fn until<T, F, Fut>(what: &str, bound: Duration, mut probe: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        let last_error = match probe().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if began.elapsed() >= bound {
            let not_reached = format!("waited {bound:?} in vain until {what}");
            return match last_error {
                Some(error) => Err(error).context(not_reached),
                None => Err(anyhow!(not_reached)),
            };
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// As [`until`], for a condition without an answer.
pub async fn until_true<F, Fut>(what: &str, bound: Duration, mut probe: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<bool>>,
{
    until(what, bound, || {
        let asked = probe();
        async { Ok(asked.await?.then_some(())) }
    })
    .await
}

/// Watches `probe` for the whole of `span` and fails as soon as it no longer holds: for "nothing happens" promises.
pub async fn holds_for<F, Fut>(what: &str, span: Duration, mut probe: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<bool>>,
{
    let began = Instant::now();
    while began.elapsed() < span {
        if !probe().await? {
            return Err(anyhow!("no longer so after {:?}: {what}", began.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
