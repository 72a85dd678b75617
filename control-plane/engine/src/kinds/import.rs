//! An import: all users and groups of a directory are read, and what that means is concluded.

mod report;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use postern_proto::v1;
use postern_store::{Job, JobId};
use serde::Deserialize as _;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::input::only;
use crate::intake::commit;
use crate::intake::gone::{self, Gone};
use crate::intake::reconcile;
use crate::intake::report::ImportReport;
use crate::intake::result::ImportResult;
use crate::jobs::failure::{Failure, Next};
use crate::jobs::kind::{Argument, Attempt, InputError, Kind, Schemas, Words};
use crate::jobs::report::{Ended, Report};
use crate::jobs::running::Running;

/// Waits at most this long for an agent unless the request says otherwise.
const DEADLINE: Duration = Duration::from_hours(24);

/// What an import is asked for.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes the input; `intake::gone` reads it")]
pub struct ImportInput {
    /// DNs of containers that were deleted with all their entries, at most 20, with 8,192 bytes in all. Accounts whose
    /// container is not found are marked missing if it is one of these or below one; the import is held before that.
    #[schema(max_items = 20)]
    gone_containers: Option<Vec<String>>,
    /// Then compare all users and groups with what is really there: `enforce` carries out what differs, `report` makes a
    /// plan of it, with the id of the job. Absent: only import.
    reconcile: Option<String>,
}

/// Reads all users and groups of a directory.
#[derive(Debug)]
pub struct Import;

#[async_trait]
impl Kind for Import {
    fn words(&self) -> Words {
        Words { name: "import", word: "import", about: "Read all users and groups of a directory", noun: "import" }
    }

    fn found(&self, result: &Value) -> Option<String> {
        let result = ImportResult::deserialize(result).ok()?;
        Some(format!("{} and {}", counted(result.users, "user"), counted(result.groups, "group")))
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        &[Argument {
            field: gone::INPUT,
            name: "gone",
            value_name: "DN",
            is_option: true,
            help: "A container that was deleted with all its entries. Needed if the directory does not distinguish deleted \
                   containers from hidden ones. The import is held before accounts in it are marked missing. May be \
                   given several times",
        }]
    }

    fn counts(&self) -> Option<fn(&Value) -> Option<u64>> {
        Some(|result| ImportResult::deserialize(result).ok().map(|result| result.users + result.groups))
    }

    fn schemas(&self) -> Schemas {
        Schemas::of::<ImportInput, ImportResult>()
    }

    fn input(&self, asked: &Value) -> Result<Value, InputError> {
        only(asked, &[gone::INPUT, reconcile::INPUT])?;
        let mut input = deleted_containers(&asked[gone::INPUT])?;
        match asked[reconcile::INPUT].as_str() {
            Some(what) if [reconcile::ENFORCE, reconcile::REPORT].contains(&what) => {
                input[reconcile::INPUT] = json!(what);
            }
            None if asked[reconcile::INPUT].is_null() => {}
            _ => return Err(InputError::new(reconcile::INPUT, "it must be `enforce` or `report`")),
        }
        Ok(input)
    }

    fn command(&self, _: &Job) -> Result<v1::command::Kind, InputError> {
        Ok(v1::command::Kind::Import(v1::Import { chunk_entries: postern_proto::CHUNK_ENTRIES }))
    }

    fn report(&self, ended: Ended<'_>, report: &mut Report) {
        report::show(ended, report);
    }

    async fn answered(
        &self,
        attempt: Attempt<'_>,
        answer: v1::outcome::Result,
        elapsed: Duration,
    ) -> Result<Option<Next>, postern_store::Error> {
        let Attempt { running, job, proven, canceled } = attempt;
        let v1::outcome::Result::Import(import) = answer else {
            return Ok((!proven).then(|| Next::Fail(Failure::unexpected().to_json())));
        };
        if !proven {
            return Ok(Some(running.after(&job, &unproven(), canceled)));
        }
        let report = ImportReport::of(&import, u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        running.report(job.id, job.attempt, serde_json::to_value(report).unwrap_or_default()).await?;
        Ok(None)
    }

    async fn finish(&self, running: &Arc<Running>, job: JobId, attempt: u32) -> Result<(), postern_store::Error> {
        Box::pin(commit::run(running, job, attempt)).await
    }
}

/// The containers that were deleted.
fn deleted_containers(asked: &Value) -> Result<Value, InputError> {
    let names: Option<Vec<String>> = match asked {
        Value::Null => return Ok(json!({})),
        Value::Array(names) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    names.as_deref().and_then(Gone::input).ok_or_else(|| {
        let (most, bytes) = (gone::MOST, gone::MOST_BYTES);
        let detail = format!("DNs of containers, at most {most} of them, with {bytes} bytes in all");
        InputError::new(gone::INPUT, detail)
    })
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn unproven() -> Failure {
    Failure::new(
        "internal",
        "The agent ended the import without proving that everything arrived.",
        "Start the import again; if it happens again, look into the agent's log.",
    )
    .retryable()
}
