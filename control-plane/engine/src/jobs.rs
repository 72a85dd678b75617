//! Jobs: what administrators ask for, given to agents as commands, followed to their end. What a job does is the
//! business of its kind (`kind` says what every kind has to answer); nothing here knows one of them.

pub mod command;
pub mod dispatch;
pub mod failure;
pub mod kind;
pub mod reach;
pub mod report;
pub mod running;
