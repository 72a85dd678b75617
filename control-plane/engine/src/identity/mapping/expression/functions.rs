//! The functions and operators of expressions. A function that gets null gives null; one that asks something of null says no.

use std::sync::Arc;

use super::arithmetic::{calculate, compare};
use super::evaluate::{Evaluation, Result};
use super::fault::Fault;
use super::names::Function;
use super::texts;
use crate::identity::values::{self, Value};

/// The highest number that `unique` counts from.
const MAX_COUNTER: i64 = 1_000_000;

impl Evaluation<'_> {
    /// Applies a function to its arguments, which are as many as it takes.
    pub(super) fn apply(&mut self, function: Function, mut arguments: Vec<Value>) -> Result {
        use Function as F;
        // Whatever a function does with a text, it has paid for reading it.
        for argument in &arguments {
            if let Value::Text(text) = argument {
                self.read(text.len())?;
            }
        }
        match (function, arguments.as_mut_slice()) {
            (F::AnyOf, values) => {
                let found = values.iter().position(|value| !value.is_empty());
                Ok(found.and_then(|place| values.get_mut(place)).map(std::mem::take).unwrap_or_default())
            }
            (F::Add, [one, other]) => self.add(one, other),
            (F::Subtract | F::Multiply | F::Divide | F::Remainder, [one, other]) => calculate(function, one, other),
            (F::Negate, [one]) => calculate(F::Subtract, &Value::Number(0), one),
            (F::Equal, [one, other]) => self.equal(one, other).map(Value::Bool),
            (F::Unequal, [one, other]) => self.equal(one, other).map(|equal| Value::Bool(!equal)),
            (F::Less | F::LessOrEqual | F::Greater | F::GreaterOrEqual, [one, other]) => compare(function, one, other),
            (F::In, [one, other]) => self.contained(one, other),
            (F::Index, [one, other]) => self.index(one, other),
            (F::Size, [value]) => size(value),
            (F::Join, [list, rest @ ..]) => self.join(list, rest.first()),
            (F::First, [Value::List(list)]) => {
                for value in list.iter() {
                    if !self.is_empty(value)? {
                        return Ok(value.clone());
                    }
                }
                Ok(Value::Null)
            }
            (F::First, [single]) => Ok(std::mem::take(single)),
            (F::HasBit, [number, bits]) => has_bit(number, bits),
            (F::Contains | F::StartsWith | F::EndsWith, [text, part]) => self.asks(function, text, part),
            (F::Timestamp | F::Date | F::GeneralizedTime | F::FileTime, [value]) => self.time(function, value),
            (_, [Value::Null, ..]) => Ok(Value::Null),
            (F::String, [value]) => match value.to_text() {
                Some(text) => self.text(text),
                None => Err(Fault::new(0, format!("{} is no single value; use first or join", value.kind()))),
            },
            (F::Int, [value]) => int(value),
            (_, [Value::Text(text), rest @ ..]) => {
                let text = Arc::clone(text);
                self.of_text(function, &text, rest)
            }
            (_, [other, ..]) => Err(Fault::new(0, format!("text is needed here, and this is {}", other.kind()))),
            (_, []) => Err(Fault::new(0, "an argument is missing")),
        }
    }

    /// Functions of a text.
    fn of_text(&mut self, function: Function, text: &str, rest: &[Value]) -> Result {
        use Function as F;
        self.room(text.len())?;
        match (function, rest) {
            (F::Lower, _) => self.text(text.to_lowercase()),
            (F::Upper, _) => self.text(text.to_uppercase()),
            (F::Trim, _) => self.text(text.trim()),
            (F::Ascii, _) => self.ascii(text),
            (F::Rdn, _) => Ok(texts::rdn(text).map_or(Value::Null, Value::text)),
            (F::Domain, _) => Ok(text.rsplit_once('@').map_or(Value::Null, |(_, domain)| Value::text(domain))),
            (F::LocalPart, _) => Ok(Value::text(text.rsplit_once('@').map_or(text, |(local, _)| local))),
            (F::Keep, [Value::Text(kept)]) => {
                self.read(text.len().saturating_mul(kept.len()))?;
                Ok(Value::text(text.chars().filter(|letter| kept.contains(*letter)).collect::<String>()))
            }
            (F::Replace, [Value::Text(from), Value::Text(to)]) => self.replace(text, from, to),
            (F::Split, [Value::Text(separator)]) => self.split(text, separator),
            (F::Unique, [Value::Number(counter)]) => self.unique(text, *counter),
            (F::Substring, [Value::Number(from)]) => Self::substring(text, *from, None),
            (F::Substring, [Value::Number(from), Value::Number(to)]) => Self::substring(text, *from, Some(*to)),
            (_, rest) => {
                let kinds: Vec<&str> = rest.iter().map(Value::kind).collect();
                Err(Fault::new(0, format!("these arguments do not fit: text, {}", kinds.join(", "))))
            }
        }
    }

    /// The name itself, or with the number of the choice.
    fn unique(&mut self, name: &str, counter: i64) -> Result {
        if !(0..=MAX_COUNTER).contains(&counter) {
            return Err(Fault::new(0, format!("unique counts from a number of 0 to {MAX_COUNTER}")));
        }
        match self.inputs.choice {
            0 => self.text(name),
            choice => self.text(format!("{name}{}", counter + i64::from(choice) - 1)),
        }
    }

    fn asks(&mut self, function: Function, text: &Value, part: &Value) -> Result {
        let (text, part) = match (text, part) {
            (Value::Text(text), Value::Text(part)) => (text, part),
            (Value::Null, _) | (_, Value::Null) => return Ok(Value::Bool(false)),
            (one, other) => {
                return Err(Fault::new(
                    0,
                    format!("text is needed here, and this is {} and {}", one.kind(), other.kind()),
                ));
            }
        };
        self.room(text.len())?;
        Ok(Value::Bool(match function {
            Function::Contains => text.contains(&**part),
            Function::StartsWith => text.starts_with(&**part),
            _ => text.ends_with(&**part),
        }))
    }

    /// Times, and what they become.
    fn time(&mut self, function: Function, value: &Value) -> Result {
        let time = match value {
            Value::Null => return Ok(Value::Null),
            Value::Time(time) => Some(*time),
            Value::Number(ticks) => values::from_filetime(*ticks),
            Value::Text(text) => text.trim().parse().ok().or_else(|| values::parse_generalized_time(text)),
            _ => None,
        };
        // Without the value: it is shown beside the error, or hidden.
        let time = time.ok_or_else(|| {
            Fault::new(
                0,
                match value {
                    Value::Text(_) => "this text is no time".to_owned(),
                    Value::Number(_) => "this number is no time".to_owned(),
                    other => format!("a time is needed here, and this is {}", other.kind()),
                },
            )
        })?;
        match function {
            Function::Date => self.text(time.strftime("%Y-%m-%d").to_string()),
            Function::GeneralizedTime => self.text(values::generalized_time(time)),
            Function::FileTime => values::filetime(time)
                .map(Value::Number)
                .ok_or_else(|| Fault::new(0, "the time is beyond all FILETIMEs")),
            _ => Ok(Value::Time(time)),
        }
    }
}

fn size(value: &Value) -> Result {
    let size = match value {
        Value::Null => 0,
        Value::Text(text) => text.chars().count(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => return Err(Fault::new(0, format!("{} has no size", other.kind()))),
    };
    Ok(Value::Number(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn int(value: &Value) -> Result {
    let number = match value {
        Value::Number(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Time(time) => Some(time.as_second()),
        _ => None,
    };
    number.map(Value::Number).ok_or_else(|| Fault::new(0, format!("{} is no whole number", value.kind())))
}

fn has_bit(number: &Value, bits: &Value) -> Result {
    match (number, bits) {
        (Value::Number(number), Value::Number(bits)) => Ok(Value::Bool(number & bits == *bits && *bits != 0)),
        (Value::Null, _) => Ok(Value::Bool(false)),
        (one, other) => {
            Err(Fault::new(0, format!("has_bit takes two numbers, and these are {} and {}", one.kind(), other.kind())))
        }
    }
}
