//! What is wrong with the settings, and where.

use std::io;
use std::path::PathBuf;

use super::place::Place;

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: not valid TOML: {reason}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        reason: String,
    },
    /// A key that nobody knows.
    #[error("{place}: unknown key `{key}`; {suggestion}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The nearest known key, or all of them.
        suggestion: String,
    },
    /// A key that must be there and is not.
    #[error("{place}: {key} is missing")]
    Missing {
        /// Where its table begins.
        place: Place,
        /// The key from the top: `directory[0].name`.
        key: String,
    },
    /// A value that does not fit.
    #[error("{place}: {key}{reason}")]
    Value {
        /// Where.
        place: Place,
        /// The key with ": ", or nothing at the top.
        key: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// An environment variable that cannot be a key.
    #[error("environment variable {variable}: {reason}")]
    Variable {
        /// Its name.
        variable: String,
        /// What is wrong with it.
        reason: String,
    },
}
