//! Evaluates compiled expressions within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounds::{BYTES_A_STEP, MAX_BYTES, MAX_STEPS};
use super::compile::Node;
use super::fault::Fault;
use super::inputs::Inputs;
use crate::identity::values::Value;

/// The most characters of a key that an error shows.
const MAX_SHOWN_KEY: usize = 40;

/// One evaluation, with what is left of its bounds.
pub struct Evaluation<'e> {
    pub(super) inputs: &'e Inputs<'e>,
    /// The steps that it got, and what is left of them.
    given: u32,
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
        Self::within(inputs, MAX_STEPS)
    }

    /// With at most so many steps, and never more than one evaluation may take.
    pub(super) fn within(inputs: &'e Inputs<'e>, steps: u32) -> Self {
        let given = steps.min(MAX_STEPS);
        Self { inputs, given, steps: given, bytes: MAX_BYTES, locals: Vec::new() }
    }

    /// The steps that it has taken.
    pub(super) fn spent(&self) -> u32 {
        self.given - self.steps
    }

    /// Takes steps. When they are used up, none are left for what may still try.
    pub(super) fn spend(&mut self, steps: usize) -> Result<()> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.checked_sub(steps));
        self.steps = left.unwrap_or_default();
        left.map(drop).ok_or_else(|| {
            Fault::beyond_bounds(if self.given < MAX_STEPS {
                "all rules together take too many steps on this account"
            } else {
                "the expression takes too many steps"
            })
        })
    }

    /// Takes steps for reading so much text.
    pub(super) fn read(&mut self, bytes: usize) -> Result<()> {
        self.spend(bytes / BYTES_A_STEP)
    }

    /// Whether there is nothing in a value. A blank text is read to its end.
    pub(super) fn is_empty(&mut self, value: &Value) -> Result<bool> {
        self.spend(1)?;
        if let Value::Text(text) = value {
            self.read(text.len())?;
        }
        Ok(value.is_empty())
    }

    /// Takes steps for looking up a key among so many.
    pub(super) fn look_up(&mut self, key: &str, among: usize) -> Result<()> {
        let comparisons = among.checked_ilog2().map_or(1, |rounds| rounds as usize + 1);
        self.spend(comparisons)?;
        self.read(key.len().saturating_mul(comparisons))
    }

    /// Takes room for text, before it is made. Long texts also take steps, for somebody reads them.
    pub(super) fn room(&mut self, bytes: usize) -> Result<()> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.ok_or_else(|| Fault::beyond_bounds("the expression makes too much text"))?;
        self.read(bytes)
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
            Node::First(_)
            | Node::All(_)
            | Node::Raw(_)
            | Node::PrimaryMail(_)
            | Node::Flag(_)
            | Node::Dn
            | Node::ExternalId
            | Node::Login => self.input(node),
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
                self.field(&map, field).map_err(|fault| fault.at(*position))
            }
            Node::Has(node, field) => self.has(node, field.as_deref()),
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

    /// What is read of the entry.
    fn input(&mut self, node: &Node) -> Result {
        match node {
            Node::First(place) => {
                let (looked_at, value) = self.inputs.first(*place);
                self.read(looked_at)?;
                self.of_input(|_| value)
            }
            Node::All(place) => {
                let (count, bytes) = self.inputs.weight(*place)?;
                self.spend(count)?;
                self.read(bytes)?;
                let values = self.inputs.all(*place)?;
                for value in &values {
                    self.room_of(value)?;
                }
                Ok(Value::List(Arc::new(values)))
            }
            Node::Raw(place) => {
                self.read(self.inputs.first_len(*place))?;
                self.of_input(|inputs| Ok(inputs.raw(*place)))
            }
            Node::PrimaryMail(place) => {
                let (count, bytes) = self.inputs.weight(*place)?;
                self.spend(count)?;
                self.read(bytes)?;
                self.of_input(|inputs| Ok(inputs.primary_mail(*place)))
            }
            Node::Flag(name) => {
                let (looked_at, value) = self.inputs.flag(name);
                self.spend(self.inputs.slots.all().len() / 4)?;
                self.read(looked_at)?;
                self.of_input(|_| Ok(value))
            }
            Node::Dn => self.of_input(|inputs| Ok(inputs.dn.map_or(Value::Null, Value::text))),
            Node::ExternalId => self.of_input(|inputs| Ok(Value::text(inputs.external_id))),
            Node::Login => self.of_input(|inputs| Ok(inputs.login.map_or(Value::Null, Value::text))),
            _ => Ok(Value::Null),
        }
    }

    /// Whether a map has a field, or a value is not empty.
    fn has(&mut self, node: &Node, field: Option<&str>) -> Result {
        let value = self.value(node)?;
        let has = match (&value, field) {
            (Value::Map(map), Some(field)) => {
                self.look_up(field, map.len())?;
                map.contains_key(field)
            }
            (_, Some(_)) => false,
            (value, None) => !self.is_empty(value)?,
        };
        Ok(Value::Bool(has))
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
            self.look_up(&key, map.len())?;
            if map.insert(key, value).is_some() {
                return Err(Fault::new(position, "a key comes twice in the map"));
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    pub(super) fn field(&mut self, map: &Value, field: &str) -> Result {
        match map {
            Value::Map(map) => {
                self.look_up(field, map.len())?;
                let missing = || {
                    let shown: String = field.chars().take(MAX_SHOWN_KEY).collect();
                    Fault::new(0, format!("the map has no {shown:?}"))
                };
                map.get(field).cloned().ok_or_else(missing)
            }
            other => Err(Fault::new(0, format!("{} has no fields", other.kind()))),
        }
    }
}
