//! What the inputs of jobs share.

use std::time::Duration;

use serde_json::Value;

use crate::jobs::kind::InputError;

/// The deadline of jobs whose answer a person waits for.
pub(super) const QUESTION_DEADLINE: Duration = Duration::from_mins(2);

/// Refuses fields that a kind does not know.
pub(super) fn only(asked: &Value, known: &[&'static str]) -> Result<(), InputError> {
    let other = asked.as_object().into_iter().flatten().find(|(name, _)| !known.contains(&name.as_str()));
    match other {
        None => Ok(()),
        Some((name, _)) => Err(InputError::new(name.clone(), "it does not belong to this kind of job")),
    }
}
