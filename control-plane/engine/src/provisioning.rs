//! The way out: who has an account in a target, and with which values. `runner` takes marks, `decide` reads the
//! users and groups behind them, `wanted` says which accounts they should have, `compare` finds what differs, and a
//! `connector` carries the operations out. `write_through` has what somebody changed although the
//! target is its source. `outcome` writes what came back. `plan` writes down what would be done.

mod agreed;
pub mod change;
pub mod compare;
pub mod connector;
mod container;
mod decide;
pub mod directory;
pub mod explain;
pub mod leaving;
mod left;
mod load;
mod members;
mod outcome;
mod pace;
pub mod passwords;
pub mod plan;
mod rate;
pub mod rules;
pub mod runner;
mod same;
pub(crate) mod sensitive;
pub mod settings;
mod size;
mod spread;
pub mod wanted;
mod worker;
pub mod write_through;
