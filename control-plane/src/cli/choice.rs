//! Options whose values are named by the engine: a role, a state, a kind of account.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use postern_engine::intake::preview::row::Action;
use postern_engine::records::{AccountKind, AttributeType, JobState, MissedRuns, OperationState, Role};

/// A value that has a name.
pub(super) trait Choice: Copy + Send + Sync + 'static {
    /// All values.
    const ALL: &'static [Self];
    /// The name of this one.
    fn name(self) -> &'static str;
    /// Its meaning, in a sentence.
    fn about(self) -> &'static str;
}

macro_rules! choices {
    ($($named:ty),+) => {$(
        impl Choice for $named {
            const ALL: &'static [Self] = Self::ALL;

            fn name(self) -> &'static str {
                self.as_str()
            }

            fn about(self) -> &'static str {
                self.about()
            }
        }
    )+};
}

choices!(AccountKind, Action, AttributeType, JobState, MissedRuns, OperationState, Role);

/// Reads one of the values by its name.
pub(super) fn choice<T: Choice>() -> impl TypedValueParser<Value = T> {
    let described = |value: &T| PossibleValue::new(value.name()).help(value.about().trim_end_matches('.'));
    PossibleValuesParser::new(T::ALL.iter().map(described))
        .try_map(|name| T::ALL.iter().copied().find(|value| value.name() == name).ok_or("there is no such value"))
}
