//! Jobs: requested by administrators, sent to agents as commands, followed to their end. What a job does is defined by
//! its kind (see `kind`); nothing here knows a particular one.

pub mod codes;
pub mod command;
pub mod dispatch;
pub mod failure;
pub mod kind;
pub mod reach;
pub mod report;
pub mod running;
