//! Expressions in the Common Expression Language (CEL). The crate `cel` reads them; they are evaluated here, because an
//! evaluation must be bounded in time and memory, and the crate's own has no bounds.
//!
//! An expression is compiled once: names become places, and what can be known to be wrong is an error then. An evaluation
//! has so many steps and so much text to make, and ends with an error when these are used up.

mod arithmetic;
mod bounds;
mod compile;
mod evaluate;
mod fault;
mod functions;
mod inputs;
mod kind;
mod loops;
mod names;
mod syntax;
mod texts;

pub use self::bounds::{MAX_CHARACTERS, MAX_READ, MAX_STEPS_OF_ALL};
pub use self::evaluate::Evaluation;
pub use self::fault::Fault;
pub use self::inputs::{Inputs, Scope, Slot, Slots, says_something};
pub use self::kind::Kind;

use self::bounds::PARSER_STACK;
use self::compile::Node;
use crate::identity::values::Value;

/// Attributes that are shown with an error, and the most characters of them.
const SHOWN: usize = 3;
const MAX_SHOWN: usize = 100;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    node: Node,
    /// The attributes that it reads.
    reads: Vec<usize>,
    unique: bool,
}

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
        Ok(Self { node, reads: slots.take_read(), unique: slots.take_unique() })
    }

    /// Whether it makes a name that nobody else has.
    pub const fn is_unique(&self) -> bool {
        self.unique
    }

    /// The names of the attributes that it reads.
    pub fn reads<'s>(&self, slots: &'s Slots) -> impl Iterator<Item = &'s str> {
        self.reads.iter().filter_map(|place| Some(slots.all().get(*place)?.name.as_str()))
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

    /// What kind of value it gives. `None`: it depends on what it reads.
    pub fn kind(&self, slots: &Slots) -> Option<Kind> {
        kind::of(&self.node, slots)
    }

    /// Evaluates it.
    pub fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Value, Fault> {
        Evaluation::new(inputs).value(&self.node)
    }

    /// Evaluates it with at most `left` steps, and takes those that it needs from them.
    pub fn evaluate_within(&self, inputs: &Inputs<'_>, left: &mut u32) -> Result<Value, Fault> {
        let mut evaluation = Evaluation::within(inputs, *left);
        let value = evaluation.value(&self.node);
        *left = left.saturating_sub(evaluation.spent());
        value
    }
}

#[cfg(test)]
mod tests;
