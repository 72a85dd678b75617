//! Changes in a directory: one operation says the wanted end for one entry, and this room finds what is left to do.
//!
//! Each operation goes the same way (`run`): find the entry and read it as it is now (`target`), look whether it may be
//! written (`protected`, and the site's [`Gate`]), compare, send only what differs, and read the entry again (`after`).
//! An operation can be repeated at any time: what is done already is not sent again.

pub(crate) mod failure;

mod after;
mod create;
mod delete;
mod gate;
mod operation;
mod outcome;
mod request;
pub(crate) mod run;
pub(crate) mod session;
mod syntax;
mod target;
mod update;
mod values;
mod work;
mod writable;

pub use failure::{Action, Denied, Failure, Refusal};
pub use gate::{Facts, Gate, Intent, Kind};
pub use operation::{
    AttributeChange, BothChanged, Change, Create, Existing, MemberChange, Move, NewPassword, Operation, Subject,
};
pub use outcome::{BothEnds, Done, Effect, RefusedAttribute};
