//! Lets other tasks run while rules are evaluated: one evaluation is short, and many of them in a row are not.

/// So many steps are taken without a pause: some milliseconds.
const STRETCH: u64 = 50_000;

/// How many steps were taken since the last pause.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since: u64,
}

impl Pace {
    /// Notes these steps, and pauses if they have become many.
    pub(super) async fn after(&mut self, steps: u64) {
        self.since = self.since.saturating_add(steps);
        if self.since >= STRETCH {
            self.since = 0;
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn others_run_between_many_steps_and_few_steps_do_not_wait() {
        let ran = Arc::new(AtomicBool::new(false));
        let other = Arc::clone(&ran);
        let task = tokio::spawn(async move { other.store(true, Ordering::Relaxed) });
        let mut pace = Pace::default();
        pace.after(STRETCH - 1).await;
        assert!(!ran.load(Ordering::Relaxed));
        pace.after(1).await;
        assert!(ran.load(Ordering::Relaxed));
        task.await.unwrap();
    }
}
