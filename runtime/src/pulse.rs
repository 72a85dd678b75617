//! Whether a loop still goes round. A timer of its own would go on beating beside a loop that is stuck, so the loop itself
//! is asked, and answers from where it waits for its work.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;

/// The pulse of one loop. Clones are the same pulse.
#[derive(Clone, Debug)]
pub struct Pulse {
    asked: Arc<watch::Sender<u64>>,
    answered: Arc<watch::Sender<u64>>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { asked: Arc::new(watch::Sender::new(0)), answered: Arc::new(watch::Sender::new(0)) }
    }
}

impl Pulse {
    /// Asks, and waits until the loop has answered.
    pub async fn felt(&self) {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        // Both ends are in `self`: waiting cannot fail.
        let _ = self.answered.subscribe().wait_for(|answered| *answered >= number).await;
    }

    /// In the loop, beside its work: waits until somebody asks, and answers. Canceled in between, nothing is lost.
    pub async fn beat(&self) {
        let answered = *self.answered.borrow();
        let mut asked = self.asked.subscribe();
        let number = asked.wait_for(|asked| *asked > answered).await.map_or(answered, |asked| *asked);
        self.answered.send_replace(number);
    }

    /// Answers while `step` is under way. For steps of the loop that have a limit of time of their own.
    pub async fn during<F: Future>(&self, step: F) -> F::Output {
        let mut step = pin!(step);
        loop {
            tokio::select! {
                biased;
                output = &mut step => return output,
                () = self.beat() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_loop_that_is_stuck_is_not_felt_until_it_goes_round_again() {
        let pulse = Pulse::default();
        let mut felt = Box::pin(pulse.felt());
        assert!((&mut felt).now_or_never().is_none(), "nobody has answered");
        pulse.beat().await;
        felt.await;
        assert!(pulse.beat().now_or_never().is_none(), "nobody asks");
        // An answer counts for what was asked before, and not for what is asked later.
        assert!(pulse.felt().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_step_that_takes_its_time_answers_meanwhile() {
        let pulse = Pulse::default();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let asking = async {
            pulse.felt().await;
            pulse.felt().await;
            end.send(()).unwrap();
        };
        let (output, ()) = tokio::join!(pulse.during(ended), asking);
        output.unwrap();
    }
}
