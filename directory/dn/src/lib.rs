//! Distinguished names as a type: parsed and written after RFC 4514, compared by structure after RFC 4518. Two texts of
//! one name (case, spaces, `\,` or `\2C`, `#hex`, the order within a multi-valued RDN) have one normalized form.

pub mod attribute_names;
pub mod ber;
mod case;
mod name;
mod normalize;
mod parse;
mod prepare;

pub use case::fold as fold_case;
pub use name::{Ava, Dn, Rdn, Value};
pub use normalize::{case_folded, normalize};
pub use parse::ParseError;

#[cfg(test)]
mod tests;
