//! Operators: arithmetic, comparison, `in` and `[]`.

use std::cmp::Ordering;
use std::sync::Arc;

use super::evaluate::{Evaluation, Result};
use super::fault::Fault;
use super::names::Function;
use crate::identity::values::Value;

impl Evaluation<'_> {
    /// `+`
    pub(super) fn add(&mut self, one: &Value, other: &Value) -> Result {
        match (one, other) {
            (Value::Text(one), Value::Text(other)) => {
                self.room(one.len() + other.len())?;
                Ok(Value::text(format!("{one}{other}")))
            }
            (Value::List(one), Value::List(other)) => {
                self.spend(one.len() + other.len())?;
                Ok(Value::List(Arc::new(one.iter().chain(other.iter()).cloned().collect())))
            }
            (Value::Null, _) | (_, Value::Null) => {
                let kinds = format!("{} + {}", one.kind(), other.kind());
                Err(Fault::new(0, format!("{kinds}: a value is missing; join([…], \" \") leaves missing ones out")))
            }
            _ => calculate(Function::Add, one, other),
        }
    }

    /// `==`. Values of different kinds are not equal. Each value that is looked at is a step: a list may hold another one
    /// many times.
    pub(super) fn equal(&mut self, one: &Value, other: &Value) -> Result<bool> {
        self.spend(1)?;
        match (one, other) {
            (Value::Number(_), Value::Decimal(_)) | (Value::Decimal(_), Value::Number(_)) => {
                Ok(decimal(one).total_cmp(&decimal(other)) == Ordering::Equal)
            }
            (Value::Text(one), Value::Text(other)) if one.len() == other.len() => {
                self.read(one.len())?;
                Ok(one == other)
            }
            (Value::List(one), Value::List(other)) if one.len() == other.len() => {
                for (one, other) in one.iter().zip(other.iter()) {
                    if !self.equal(one, other)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Map(one), Value::Map(other)) if one.len() == other.len() => {
                for ((key, one), (other_key, other)) in one.iter().zip(other.iter()) {
                    self.read(key.len())?;
                    if key != other_key || !self.equal(one, other)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::List(_) | Value::Map(_) | Value::Text(_), _) => Ok(false),
            _ => Ok(one == other),
        }
    }

    /// `in`
    pub(super) fn contained(&mut self, one: &Value, other: &Value) -> Result {
        match (one, other) {
            (_, Value::List(list)) => {
                for element in list.iter() {
                    if self.equal(element, one)? {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            (Value::Text(key), Value::Map(map)) => {
                self.look_up(key, map.len())?;
                Ok(Value::Bool(map.contains_key(key)))
            }
            (_, Value::Null | Value::Map(_)) => Ok(Value::Bool(false)),
            (_, other) => Err(Fault::new(0, format!("`in` needs a list, and this is {}", other.kind()))),
        }
    }

    /// `[]`
    pub(super) fn index(&mut self, one: &Value, place: &Value) -> Result {
        match (one, place) {
            (Value::List(list), Value::Number(place)) => {
                let found = usize::try_from(*place).ok().and_then(|place| list.get(place));
                found.cloned().ok_or_else(|| Fault::new(0, format!("the list has no element {place}")))
            }
            (Value::Map(_), Value::Text(key)) => self.field(one, key),
            (one, place) => Err(Fault::new(0, format!("{} has no element by {}", one.kind(), place.kind()))),
        }
    }
}

/// `-`, `*`, `/`, `%`, and `+` of numbers.
pub(super) fn calculate(function: Function, one: &Value, other: &Value) -> Result {
    let result = match (one, other) {
        (Value::Number(one), Value::Number(other)) => match function {
            Function::Add => one.checked_add(*other),
            Function::Subtract => one.checked_sub(*other),
            Function::Multiply => one.checked_mul(*other),
            Function::Divide => one.checked_div(*other),
            _ => one.checked_rem(*other),
        }
        .map(Value::Number),
        (Value::Decimal(_) | Value::Number(_), Value::Decimal(_) | Value::Number(_)) => {
            let (one, other) = (decimal(one), decimal(other));
            let result = match function {
                Function::Add => one + other,
                Function::Subtract => one - other,
                Function::Multiply => one * other,
                Function::Divide => one / other,
                _ => one % other,
            };
            // Neither infinity nor NaN: nobody wants them as the value of a user.
            result.is_finite().then_some(Value::Decimal(result))
        }
        _ => {
            let what = format!("{} and {} cannot be calculated with", one.kind(), other.kind());
            return Err(Fault::new(0, what));
        }
    };
    result.ok_or_else(|| Fault::new(0, "the result is no number"))
}

/// The exact value does not matter where two numbers are compared that differ by so little.
#[expect(clippy::cast_precision_loss, reason = "numbers of directories are far below 2^53")]
fn decimal(value: &Value) -> f64 {
    match value {
        Value::Number(number) => *number as f64,
        Value::Decimal(number) => *number,
        _ => f64::NAN,
    }
}

/// `<` and its like.
pub(super) fn compare(function: Function, one: &Value, other: &Value) -> Result {
    let order = match (one, other) {
        (Value::Number(one), Value::Number(other)) => Some(one.cmp(other)),
        (Value::Decimal(_) | Value::Number(_), Value::Decimal(_) | Value::Number(_)) => {
            decimal(one).partial_cmp(&decimal(other))
        }
        (Value::Text(one), Value::Text(other)) => Some(one.cmp(other)),
        (Value::Time(one), Value::Time(other)) => Some(one.cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        _ => None,
    };
    let order =
        order.ok_or_else(|| Fault::new(0, format!("{} and {} cannot be compared", one.kind(), other.kind())))?;
    Ok(Value::Bool(match function {
        Function::Less => order.is_lt(),
        Function::LessOrEqual => order.is_le(),
        Function::Greater => order.is_gt(),
        _ => order.is_ge(),
    }))
}
