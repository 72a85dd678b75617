//! The functions and operators by name, with the number of their arguments.

/// Functions that are not there yet or never will be, with the reason.
pub(super) const NOT_YET: &[(&str, &str)] =
    &[("matches", "regular expressions are not supported; use startsWith, endsWith, contains, or split")];

macro_rules! functions {
    ($($name:literal $variant:ident $least:literal..=$most:expr;)+) => {
        /// A function or an operator.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function {
            $($variant,)+
        }

        impl Function {
            /// The function of this name. The value in front of a dot is its first argument.
            pub(super) fn named(name: &str) -> Option<Self> {
                Some(match name {
                    $($name => Self::$variant,)+
                    _ => return None,
                })
            }

            /// How many arguments it takes.
            pub(super) const fn arguments(self) -> (usize, usize) {
                match self {
                    $(Self::$variant => ($least, $most),)+
                }
            }

            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),+];
            #[cfg(test)]
            pub(super) const NAMES: &'static [&'static str] = &[$($name),+];
        }
    };
}

functions! {
    "_+_" Add 2..=2;
    "_-_" Subtract 2..=2;
    "_*_" Multiply 2..=2;
    "_/_" Divide 2..=2;
    "_%_" Remainder 2..=2;
    "-_" Negate 1..=1;
    "_==_" Equal 2..=2;
    "_!=_" Unequal 2..=2;
    "_<_" Less 2..=2;
    "_<=_" LessOrEqual 2..=2;
    "_>_" Greater 2..=2;
    "_>=_" GreaterOrEqual 2..=2;
    "@in" In 2..=2;
    "_[_]" Index 2..=2;
    "size" Size 1..=1;
    "string" String 1..=1;
    "int" Int 1..=1;
    "lower" Lower 1..=1;
    "upper" Upper 1..=1;
    "trim" Trim 1..=1;
    "ascii" Ascii 1..=1;
    "keep" Keep 2..=2;
    "replace" Replace 3..=3;
    "split" Split 2..=2;
    "join" Join 1..=2;
    "substring" Substring 2..=3;
    "contains" Contains 2..=2;
    "startsWith" StartsWith 2..=2;
    "endsWith" EndsWith 2..=2;
    "unique" Unique 2..=2;
    "first" First 1..=1;
    "any_of" AnyOf 1..=16;
    "has_bit" HasBit 2..=2;
    "rdn" Rdn 1..=1;
    "domain" Domain 1..=1;
    "local_part" LocalPart 1..=1;
    "timestamp" Timestamp 1..=1;
    "date" Date 1..=1;
    "generalized_time" GeneralizedTime 1..=1;
    "filetime" FileTime 1..=1;
}
