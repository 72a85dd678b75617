//! The default mapping: from the attributes of an account to those of a user or group, for each flavour of directory,
//! and to JSON. It makes one pass over any [`AttributeView`], without a tree.

pub mod definitions;
pub mod expression;
mod mapped;
pub mod outbound;
mod printable;
mod ruled;
pub mod rules;
mod size;
pub mod target;

use std::sync::Arc;

use jiff::Timestamp;
use postern_store::{Flavour, Switch};

pub use self::mapped::{MappedGroup, MappedUser};
pub use self::printable::printable;

use self::mapped::base;
use self::ruled::Reads;
use self::rules::{Given, Outcome, RuleOf, Rules};
use super::view::AttributeView;
use super::{forms, json};

/// A field with the attributes that can fill it, best first.
struct Rule {
    field: Field,
    attributes: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    UserName,
    GivenName,
    FamilyName,
    DisplayName,
    Email,
}

const FIELDS: usize = 5;
/// The index of the user name in each set of rules. Its attributes are where logins usually are.
const USER_NAME: usize = 0;

const ACTIVE_DIRECTORY: [Rule; FIELDS] = [
    Rule { field: Field::UserName, attributes: &["userprincipalname", "samaccountname"] },
    Rule { field: Field::GivenName, attributes: &["givenname"] },
    Rule { field: Field::FamilyName, attributes: &["sn"] },
    Rule { field: Field::DisplayName, attributes: &["displayname", "cn", "name"] },
    Rule { field: Field::Email, attributes: &["mail"] },
];

const OTHERS: [Rule; FIELDS] = [
    Rule { field: Field::UserName, attributes: &["uid", "mail", "cn"] },
    Rule { field: Field::GivenName, attributes: &["givenname"] },
    Rule { field: Field::FamilyName, attributes: &["sn"] },
    Rule { field: Field::DisplayName, attributes: &["displayname", "cn"] },
    Rule { field: Field::Email, attributes: &["mail"] },
];

/// The attributes for a group's name, best first, and for its description.
const GROUP_NAME: &[&str] = &["displayname", "cn", "name", "samaccountname"];
const DESCRIPTION: &str = "description";

/// Further attributes of a user, with the organization's names for them.
const FURTHER: [(&str, &str); 13] = [
    ("title", "title"),
    ("department", "department"),
    ("departmentnumber", "department"),
    ("telephonenumber", "phone_number"),
    ("mobile", "mobile_number"),
    ("employeenumber", "employee_number"),
    ("employeeid", "employee_number"),
    ("employeetype", "employee_type"),
    ("l", "location"),
    ("physicaldeliveryofficename", "office"),
    ("company", "company"),
    ("o", "company"),
    ("preferredlanguage", "locale"),
];

/// Initial capacity for the JSON of most accounts, and for the further attributes of most users.
const ATTRIBUTES_BYTES: usize = 512;
const FURTHER_BYTES: usize = 192;

/// Increased with each change of this mapping, so that the next import maps every account again.
const VERSION: u8 = 4;

fn rules(flavour: Flavour) -> &'static [Rule; FIELDS] {
    match flavour {
        Flavour::ActiveDirectory => &ACTIVE_DIRECTORY,
        Flavour::Generic | Flavour::OpenLdap | Flavour::Ds389 | Flavour::Unknown => &OTHERS,
    }
}

/// The mapping of one attribute.
struct Column {
    /// The beginning of its values in the account's JSON.
    key: String,
    /// Its rank for each field, 0 the best.
    ranks: [Option<usize>; FIELDS],
    /// Its index in [`FURTHER`].
    further: Option<usize>,
    /// Its rank as a group's name, 0 the best.
    group_name: Option<usize>,
    /// Whether it is a group's description.
    description: bool,
    /// Whether its name has options (RFC 4512 §2.5), like `sn;lang-de`: it is used if there is none without.
    optional: bool,
    /// Whether it is binary, even if its values look like text.
    binary: bool,
}

/// The mapping of attributes with these names. Each name is analyzed once, for all entries.
pub struct Mapping {
    rules: &'static [Rule; FIELDS],
    columns: Vec<Column>,
    ruled: Option<Reads>,
    stamp: Stamp,
}

/// Tells mappings apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The default mapping.
    pub defaults: u8,
    /// The attributes that the directory says are bytes.
    pub binary: u8,
    /// The version of the directory's rules; 0 where it has none.
    pub version: u32,
}

impl Mapping {
    /// The mapping of a flavour, for views with these attribute names.
    pub fn new(flavour: Flavour, names: &[&str]) -> Self {
        let rules = rules(flavour);
        let columns: Vec<Column> = names.iter().map(|name| Column::new(rules, name)).collect();
        let defaults = VERSION << 1 | u8::from(flavour == Flavour::ActiveDirectory);
        Self { rules, columns, ruled: None, stamp: Stamp { defaults, ..Stamp::default() } }
    }

