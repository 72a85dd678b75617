//! Imports: `apply` applies chunks and records them, `proof` compares the record with what the agent sent, and `commit`
//! finishes the import. `first_import` saves look-ups, `renames` finds users to rename together, `repeats` finds
//! external ids that came more than once, and `shared` records their accounts. `groups` and `heirs` settle what missing
//! accounts mean for others, and `resolve` carries out administrators' decisions.

pub mod apply;
pub mod candidates;
pub mod claims;
pub mod commit;
pub mod configuration;
pub mod conflicts;
mod containers;
pub mod decide;
pub mod decided;
pub mod deferred;
pub mod deliveries;
mod describe;
pub mod effect;
pub mod effect_of_order;
pub mod effect_of_rules;
mod entry_view;
pub mod first_import;
mod former_names;
pub mod gone;
pub mod group_name;
mod groups;
mod heirs;
pub mod hold;
pub mod in_flight;
pub mod joined_profiles;
pub mod keys;
mod known;
mod last_good;
pub mod listed;
mod matches;
pub mod missing;
pub mod moved_containers;
pub mod named_groups;
mod nobody;
pub(crate) mod notes;
mod pace;
pub mod place;
pub mod preview;
pub mod proof;
pub mod reading;
pub mod remap;
mod renames;
pub mod reorder;
mod repeats;
pub mod report;
pub mod resolve;
pub mod result;
pub mod sensitive;
mod shared;
pub mod source;
mod standing;
mod threshold;
pub mod tried;
mod verdicts;
