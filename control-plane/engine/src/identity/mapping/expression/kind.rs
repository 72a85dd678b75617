//! What kind of value an expression gives, as far as its text alone says.

use super::compile::Node;
use super::inputs::Slots;
use super::names::Function as F;
use crate::identity::values::Value;

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// Text.
    Text,
    /// A number.
    Number,
    /// A time.
    Time,
    /// A list.
    List,
    /// A map.
    Map,
}

impl Kind {
    /// Its name, for people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Time => "a time",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }
}

/// The kind of what a part gives where it gives anything. `None`: it depends on what it reads.
pub(super) fn of(node: &Node, slots: &Slots) -> Option<Kind> {
    match node {
        Node::Literal(value) => match value {
            Value::Bool(_) => Some(Kind::Bool),
            Value::Text(_) => Some(Kind::Text),
            Value::Number(_) | Value::Decimal(_) => Some(Kind::Number),
            Value::Time(_) => Some(Kind::Time),
            _ => None,
        },
        Node::First(place) => match slots.all().get(*place)?.name.as_str() {
            "user_name" | "given_name" | "family_name" | "display_name" | "email" | "description" => Some(Kind::Text),
            "active" => Some(Kind::Bool),
            _ => None,
        },
        Node::Has(..) | Node::Not(..) | Node::And(..) | Node::Or(..) | Node::NotStrictlyFalse(_) => Some(Kind::Bool),
        Node::If(parts, _) => {
            let [_, one, other] = &**parts;
            of(one, slots).filter(|kind| of(other, slots) == Some(*kind))
        }
        Node::List(_) | Node::All(_) | Node::Append(..) => Some(Kind::List),
        Node::Map(..) => Some(Kind::Map),
        Node::Call(function, arguments, _) => of_call(*function, arguments, slots),
        _ => None,
    }
}

fn of_call(function: F, arguments: &[Node], slots: &Slots) -> Option<Kind> {
    Some(match function {
        F::Equal
        | F::Unequal
        | F::Less
        | F::LessOrEqual
        | F::Greater
        | F::GreaterOrEqual
        | F::In
        | F::Contains
        | F::StartsWith
        | F::EndsWith
        | F::HasBit => Kind::Bool,
        F::String
        | F::Lower
        | F::Upper
        | F::Trim
        | F::Ascii
        | F::Keep
        | F::Replace
        | F::Join
        | F::Substring
        | F::Rdn
        | F::Domain
        | F::LocalPart
        | F::Unique => Kind::Text,
        F::Subtract | F::Multiply | F::Divide | F::Remainder | F::Negate | F::Size | F::Int => Kind::Number,
        F::Split => Kind::List,
        F::Timestamp => Kind::Time,
        F::Add => return arguments.iter().find_map(|part| of(part, slots)).filter(|kind| *kind != Kind::List),
        F::AnyOf => {
            let first = of(arguments.first()?, slots)?;
            return arguments.iter().all(|part| of(part, slots) == Some(first)).then_some(first);
        }
        F::Index | F::First | F::Date | F::GeneralizedTime | F::FileTime => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Expression, Scope, Slots};
    use super::*;

    #[test]
    fn the_text_says_the_kind_where_it_can() {
        for (expression, kind) in [
            ("true", Some(Kind::Bool)),
            ("active && attributes.level > 3", Some(Kind::Bool)),
            ("'ou=' + attributes.department", Some(Kind::Text)),
            ("user_name", Some(Kind::Text)),
            ("active ? 'a' : 'b'", Some(Kind::Text)),
            ("active ? 'a' : attributes.x", None),
            ("size(user_name) + 1", Some(Kind::Number)),
            ("attributes.vip", None),
            ("any_of(attributes.a, 'x')", None),
            ("['a']", Some(Kind::List)),
        ] {
            let mut slots = Slots::default();
            let compiled = Expression::compile(expression, slots.of(Scope::User)).unwrap();
            assert_eq!(compiled.kind(&slots), kind, "{expression}");
        }
    }
}
