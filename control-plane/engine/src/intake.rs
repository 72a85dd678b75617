//! An import on its way in: `apply` applies chunks and records them, `proof` compares what was recorded with what
//! the agent says that it sent, `commit` draws the conclusions; `first_import` knows who needs no look-up,
//! `renames` who must be renamed together, `repeats` which external ids came more than once, and `shared` remembers the accounts of such ids. `groups` and `heirs` settle what the leaving of accounts means for others, and
//! `resolve` is what an administrator decides.

pub mod apply;
pub mod commit;
pub mod configuration;
mod conflicts;
mod containers;
pub mod decide;
pub mod decided;
pub mod deferred;
pub mod deliveries;
mod describe;
mod entry_view;
pub mod first_import;
mod former_names;
pub mod gone;
mod groups;
mod heirs;
pub mod hold;
pub mod in_flight;
pub mod keys;
mod known;
pub mod listed;
pub mod missing;
mod nobody;
pub(crate) mod notes;
pub mod place;
pub mod proof;
mod renames;
mod repeats;
pub mod report;
pub mod resolve;
pub mod result;
pub mod sensitive;
mod shared;
pub mod source;
mod standing;
mod threshold;
mod verdicts;
