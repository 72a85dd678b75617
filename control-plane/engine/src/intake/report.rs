//! What an agent reports of an import beside its entries.

use postern_proto::limits::MAX_ROWS;
use postern_proto::{text, v1};
use serde::{Deserialize, Serialize};

/// What an agent reports of an import beside its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Users delivered.
    pub users: u64,
    /// Groups delivered.
    pub groups: u64,
    /// Pages read.
    pub pages: u64,
    /// Referrals that were not followed.
    pub referrals: u64,
    /// Entries without what an import needs, such as an external id.
    pub unusable: u64,
    /// Some of them, with the reason.
    pub unusable_samples: Vec<String>,
    /// Entries that were left out, and groups whose members were not read.
    #[serde(default)]
    pub remarks: u64,
    /// Some of them, with the reason.
    #[serde(default)]
    pub remark_samples: Vec<String>,
    /// The attributes that cannot be read, where it is unknown who is let in.
    #[serde(default)]
    pub unreadable_switch: Option<String>,
    /// Some of the users of whom it is unknown, each with its attribute.
    #[serde(default)]
    pub unknown_switch_samples: Vec<String>,
    /// Values that were too large to be delivered; their entries came without them.
    #[serde(default)]
    pub values_left_out: u64,
    /// Some of them, by entry and attribute.
    #[serde(default)]
    pub left_out_samples: Vec<String>,
    /// How long the agent worked on it, milliseconds.
    pub elapsed_ms: u64,
}

impl ImportReport {
    /// From the agent's answer. Lists and texts are cut to their limits.
    pub fn of(import: &v1::ImportResult, elapsed_ms: u64) -> Self {
        let texts = |rows: &[String]| rows.iter().take(MAX_ROWS).map(|row| text::clean(row)).collect();
        Self {
            users: import.users,
            groups: import.groups,
            pages: import.pages,
            referrals: import.referrals,
            unusable: import.unusable,
            remarks: import.remarks,
            remark_samples: texts(&import.remark_samples),
            unusable_samples: texts(&import.unusable_samples),
            unreadable_switch: text::optional(&import.unreadable_switch),
            unknown_switch_samples: texts(&import.unknown_switch_samples),
            values_left_out: import.values_left_out,
            left_out_samples: texts(&import.left_out_samples),
            elapsed_ms,
        }
    }
}
