//! Jobs: what administrators ask for, given to agents as commands, followed to their end.

pub mod dispatch;
pub mod kinds;
pub mod outcome;
pub mod reach;
