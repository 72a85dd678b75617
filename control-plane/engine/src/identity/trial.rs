//! Tries rules on one account: what there is to read, and what each rule gives. Nothing is written.

use std::collections::BTreeSet;

use postern_store::Account;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::attributes::MASK;
use super::mapping::Mapping;
use super::mapping::definitions::HIDDEN;
use super::mapping::rules::{Outcome, Rule, RuleOf};
use super::stored::StoredAccount;
use super::values::{self, FLAGS, Syntax};
use super::view::AttributeView;

/// The most attributes that are shown, and values of each.
const MAX_ATTRIBUTES: usize = 200;
const MAX_VALUES: usize = 10;
/// The most characters of a value that are shown.
const MAX_SHOWN: usize = 300;

/// What a rule can read of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Input {
    /// Its name in expressions: an attribute, `login`, `primary_mail`, `flags.disabled` and the like.
    pub name: String,
    /// What its values are: `text`, `a number`, `a generalized time` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its first ten values as the directory wrote them; bytes in base64.
    pub raw: Vec<String>,
    /// What these values mean. `null`: nothing, or it cannot be read as this type.
    pub values: Vec<Value>,
    /// How many values it has beyond those.
    pub more: usize,
}

/// What a rule gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TriedRule {
    /// What it fills.
    pub target: String,
    /// The expression.
    pub expression: String,
    /// The inputs that it reads.
    pub reads: Vec<String>,
    /// What it gives. `null`: it empties its target, or fails.
    pub result: Option<String>,
    /// Why it fails, with the rule, the account and what it read. `null`: it does not.
    pub error: Option<String>,
}

/// A trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// What there is to read: first what the rules read, then the rest.
    pub inputs: Vec<Input>,
    /// The rules about accounts of this kind.
    pub rules: Vec<TriedRule>,
}

/// Tries the rules of a mapping on an account. `source` are the same rules as they are written. Results of rules whose
/// targets are `masked`, and what these rules read, are not shown.
pub fn try_rules(
    account: &StoredAccount<'_>,
    mapping: &Mapping,
    (of, source): (RuleOf, &[Rule]),
    masked: &BTreeSet<String>,
) -> Trial {
    let outcomes = mapping.outcomes(of, account);
    let read: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.reads).collect();
    let secret: BTreeSet<&String> =
        outcomes.iter().filter(|outcome| masked.contains(&outcome.name)).flat_map(|outcome| &outcome.reads).collect();
    let mut inputs = inputs(account, |place| mapping.is_binary(place));
    for name in &read {
        if !inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name)) {
            inputs.push(Input::missing(name));
        }
    }
    for input in inputs.iter_mut().filter(|input| secret.iter().any(|name| name.eq_ignore_ascii_case(&input.name))) {
        input.mask();
    }
    inputs.sort_by_key(|input| !read.iter().any(|name| name.eq_ignore_ascii_case(&input.name)));
    let dn = account.dn().unwrap_or_else(|| account.external_id());
    let rules = outcomes.iter().map(|outcome| tried(outcome, (of, source), dn, masked.contains(&outcome.name)));
    Trial { rules: rules.collect(), inputs }
}

fn tried(outcome: &Outcome, (of, source): (RuleOf, &[Rule]), dn: &str, masked: bool) -> TriedRule {
    let Outcome { name, reads, result, value } = outcome;
    let written = source.iter().find(|rule| rule.of == of && rule.target == *name);
    let (result, error) = match result {
        Ok(result) => (result.as_deref().map(|result| if masked { MASK } else { result }.to_owned()), None),
        Err(what) => {
            let (what, value) = if masked { (HIDDEN, MASK) } else { (what.as_str(), value.as_str()) };
            (None, Some(format!("the rule {name} fails on {dn}: {what} (it read {value})")))
        }
    };
    let expression = written.map_or_else(String::new, |rule| rule.expression.clone());
    TriedRule { target: name.clone(), expression, reads: reads.clone(), result, error }
}

/// What the values of an account mean. Empty: they are not in the form in which accounts are stored.
pub fn meanings(account: &Account) -> Vec<Input> {
    StoredAccount::of(account).map_or_else(Vec::new, |stored| inputs(&stored, |place| stored.is_binary(place)))
}

/// What there is to read of an account.
fn inputs(account: &StoredAccount<'_>, is_binary: impl Fn(usize) -> bool) -> Vec<Input> {
    let names = account.names();
    let mut all = Vec::new();
    for (place, found) in account.columns().take(MAX_ATTRIBUTES) {
        let name = names.get(place).copied().unwrap_or_default();
        all.push(Input::of(name, is_binary(place), found));
    }
    let first = |wanted: &str| {
        let place = names.iter().position(|name| standard(name) == wanted)?;
        account.columns().find(|(at, _)| *at == place).and_then(|(_, mut found)| found.next())
    };
    let text = |wanted: &str| first(wanted).and_then(|value| std::str::from_utf8(value).ok());
    let flags = FLAGS.iter().map(|flag| (format!("flags.{flag}"), "a flag", values::flag(flag, text).to_json()));
    all.extend(flags.filter(|(.., value)| !value.is_null()).map(|(name, kind, value)| Input::meant(name, kind, value)));
    let addresses = names.iter().position(|name| standard(name) == "proxyaddresses");
    let addresses = addresses.and_then(|place| account.columns().find(|(at, _)| *at == place));
    let mail = addresses.and_then(|(_, found)| values::primary_mail(found));
    let known = [
        ("dn", account.dn()),
        ("external_id", Some(account.external_id())),
        ("login", account.login()),
        ("primary_mail", mail),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
    all.extend(known.map(|(name, value)| Input::meant(name.to_owned(), "text", shown(value).into())));
    all
}

impl Input {
    fn of<'v>(name: &str, binary: bool, found: impl Iterator<Item = &'v [u8]>) -> Self {
        let syntax = match Syntax::of(&standard(name)) {
            Syntax::Text if binary => Syntax::Bytes,
            syntax => syntax,
        };
        let as_is =
            if matches!(syntax, Syntax::Guid | Syntax::Sid | Syntax::Bytes) { Syntax::Bytes } else { Syntax::Text };
        let (mut raw, mut values, mut more) = (Vec::new(), Vec::new(), 0);
        for value in found {
            if raw.len() == MAX_VALUES {
                more += 1;
                continue;
            }
            let text = as_is.read(value).unwrap_or_default();
            raw.push(text.to_text().map_or_else(String::new, |text| shown(&text)));
            let meaning = syntax.read(value).unwrap_or_default().to_json();
            values.push(meaning.as_str().map_or_else(|| meaning.clone(), |text| shown(text).into()));
        }
        Self { name: name.to_owned(), kind: syntax.name().to_owned(), raw, values, more }
    }

    /// One that a rule reads and the account does not have.
    fn missing(name: &str) -> Self {
        Self::of(name, false, std::iter::empty())
    }

    /// One that is computed from attributes.
    fn meant(name: String, kind: &str, value: Value) -> Self {
        Self { name, kind: kind.to_owned(), raw: Vec::new(), values: vec![value], more: 0 }
    }

    fn mask(&mut self) {
        self.raw.iter_mut().for_each(|value| MASK.clone_into(value));
        self.values.iter_mut().for_each(|value| *value = MASK.into());
    }
}

/// The standard name of an attribute without its options, in lower case.
fn standard(name: &str) -> String {
    let base = name.split_once(';').map_or(name, |(base, _)| base);
    postern_dn::attribute_names::standard_name(base).unwrap_or(base).to_ascii_lowercase()
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}
