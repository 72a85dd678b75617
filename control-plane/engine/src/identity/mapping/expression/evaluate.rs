//! Evaluates compiled expressions within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounds::{MAX_BYTES, MAX_STEPS};
use super::compile::Node;
use super::fault::Fault;
use super::inputs::Inputs;
use crate::identity::values::Value;

/// One evaluation, with what is left of its bounds.
pub struct Evaluation<'e> {
    pub(super) inputs: &'e Inputs<'e>,
    steps: u32,
    bytes: usize,
    pub(super) locals: Vec<Value>,
}

pub(super) type Result<T = Value> = std::result::Result<T, Fault>;

impl std::fmt::Debug for Evaluation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluation").field("steps", &self.steps).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<'e> Evaluation<'e> {
    /// With full bounds.
    pub fn new(inputs: &'e Inputs<'e>) -> Self {
        Self { inputs, steps: MAX_STEPS, bytes: MAX_BYTES, locals: Vec::new() }
    }

    /// Takes steps.
    pub(super) fn spend(&mut self, steps: usize) -> Result<()> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.checked_sub(steps));
        self.steps = left.ok_or_else(|| Fault::beyond_bounds("the expression takes too many steps"))?;
        Ok(())
    }

    /// Takes room for text, before it is made. Long texts also take steps, for somebody reads them.
    pub(super) fn room(&mut self, bytes: usize) -> Result<()> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.ok_or_else(|| Fault::beyond_bounds("the expression makes too much text"))?;
        self.spend(bytes / 64)
    }

    /// Text that has been made, for which there was room.
    pub(super) fn text(&mut self, text: impl AsRef<str>) -> Result {
        self.room(text.as_ref().len())?;
        Ok(Value::text(text))
    }

    pub(super) fn value(&mut self, node: &Node) -> Result {
        self.spend(1)?;
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::First(place) => self.of_input(|inputs| inputs.first(*place)),
            Node::All(place) => {
                let values = self.inputs.all(*place)?;
                self.spend(values.len())?;
                for value in &values {
                    self.room_of(value)?;
                }
                Ok(Value::List(Arc::new(values)))
            }
            Node::Raw(place) => self.of_input(|inputs| Ok(inputs.raw(*place))),
            Node::PrimaryMail(place) => self.of_input(|inputs| Ok(inputs.primary_mail(*place))),
            Node::Flag(name) => self.of_input(|inputs| Ok(inputs.flag(name))),
            Node::Dn => self.of_input(|inputs| Ok(inputs.dn.map_or(Value::Null, Value::text))),
            Node::ExternalId => self.of_input(|inputs| Ok(Value::text(inputs.external_id))),
            Node::Login => self.of_input(|inputs| Ok(inputs.login.map_or(Value::Null, Value::text))),
            Node::Local(local) => Ok(self.locals.get(*local).cloned().unwrap_or_default()),
            Node::Not(part, position) => Ok(Value::Bool(!self.truth(part, *position)?)),
            Node::And(one, other, position) => self.logic(one, other, *position, false),
            Node::Or(one, other, position) => self.logic(one, other, *position, true),
            Node::If(parts, position) => {
                let [condition, one, other] = &**parts;
                let chosen = if self.truth(condition, *position)? { one } else { other };
                self.value(chosen)
            }
            Node::NotStrictlyFalse(part) => match self.value(part) {
                Err(fault) if fault.is_final => Err(fault),
                Ok(Value::Bool(value)) => Ok(Value::Bool(value)),
                _ => Ok(Value::Bool(true)),
            },
            Node::List(nodes) => {
                let values: Result<Vec<Value>> = nodes.iter().map(|node| self.value(node)).collect();
                Ok(Value::List(Arc::new(values?)))
            }
            Node::Map(entries, position) => self.map(entries, *position),
            Node::Field(map, field, position) => {
                let map = self.value(map)?;
                Self::field(&map, field).map_err(|fault| fault.at(*position))
            }
            Node::Has(node, field) => {
                let value = self.value(node)?;
                let has = match (&value, field) {
                    (Value::Map(map), Some(field)) => map.contains_key(field.as_str()),
                    (_, Some(_)) => false,
                    (value, None) => !value.is_empty(),
                };
                Ok(Value::Bool(has))
            }
            Node::Call(function, nodes, position) => {
                let mut arguments = Vec::with_capacity(nodes.len());
                for node in nodes {
                    arguments.push(self.value(node)?);
                }
                self.apply(*function, arguments).map_err(|fault| fault.at(*position))
            }
            Node::Append(local, element) => self.append(*local, element),
            Node::Loop(parts) => self.run(parts),
        }
    }

    fn of_input(&mut self, read: impl FnOnce(&'e Inputs<'e>) -> Result) -> Result {
        let value = read(self.inputs)?;
        self.room_of(&value)?;
        Ok(value)
    }

    fn room_of(&mut self, value: &Value) -> Result<()> {
        if let Value::Text(text) = value { self.room(text.len()) } else { Ok(()) }
    }

    pub(super) fn truth(&mut self, node: &Node, position: u32) -> Result<bool> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            other => Err(Fault::new(position, format!("a boolean is needed here, and this is {}", other.kind()))),
        }
    }

    /// `&&` and `||`: where one part decides, it does not matter whether the other one can be evaluated.
    fn logic(&mut self, one: &Node, other: &Node, position: u32, decides: bool) -> Result {
        let first = self.truth(one, position);
        match first {
            Ok(value) if value == decides => return Ok(Value::Bool(decides)),
            Err(fault) if fault.is_final => return Err(fault),
            _ => {}
        }
        match self.truth(other, position) {
            Ok(value) if value == decides => Ok(Value::Bool(decides)),
            Err(fault) if fault.is_final => Err(fault),
            second => first.and(second).map(Value::Bool),
        }
    }

    fn map(&mut self, entries: &[(Node, Node)], position: u32) -> Result {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let Value::Text(key) = self.value(key)? else {
                return Err(Fault::new(position, "the keys of a map must be text"));
            };
            let value = self.value(value)?;
            if map.insert(key, value).is_some() {
                return Err(Fault::new(position, "a key comes twice in the map"));
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    pub(super) fn field(map: &Value, field: &str) -> Result {
        match map {
            Value::Map(map) => {
                map.get(field).cloned().ok_or_else(|| Fault::new(0, format!("the map has no {field:?}")))
            }
            other => Err(Fault::new(0, format!("{} has no fields", other.kind()))),
        }
    }
}