    /// Adds attributes that are binary by the directory's schema, even if their values look like text. `stamp` stands
    /// for all of them: if it changes, accounts are mapped again.
    #[must_use]
    pub fn with_binary(mut self, names: &[&str], is_binary: impl Fn(&str) -> bool, stamp: u8) -> Self {
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.binary |= is_binary(name);
        }
        self.stamp.binary = stamp;
        self
    }

    /// The same, with the rules of the directory. `names` are those of the views.
    #[must_use]
    pub fn with_rules(mut self, rules: Option<&Arc<Rules>>, names: &[&str]) -> Self {
        if let Some(rules) = rules {
            self.stamp.version = rules.version();
            self.ruled = Some(Reads::new(Arc::clone(rules), names));
        }
        self
    }

    /// Adds attributes, by index, whose values were binary when they came.
    #[must_use]
    pub(super) fn with_binary_places(mut self, is_binary: impl Fn(usize) -> bool) -> Self {
        for (place, column) in self.columns.iter_mut().enumerate() {
            column.binary |= is_binary(place);
        }
        self
    }

    /// Identifies this mapping: an account with another stamp is mapped again.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Maps a user's account, and returns the account's attributes as JSON. The name is the entry's login; nothing else
    /// replaces a missing one, or a user would be renamed silently.
    pub fn user<'e>(&self, entry: &'e impl AttributeView, now: Timestamp) -> (MappedUser<'e>, String) {
        let mut found: [(usize, Option<&'e str>); FIELDS] = [(usize::MAX, None); FIELDS];
        let mut further: [Option<&'e str>; FURTHER.len()] = [None; FURTHER.len()];
        let attributes = self.walk(entry, |column, value| {
            for (rank, best) in column.ranks.iter().zip(&mut found) {
                if let Some(rank) = rank.filter(|rank| *rank < best.0) {
                    *best = (rank, Some(value));
                }
            }
            if let Some(place) = column.further.filter(|place| !column.optional || further[*place].is_none()) {
                further[place] = Some(value);
            }
        });
        let field = |field: Field| {
            let place = self.rules.iter().position(|rule| rule.field == field)?;
            found[place].1.map(printable)
        };
        let mut user = MappedUser {
            user_name: login(entry).map(printable),
            given_name: field(Field::GivenName),
            family_name: field(Field::FamilyName),
            display_name: field(Field::DisplayName),
            email: field(Field::Email),
            active: entry.switch().is_on(now),
            ..MappedUser::default()
        };
        let mut overridden = Vec::new();
        if let Some(ruled) = &self.ruled {
            user.failed = ruled.user(entry, |place| self.is_binary(place), &mut user, &mut overridden);
        }
        printable::clean(&mut user);
        user.attributes = further_json(&further, &overridden);
        if let Some(defined) = self.ruled.as_ref().and_then(Reads::defined) {
            defined.check(&mut user.attributes, &mut user.failed);
        }
        size::bound(&mut user);
        (user, attributes)
    }

    /// Maps a group's account, and returns the account's attributes as JSON. A group without a name is shown by its DN,
    /// or else by its id.
    pub fn group<'e>(&self, entry: &'e impl AttributeView) -> (MappedGroup<'e>, String) {
        let mut name: (usize, Option<&'e str>) = (usize::MAX, None);
        let mut description = None;
        let attributes = self.walk(entry, |column, value| {
            if let Some(rank) = column.group_name.filter(|rank| *rank < name.0) {
                name = (rank, Some(value));
            }
            if column.description && (!column.optional || description.is_none()) {
                description = Some(value);
            }
        });
        let name = name.1.or(entry.dn()).unwrap_or_else(|| entry.external_id());
        let (display_name, description) = (printable(name), description.map(printable));
        let mut group = MappedGroup { display_name, description, failed: Vec::new() };
        if let Some(ruled) = &self.ruled {
            group.failed = ruled.group(entry, |place| self.is_binary(place), &mut group);
        }
        let shown = printable::name(std::mem::take(&mut group.display_name));
        group.display_name = shown.unwrap_or_else(|| printable(entry.external_id()));
        (group, attributes)
    }

    /// What each of the rules about users or groups gives on an entry.
    pub fn outcomes(&self, of: RuleOf, entry: &impl AttributeView) -> Vec<Outcome> {
        let ruled = self.ruled.as_ref();
        ruled.map_or_else(Vec::new, |ruled| ruled.outcomes(of, entry, |place| self.is_binary(place)))
    }

    /// The steps that rules took since this was last called.
    pub fn take_steps(&self) -> u64 {
        self.ruled.as_ref().map_or(0, Reads::take_steps)
    }

    /// Whether the attribute at this place is binary.
    pub(super) fn is_binary(&self, place: usize) -> bool {
        self.columns.get(place).is_some_and(|column| column.binary)
    }

    /// The other values of the login attribute, if it has several.
    pub fn other_logins(&self, entry: &impl AttributeView) -> Vec<String> {
        let Some(login) = login(entry) else { return Vec::new() };
        let place = |column: &Column| column.ranks.get(USER_NAME).copied().flatten();
        let several = entry.columns().filter_map(|(at, values)| {
            let rank = self.columns.get(at).and_then(place)?;
            let texts: Vec<&str> = values.filter_map(json::text).collect();
            (texts.len() > 1 && texts.contains(&login)).then_some((rank, texts))
        });
        let best = several.min_by_key(|(rank, _)| *rank);
        let others = best.into_iter().flat_map(|(_, texts)| texts).filter(|text| *text != login);
        others.map(|text| printable(text.trim()).into_owned()).collect()
    }

    /// The attributes of an account: `{"name": ["text", {"base64": "…"}]}`.
    pub fn attributes(&self, entry: &impl AttributeView) -> String {
        self.walk(entry, |_, _| ())
    }

    /// Writes the attributes of an account, and passes on the first text of each.
    fn walk<'e>(&self, entry: &'e impl AttributeView, mut first: impl FnMut(&Column, &'e str)) -> String {
        let mut out = String::with_capacity(ATTRIBUTES_BYTES);
        out.push('{');
        for (place, values) in entry.columns() {
            let Some(column) = self.columns.get(place) else { continue };
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&column.key);
            let mut had_text = false;
            for (place, value) in values.enumerate() {
                if place > 0 {
                    out.push(',');
                }
                let text = json::put_value(&mut out, value, column.binary);
                if let Some(text) = text.filter(|text| !had_text && !text.trim().is_empty()) {
                    had_text = true;
                    first(column, text);
                }
            }
            out.push(']');
        }
        out.push('}');
        out
    }
}

impl Column {
    fn new(rules: &[Rule; FIELDS], name: &str) -> Self {
        let plain = base(name);
        let optional = plain.len() < name.len();
        // A site may list an attribute by an alias or its OID.
        let base = postern_dn::attribute_names::standard_name(plain).unwrap_or(plain);
        let rank = |attributes: &[&str]| rank(attributes, base, optional);
        let mut key = String::new();
        json::put_string(&mut key, name);
        key.push_str(":[");
        Self {
            key,
            ranks: rules.each_ref().map(|rule| rank(rule.attributes)),
            further: FURTHER.iter().position(|(attribute, _)| attribute.eq_ignore_ascii_case(base)),
            group_name: rank(GROUP_NAME),
            description: base.eq_ignore_ascii_case(DESCRIPTION),
            optional,
            binary: forms::is_binary(base, name),
        }
    }
}

/// The rank of an attribute among these, best first; without options it ranks higher.
fn rank(attributes: &[&str], base: &str, optional: bool) -> Option<usize> {
    let place = attributes.iter().position(|attribute| attribute.eq_ignore_ascii_case(base))?;
    Some(place * 2 + usize::from(optional))
}

/// Whether an account has expired. Only this changes what is stored of an entry without a change of the entry.
pub fn expired(entry: &impl AttributeView, now: Timestamp) -> bool {
    matches!(entry.switch(), Switch::OnUntil(end) if end <= now)
}

/// The login of an entry; a blank one does not count.
pub fn login(entry: &impl AttributeView) -> Option<&str> {
    entry.login().filter(|value| !value.trim().is_empty())
}

/// Further attributes as JSON. What rules have filled or emptied comes from them alone.
fn further_json(further: &[Option<&str>; FURTHER.len()], overridden: &[(String, Option<Given>)]) -> String {
    let mut out = String::with_capacity(FURTHER_BYTES);
    out.push('{');
    let by_rule = |name: &str| overridden.iter().any(|(overridden, _)| overridden == name);
    let filled = || {
        let all = FURTHER.iter().zip(further).filter_map(|((_, name), value)| Some((*name, (*value)?)));
        all.filter(|(name, _)| !by_rule(name))
    };
    for (place, (name, value)) in filled().enumerate() {
        // Several attributes may fill one field; the table lists the better first.
        if filled().take(place).any(|(earlier, _)| earlier == name) {
            continue;
        }
        put_member(&mut out, name, value);
    }
    for (name, value) in overridden {
        match value {
            Some(Given::Text(text)) => put_member(&mut out, name, text),
            Some(Given::List(texts)) => put_list(&mut out, name, texts),
            None => {}
        }
    }
    out.push('}');
    out
}

fn put_list(out: &mut String, name: &str, texts: &[String]) {
    if out.len() > 1 {
        out.push(',');
    }
    json::put_string(out, name);
    out.push(':');
    out.push_str(&serde_json::Value::from(texts).to_string());
}

fn put_member(out: &mut String, name: &str, value: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    json::put_string(out, name);
    out.push(':');
    json::put_string(out, value);
}

#[cfg(test)]
mod tests;
