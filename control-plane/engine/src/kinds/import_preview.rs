//! A preview of an import: everything is read and decided as for an import, and nothing is written but the preview.

mod report;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use postern_proto::v1;
use postern_store::{Job, JobId};
use serde::Deserialize as _;
use serde_json::Value;
use utoipa::ToSchema;

use super::import::Import;
use crate::intake::preview;
use crate::intake::preview::result::PreviewResult;
use crate::jobs::failure::Next;
use crate::jobs::kind::{Argument, Attempt, Flag, InputError, Kind, Schemas, Words};
use crate::jobs::report::{Ended, Report};
use crate::jobs::running::Running;

/// What a preview of an import is asked for.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes the input, which is that of an import")]
pub struct ImportPreviewInput {
    /// DNs of containers that were deleted with all their entries, as for an import.
    #[schema(max_items = 20)]
    gone_containers: Option<Vec<String>>,
}

/// Finds out what an import would do.
#[derive(Debug)]
pub struct ImportPreview;

#[async_trait]
impl Kind for ImportPreview {
    fn words(&self) -> Words {
        Words {
            name: "import_preview",
            word: "import-preview",
            about: "Show what an import of a directory would do, and change nothing",
            noun: "preview",
        }
    }

    fn found(&self, result: &Value) -> Option<String> {
        let rows = PreviewResult::deserialize(result).ok()?.rows;
        let noun = if rows == 1 { "user or group" } else { "users and groups" };
        Some(format!("{rows} {noun} that an import would touch"))
    }

    fn deadline(&self) -> Duration {
        Import.deadline()
    }

    fn uses_copy(&self) -> bool {
        true
    }

    fn is_scheduled(&self) -> bool {
        false
    }

    fn flag(&self) -> Option<Flag> {
        let help = "Show what the import would do, and change nothing";
        Some(Flag { word: Import.word(), name: "preview", help })
    }

    fn arguments(&self) -> &'static [Argument] {
        Import.arguments()
    }

    fn counts(&self) -> Option<fn(&Value) -> Option<u64>> {
        Some(|result| PreviewResult::deserialize(result).ok().map(|result| result.import.users + result.import.groups))
    }

    fn schemas(&self) -> Schemas {
        Schemas::of::<ImportPreviewInput, PreviewResult>()
    }

    fn input(&self, asked: &Value) -> Result<Value, InputError> {
        Import.input(asked)
    }

    fn command(&self, job: &Job) -> Result<v1::command::Kind, InputError> {
        // The agent only reads, so it need not know that nothing comes of it.
        Import.command(job)
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
        Import.answered(attempt, answer, elapsed).await
    }

    async fn finish(&self, running: &Arc<Running>, job: JobId, attempt: u32) -> Result<(), postern_store::Error> {
        Box::pin(preview::run(running, job, attempt)).await
    }
}
