//! The kinds of job, one file each. A new kind is its message in `command.proto`, its file here, its line in [`ALL`], and
//! its file among the agent's commands.

pub mod import;
pub mod lookup_user;
pub mod test_connection;
mod unseen;

use std::time::Duration;

use jiff::Timestamp;
use postern_proto::v1;
use postern_store::Flavour;
use serde_json::Value;

use crate::intake::report::ImportReport;
use crate::jobs::kind::{InputError, Kinds};

/// All kinds that there are.
pub const ALL: Kinds = &[&import::Import, &test_connection::TestConnection, &lookup_user::LookupUser];

/// A person waits for the answer.
const QUESTION_DEADLINE: Duration = Duration::from_mins(2);

/// Refuses fields that a kind does not know.
fn only(asked: &Value, known: &[&'static str]) -> Result<(), InputError> {
    let other = asked.as_object().into_iter().flatten().find(|(name, _)| !known.contains(&name.as_str()));
    match other {
        None => Ok(()),
        Some((name, _)) => Err(InputError::new(name.clone(), "it does not belong to this kind of job")),
    }
}

/// Reads an answer as its kind does, for the fuzz targets: whatever an agent sends, nothing may panic.
#[doc(hidden)]
pub fn fuzzing(answer: v1::outcome::Result) {
    use v1::outcome::Result as Answer;
    match answer {
        Answer::Import(import) => drop(ImportReport::of(&import, 0)),
        Answer::TestConnection(test) => drop(test_connection::checks(&test)),
        Answer::LookupUser(found) => {
            drop(lookup_user::describe(Flavour::Generic, &found.user, &found.groups, Timestamp::UNIX_EPOCH));
        }
        Answer::Error(_) => {}
    }
}
