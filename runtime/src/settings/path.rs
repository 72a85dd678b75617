//! The way from the top of the settings to one of them.

use std::fmt::Write as _;

/// One step on the way from the top to a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Steps as the crate `config` writes them: `directory[0].bind_dn`.
pub(super) fn expression(path: &[Step]) -> String {
    let mut expression = String::new();
    for step in path {
        match step {
            Step::Key(key) if expression.is_empty() => expression.push_str(key),
            Step::Key(key) => {
                expression.push('.');
                expression.push_str(key);
            }
            Step::Index(index) => {
                // Writing to a string cannot fail.
                let _ = write!(expression, "[{index}]");
            }
        }
    }
    expression
}
