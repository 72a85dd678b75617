//! The preview of an import: the import runs on a copy of the organization's data, and the copy is compared with what
//! was copied. So a preview decides with the code of an import, and nothing else.

pub mod result;
pub mod row;
mod run;

pub use run::run;
