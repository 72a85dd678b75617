//! Changes in a directory: one operation says the wanted end for one entry, and this room finds what is left to do.
//!
//! Each operation goes the same way (`run`): find the entry and read it as it is now (`target`), look whether it may be
//! written (`protected`, and the site's [`Gate`]), compare, send only what differs, and read the entry again (`after`).
//! An operation can be repeated at any time: what is done already is not sent again.

mod after;
mod attributes;
mod below;
mod choice;
mod container;
mod create;
mod delete;
mod existing;
mod extended;
mod facts;
mod gate;
mod kind_of;
mod members;
mod nesting;
mod new_entry;
mod operation;
mod outcome;
mod partial_add;
mod password;
mod protected;
mod read_back;
mod rehearse;
mod relocate;
mod renamed;
mod request;
mod rules;
pub(crate) mod run;
pub(crate) mod session;
mod state;
mod syntax;
mod target;
mod unlock;
mod unsettled;
mod update;
mod values;
mod work;
mod writable;

pub use crate::failure::{Action, Denied, Failure, Refusal};
pub use container::container;
pub use gate::{Facts, Gate, Intent, Kind, Written};
pub use operation::{
    AttributeChange, BothChanged, Change, Create, Existing, MemberChange, Move, NewPassword, Operation, Subject,
};
pub use outcome::{BothEnds, Done, Effect, RefusedAttribute, RefusedMember};
