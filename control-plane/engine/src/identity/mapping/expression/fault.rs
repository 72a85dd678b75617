//! What is wrong with an expression.

use std::fmt;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: character of the source, the first is 1. 0: nowhere in particular.
    pub position: u32,
    /// What is wrong, as a clause.
    pub what: String,
    /// Nothing makes up for it: the bounds of the evaluation are reached.
    pub(super) is_final: bool,
}

impl Fault {
    pub(crate) fn new(position: u32, what: impl Into<String>) -> Self {
        Self { position, what: what.into(), is_final: false }
    }

    pub(super) fn beyond_bounds(what: &str) -> Self {
        Self { position: 0, what: what.to_owned(), is_final: true }
    }

    /// The same, at a position, unless it has one.
    pub(super) fn at(mut self, position: u32) -> Self {
        if self.position == 0 {
            self.position = position;
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            0 => f.write_str(&self.what),
            position => write!(f, "at character {position}: {}", self.what),
        }
    }
}

impl std::error::Error for Fault {}
