//! From the source of an expression to a tree in which every name has its place.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use cel::parser::Parser;

use super::bounds::{MAX_CHARACTERS, MAX_DEPTH, MAX_PARSED_DEPTH, MAX_PUNCTUATION};
use super::fault::Fault;
use super::inputs::{Scope, Slots};
use super::names::{Function, NOT_YET};
use super::syntax;
use crate::identity::values::{FLAG_SOURCES, FLAGS, Value};

/// A part of a compiled expression.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value),
    /// The first value of an attribute.
    First(usize),
    /// All values of an attribute.
    All(usize),
    /// The first value of an attribute as it is.
    Raw(usize),
    PrimaryMail(usize),
    Flag(&'static str),
    Dn,
    ExternalId,
    Login,
    /// A variable of a loop, by its depth.
    Local(usize),
    /// A field of a map.
    Field(Box<Node>, String, u32),
    /// Whether a map has a field, or an attribute has values.
    Has(Box<Node>, Option<String>),
    Not(Box<Node>, u32),
    And(Box<Node>, Box<Node>, u32),
    Or(Box<Node>, Box<Node>, u32),
    If(Box<[Node; 3]>, u32),
    /// False only where its part is false.
    NotStrictlyFalse(Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>, u32),
    Call(Function, Vec<Node>, u32),
    /// Puts one more element at the end of the list that a loop makes.
    Append(usize, Box<Node>),
    Loop(Box<Loop>),
}

/// A loop over the elements of a list.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub(super) range: Node,
    pub(super) start: Node,
    pub(super) goes_on: Node,
    pub(super) step: Node,
    pub(super) result: Node,
    pub(super) position: u32,
}

/// Compiles the source.
pub(super) fn compile(source: &str, slots: &mut Slots) -> Result {
    let characters = source.chars().count();
    if characters > MAX_CHARACTERS {
        return Err(Fault::new(0, format!("it has {characters} characters, and at most {MAX_CHARACTERS} are allowed")));
    }
    if source.trim().is_empty() {
        return Err(Fault::new(0, "it is empty"));
    }
    let punctuation = source.bytes().filter(|byte| b"([{.+-*/%?<>=&|!".contains(byte)).count();
    if punctuation > MAX_PUNCTUATION {
        let what =
            format!("it has {punctuation} brackets, dots and operators, and at most {MAX_PUNCTUATION} are allowed");
        return Err(Fault::new(0, what));
    }
    let parser = Parser::new().max_recursion_depth(MAX_PARSED_DEPTH).error_recovery_limit(4);
    let (tree, places) = parser.parse_with_source_info(source).map_err(|errors| {
        let first = errors.errors.into_iter().next();
        first.map_or_else(|| Fault::new(0, "it cannot be read"), |error| syntax::error(source, error.pos, &error.msg))
    })?;
    Compiler { slots, places: &places, locals: Vec::new(), depth: 0 }.node(&tree)
}

struct Compiler<'a> {
    slots: &'a mut Slots,
    places: &'a SourceInfo,
    locals: Vec<String>,
    depth: u32,
}

type Result<T = Node> = std::result::Result<T, Fault>;

