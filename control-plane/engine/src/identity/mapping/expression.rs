//! Expressions in the Common Expression Language (CEL). The crate `cel` reads them; they are evaluated here, because an
//! evaluation must be bounded in time and memory, and the crate's own has no bounds.
//!
//! An expression is compiled once: names become places, and what can be known to be wrong is an error then. An evaluation
//! has so many steps and so much text to make, and ends with an error when these are used up.

mod arithmetic;
mod compile;
mod evaluate;
mod functions;
mod inputs;
mod loops;
mod texts;

use std::fmt;

pub use self::evaluate::Evaluation;
pub use self::inputs::{Inputs, Slot, Slots};

use self::compile::Node;
use crate::identity::values::Value;

/// The longest expression, in characters.
pub const MAX_CHARACTERS: usize = 2_000;
/// The most brackets, dots and operators. The parser calls itself for each, so they bound its stack.
const MAX_PUNCTUATION: usize = 400;
/// The deepest nesting.
const MAX_DEPTH: u32 = 64;
/// The deepest nesting of brackets and calls that is parsed.
const MAX_PARSED_DEPTH: u16 = 48;
/// The stack of the parser.
const PARSER_STACK: usize = 32 * 1024 * 1024;
/// The most steps of one evaluation: each part of the expression is one, each time that it is evaluated.
const MAX_STEPS: u32 = 20_000;
/// The most text that one evaluation reads or makes, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The most values of an attribute that an expression reads.
const MAX_VALUES: usize = 1_000;

/// Attributes that are shown with an error, and the most characters of them.
const SHOWN: usize = 3;
const MAX_SHOWN: usize = 100;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    node: Node,
    /// The attributes that it reads.
    reads: Vec<usize>,
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: character of the source, the first is 1. 0: nowhere in particular.
    pub position: u32,
    /// What is wrong, as a clause.
    pub what: String,
    /// Nothing makes up for it: the bounds of the evaluation are reached.
    is_final: bool,
}

impl Fault {
    pub(crate) fn new(position: u32, what: impl Into<String>) -> Self {
        Self { position, what: what.into(), is_final: false }
    }

    fn beyond_bounds(what: &str) -> Self {
        Self { position: 0, what: what.to_owned(), is_final: true }
    }

    /// The same, at a position, unless it has one.
    fn at(mut self, position: u32) -> Self {
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

impl Expression {
    /// Compiles an expression. The attributes that it reads get places among `slots`.
    pub fn compile(source: &str, slots: &mut Slots) -> Result<Self, Fault> {
        // On a stack of its own: the parser may need more than a task has. If it fails altogether, that is an error, too.
        let node = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("mapping.compile".to_owned()).stack_size(PARSER_STACK);
            let compiling = thread.spawn_scoped(scope, || compile::compile(source, slots));
            match compiling.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(node)) => node,
                Ok(Err(_)) | Err(_) => Err(Fault::new(0, "it cannot be read")),
            }
        })?;
        Ok(Self { node, reads: slots.take_read() })
    }

    /// What it reads of an entry, for people: `name=value`, cut.
    pub fn shown(&self, inputs: &Inputs<'_>) -> String {
        let read = self.reads.iter().filter_map(|place| Some((inputs.slots.all().get(*place)?, inputs.raw(*place))));
        let read = read.map(|(slot, value)| {
            let value = value.to_text().map_or_else(String::new, |text| text.chars().take(MAX_SHOWN).collect());
            format!("{}={value}", slot.name)
        });
        let shown: Vec<String> = read.take(SHOWN).collect();
        shown.join(", ").chars().take(MAX_SHOWN).collect()
    }

    /// Evaluates it.
    pub fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Value, Fault> {
        Evaluation::new(inputs).value(&self.node)
    }
}

#[cfg(test)]
mod tests;
