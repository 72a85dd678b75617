//! Which operations of the report are wanted.

use clap::Args;
use jiff::Timestamp;
use postern_engine::records::OperationState;

use super::super::choice::choice;
use super::super::moment;

/// Which operations are wanted.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Filter {
    /// Only of this user
    #[arg(long)]
    user: Option<String>,
    /// Only of this group
    #[arg(long, conflicts_with = "user")]
    group: Option<String>,
    /// Only in this directory
    #[arg(long, value_name = "DIRECTORY")]
    target: Option<String>,
    /// Only this action, like create
    #[arg(long)]
    action: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = choice::<OperationState>())]
    state: Option<OperationState>,
    /// Only of this plan
    #[arg(long)]
    plan: Option<uuid::Uuid>,
    /// Only at this time or later, like 2026-01-31T00:00:00Z, a date (midnight UTC), or 30d for thirty days ago
    #[arg(long, value_name = "TIME", value_parser = moment::earlier)]
    since: Option<Timestamp>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = moment::earlier)]
    until: Option<Timestamp>,
}

impl Filter {
    pub(super) fn query(self) -> Vec<(&'static str, String)> {
        let texts = [
            ("user", self.user),
            ("group", self.group),
            ("target", self.target),
            ("action", self.action),
            ("state", self.state.map(|state| state.as_str().to_owned())),
            ("plan", self.plan.map(|plan| plan.to_string())),
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
        ];
        texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }
}
