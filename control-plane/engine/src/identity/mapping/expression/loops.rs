//! `all`, `exists`, `exists_one`, `map` and `filter`: loops over the elements of a list.

use std::sync::Arc;

use super::compile::{Loop, Node};
use super::evaluate::{Evaluation, Result};
use super::fault::Fault;
use crate::identity::values::Value;

impl Evaluation<'_> {
    pub(super) fn run(&mut self, parts: &Loop) -> Result {
        let elements = match self.value(&parts.range)? {
            Value::List(list) => list,
            Value::Map(map) => {
                self.spend(map.len())?;
                Arc::new(map.keys().map(|key| Value::Text(Arc::clone(key))).collect())
            }
            // What is not there has no elements.
            Value::Null => Arc::default(),
            other => {
                return Err(Fault::new(parts.position, format!("a list is needed here, and this is {}", other.kind())));
            }
        };
        let start = self.value(&parts.start)?;
        let depth = self.locals.len();
        self.locals.push(start);
        let result = self.steps(parts, &elements, depth);
        self.locals.truncate(depth);
        result
    }

    fn steps(&mut self, parts: &Loop, elements: &[Value], depth: usize) -> Result {
        for element in elements {
            self.locals.push(element.clone());
            let goes_on = self.value(&parts.goes_on)? == Value::Bool(true);
            let next = if goes_on { Some(self.value(&parts.step)?) } else { None };
            self.locals.truncate(depth + 1);
            let Some(next) = next else { break };
            if let Some(made) = self.locals.get_mut(depth) {
                *made = next;
            }
        }
        self.value(&parts.result)
    }

    /// The list that the loop makes is taken out meanwhile: it is not copied for each element.
    pub(super) fn append(&mut self, local: usize, element: &Node) -> Result {
        let element = self.value(element)?;
        let made = self.locals.get_mut(local).map(std::mem::take).unwrap_or_default();
        let Value::List(mut list) = made else { return Err(Fault::new(0, "the loop makes no list")) };
        Arc::make_mut(&mut list).push(element);
        Ok(Value::List(list))
    }
}
