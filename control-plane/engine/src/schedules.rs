//! Schedules: jobs that start by themselves. `timing` is what an administrator writes, `times` says when that is in a time
//! zone, `jitter` spreads runs, `plan` puts them together, and `runner` starts what is due.

pub mod jitter;
pub mod plan;
pub mod runner;
pub mod times;
pub mod timing;