impl Compiler<'_> {
    fn position(&self, of: &IdedExpr) -> u32 {
        self.places.offset_for(of.id).map_or(0, |(start, _)| start + 1)
    }

    fn fault(&self, of: &IdedExpr, what: impl Into<String>) -> Fault {
        Fault::new(self.position(of), what)
    }

    fn boxed(&mut self, of: &IdedExpr) -> Result<Box<Node>> {
        self.node(of).map(Box::new)
    }

    fn nodes(&mut self, of: &[IdedExpr]) -> Result<Vec<Node>> {
        of.iter().map(|part| self.node(part)).collect()
    }

    fn node(&mut self, of: &IdedExpr) -> Result {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault(of, format!("it is nested more than {MAX_DEPTH} deep")));
        }
        let node = match &of.expr {
            Expr::Literal(literal) => Node::Literal(self.literal(of, literal)?),
            Expr::Ident(name) => self.name(of, name)?,
            Expr::Select(select) => self.select(of, select)?,
            Expr::Call(call) => self.call(of, call)?,
            Expr::List(list) => Node::List(self.nodes(&list.elements)?),
            Expr::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err(self.fault(of, "this kind of map is not supported"));
                    };
                    entries.push((self.node(&entry.key)?, self.node(&entry.value)?));
                }
                Node::Map(entries, self.position(of))
            }
            Expr::Comprehension(comprehension) => self.comprehension(of, comprehension)?,
            Expr::Struct(_) | Expr::Unspecified => return Err(self.fault(of, "objects are not supported")),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn literal(&self, of: &IdedExpr, literal: &LiteralValue) -> Result<Value> {
        Ok(match literal {
            LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
            LiteralValue::Double(value) if !value.inner().is_finite() => {
                return Err(self.fault(of, "the number is too large"));
            }
            LiteralValue::Double(value) => Value::Decimal(*value.inner()),
            LiteralValue::Int(value) => Value::Number(*value.inner()),
            LiteralValue::UInt(value) => {
                Value::Number(i64::try_from(*value.inner()).map_err(|_| self.fault(of, "the number is too large"))?)
            }
            LiteralValue::Null => Value::Null,
            LiteralValue::String(value) => Value::text(value.inner()),
            LiteralValue::Bytes(_) => return Err(self.fault(of, "bytes are not supported")),
        })
    }

    fn name(&mut self, of: &IdedExpr, name: &str) -> Result {
        // Attribute names have no dot in front.
        let name = name.trim_start_matches('.');
        if let Some(local) = self.locals.iter().rposition(|local| local == name) {
            return Ok(Node::Local(local));
        }
        if let Some(fields) = self.slots.scope().fields() {
            if !fields.contains(&name) {
                let further = if self.slots.scope() == Scope::User { " and attributes.NAME" } else { "" };
                let what = format!("there is no {name}; there are {}{further}", fields.join(", "));
                return Err(self.fault(of, what));
            }
            return Ok(Node::First(self.slots.field(name)));
        }
        Ok(match name {
            "dn" => Node::Dn,
            "external_id" => Node::ExternalId,
            "login" => Node::Login,
            "primary_mail" => Node::PrimaryMail(self.slots.place("proxyaddresses")),
            _ => Node::First(self.slots.place(name)),
        })
    }

    /// The name of an expression that is but a name, and not that of a loop's variable.
    fn plain<'n>(&self, of: &'n IdedExpr) -> Option<&'n str> {
        match &of.expr {
            Expr::Ident(name) if !self.locals.contains(name) => Some(name),
            _ => None,
        }
    }

    fn select(&mut self, of: &IdedExpr, select: &SelectExpr) -> Result {
        let SelectExpr { operand, field, test } = select;
        let entry = self.slots.scope() == Scope::Entry;
        let node = match self.plain(operand) {
            Some("attributes") if self.slots.scope() == Scope::User => {
                Node::First(self.slots.field(&format!("attributes.{field}")))
            }
            Some("all") if entry => Node::All(self.slots.place(field)),
            Some("raw") if entry => Node::Raw(self.slots.place(field)),
            Some("flags") if entry => {
                let known = FLAGS.iter().find(|flag| *flag == field).ok_or_else(|| {
                    self.fault(of, format!("there is no flag {field:?}; there are {}", FLAGS.join(", ")))
                })?;
                for source in FLAG_SOURCES {
                    self.slots.place(source);
                }
                Node::Flag(known)
            }
            _ => {
                let (map, position) = (self.boxed(operand)?, self.position(of));
                return Ok(if *test {
                    Node::Has(map, Some(field.clone()))
                } else {
                    Node::Field(map, field.clone(), position)
                });
            }
        };
        Ok(if *test { Node::Has(Box::new(node), None) } else { node })
    }

    /// Only a new account gets a name that nobody else has.
    fn unique(&mut self, of: &IdedExpr) -> Result<()> {
        match self.slots.scope() {
            Scope::User => self.slots.note_unique(),
            Scope::Group => return Err(self.fault(of, "unique: only rules about users make such names")),
            Scope::Entry => {
                let what = "unique: a name that nobody else has is made where accounts are created, by outbound rules";
                return Err(self.fault(of, what));
            }
        }
        Ok(())
    }

    fn call(&mut self, of: &IdedExpr, call: &CallExpr) -> Result {
        let position = self.position(of);
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND, [one, other]) => {
                return Ok(Node::And(self.boxed(one)?, self.boxed(other)?, position));
            }
            (operators::LOGICAL_OR, [one, other]) => {
                return Ok(Node::Or(self.boxed(one)?, self.boxed(other)?, position));
            }
            (operators::LOGICAL_NOT, [part]) => return Ok(Node::Not(self.boxed(part)?, position)),
            (operators::NOT_STRICTLY_FALSE, [part]) => return Ok(Node::NotStrictlyFalse(self.boxed(part)?)),
            (operators::CONDITIONAL, [condition, one, other]) => {
                let parts = [self.node(condition)?, self.node(one)?, self.node(other)?];
                return Ok(Node::If(Box::new(parts), position));
            }
            ("attr" | "values" | "raw", [attribute]) if call.target.is_none() => {
                return self.by_name(of, name, attribute);
            }
            (operators::ADD, [list, more]) => {
                if let Some(node) = self.append(list, more)? {
                    return Ok(node);
                }
            }
            _ => {}
        }
        let function = Function::named(name).ok_or_else(|| {
            let why = NOT_YET.iter().find(|(function, _)| *function == name).map(|(_, why)| *why);
            let what = why.map_or_else(|| format!("there is no function {name:?}"), |why| format!("{name}: {why}"));
            self.fault(of, what)
        })?;
        if function == Function::Unique {
            self.unique(of)?;
        }
        let mut arguments = Vec::with_capacity(call.args.len() + 1);
        if let Some(target) = &call.target {
            arguments.push(self.node(target)?);
        }
        arguments.extend(self.nodes(&call.args)?);
        let (least, most) = function.arguments();
        if !(least..=most).contains(&arguments.len()) {
            let wanted = match (least, most) {
                (1, 1) => "1 argument".to_owned(),
                (least, most) if least == most => format!("{least} arguments"),
                (least, most) => format!("{least} to {most} arguments"),
            };
            let given = match arguments.len() {
                1 => "1 was given".to_owned(),
                given => format!("{given} were given"),
            };
            let what = format!("{name} takes {wanted}; {given}");
            return Err(self.fault(of, what));
        }
        Ok(Node::Call(function, arguments, position))
    }

    /// An attribute whose name is no identifier.
    fn by_name(&mut self, of: &IdedExpr, function: &str, attribute: &IdedExpr) -> Result {
        let Expr::Literal(LiteralValue::String(name)) = &attribute.expr else {
            return Err(self.fault(of, format!("{function}(…) takes the name of an attribute in quotation marks")));
        };
        if self.slots.scope() != Scope::Entry {
            return Err(
                self.fault(of, format!("{function}(…) reads attributes of entries, and only inbound rules have one"))
            );
        }
        let place = self.slots.place(name.inner());
        Ok(match function {
            "attr" => Node::First(place),
            "values" => Node::All(place),
            _ => Node::Raw(place),
        })
    }

    /// What the macros `map` and `filter` do with each element. Only they can name the list that a loop makes.
    fn append(&mut self, list: &IdedExpr, more: &IdedExpr) -> Result<Option<Node>> {
        match (&list.expr, &more.expr) {
            (Expr::Ident(name), Expr::List(more)) if name.starts_with('@') => match more.elements.as_slice() {
                [element] => {
                    let Some(local) = self.locals.iter().rposition(|local| local == name) else { return Ok(None) };
                    Ok(Some(Node::Append(local, self.boxed(element)?)))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn comprehension(&mut self, of: &IdedExpr, comprehension: &ComprehensionExpr) -> Result {
        let range = self.node(&comprehension.iter_range)?;
        let start = self.node(&comprehension.accu_init)?;
        self.locals.push(comprehension.accu_var.clone());
        self.locals.push(comprehension.iter_var.clone());
        let (goes_on, step) = (self.node(&comprehension.loop_cond)?, self.node(&comprehension.loop_step)?);
        self.locals.pop();
        let result = self.node(&comprehension.result)?;
        self.locals.pop();
        Ok(Node::Loop(Box::new(Loop { range, start, goes_on, step, result, position: self.position(of) })))
    }
}
