//! What the store promises, on each of its engines. One program for all suites: each would be linked anew, which takes longer
//! than to run it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod absences;
mod access;
mod active;
mod asked;
mod audit;
mod certificates;
mod effective;
mod engine;
mod filters;
mod holds;
mod identities;
mod intake;
mod isolation;
mod jobs;
mod leases;
mod lists;
mod mapping_runs;
mod mappings;
mod matching;
mod meanwhile;
mod merges;
mod named_groups;
mod order;
mod own_identities;
mod own_members;
mod own_users;
mod pending;
mod plans;
mod proven;
mod provisioning;
mod retention;
mod schedules;
mod sessions;
mod sizes;
mod standing;
mod support;
mod twins;
mod unique;
mod working_copy;
mod written;
