//! The bounds of expressions and their evaluation.

/// The longest expression, in characters.
pub const MAX_CHARACTERS: usize = 2_000;
/// The most brackets, dots and operators. The parser calls itself for each, so they bound its stack.
pub(super) const MAX_PUNCTUATION: usize = 400;
/// The deepest nesting.
pub(super) const MAX_DEPTH: u32 = 64;
/// The deepest nesting of brackets and calls that is parsed.
pub(super) const MAX_PARSED_DEPTH: u16 = 48;
/// The stack of the parser.
pub(super) const PARSER_STACK: usize = 32 * 1024 * 1024;
/// The most steps of one evaluation: each part of the expression is one, each time that it is evaluated, and so is each
/// element of a list that it reads.
pub(super) const MAX_STEPS: u32 = 20_000;
/// The most steps of all rules on one account.
pub const MAX_STEPS_OF_ALL: u32 = 100_000;
/// The bytes of text that one step reads.
pub(super) const BYTES_A_STEP: usize = 64;
/// The most attributes that all rules of a directory read.
pub const MAX_READ: usize = 500;
/// The most text that one evaluation reads or makes, in bytes.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// The most values of an attribute that an expression reads.
pub(super) const MAX_VALUES: usize = 1_000;
