//! An import on its way in: `staging` applies chunks and records them, `proof` compares what was recorded with what
//! the agent says that it sent, `commit` draws the conclusions; `newcomers` knows who needs no look-up,
//! `renames` who must be renamed together, `repeats` which external ids came more than once, and `shared` remembers the accounts of such ids. `groups` and `heirs` settle what the leaving of accounts means for others, and
//! `resolve` is what an administrator decides.

pub mod commit;
pub mod configuration;
mod conflicts;
mod containers;
pub mod decide;
pub mod deferred;
pub mod deliveries;
mod describe;
mod entry_view;
mod former_names;
pub mod gone;
mod groups;
mod heirs;
pub mod hold;
pub mod in_flight;
mod known;
pub mod listed;
pub mod missing;
pub mod newcomers;
mod nobody;
pub(crate) mod notes;
pub mod proof;
mod renames;
mod repeats;
pub mod report;
pub mod resolve;
pub mod result;
pub mod sensitive;
mod shared;
pub mod source;
pub mod staging;
mod standing;
mod verdicts;
