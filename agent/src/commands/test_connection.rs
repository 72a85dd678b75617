//! The agent's own diagnosis of one directory, asked for from afar.

use super::Work;
use super::outcome::{Answer, End};

/// A diagnosis that finds trouble is still an answer.
pub(super) async fn run(work: &Work) -> End {
    End::Answered(Answer::TestConnection(work.directory.check().await))
}
