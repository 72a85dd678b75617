//! The kinds of job, one file each. A new kind needs a message in `command.proto`, a file here, a line in [`ALL`], and
//! a file among the agent's commands.

pub mod found;
pub mod import;
pub mod import_preview;
mod input;
pub mod lookup_user;
pub mod test_connection;
mod unseen;

use jiff::Timestamp;
use postern_proto::v1;
use postern_store::Flavour;

use crate::intake::report::ImportReport;
use crate::jobs::kind::Kinds;
use crate::provisioning::directory;

/// All kinds that there are.
pub const ALL: Kinds =
    &[&import::Import, &import_preview::ImportPreview, &test_connection::TestConnection, &lookup_user::LookupUser];

/// Reads an answer as its kind does, for the fuzz targets: no input may panic.
#[doc(hidden)]
pub fn fuzzing(answer: v1::outcome::Result) {
    use v1::outcome::Result as Answer;
    match answer {
        Answer::Import(import) => drop(ImportReport::of(&import, 0)),
        Answer::TestConnection(test) => drop(test_connection::checks(&test)),
        Answer::LookupUser(found) => {
            drop(lookup_user::describe((Flavour::Generic, None), &found.user, &found.groups, Timestamp::UNIX_EPOCH));
        }
        Answer::Operate(done) => drop(directory::done(done)),
        Answer::Error(_) => {}
    }
}
