//! A user's profile as administrators write it: what a value may be, and what a change makes of it.

use std::collections::BTreeMap;

use postern_runtime::plain::unseen_in;
use postern_store::{AttributeDefinition, OwnedUser, UserRow, fold};
use serde_json::{Map, Value};

use super::attributes;

/// Longest user name and longest name of a person, in characters.
const MAX_NAME_CHARS: usize = 256;
/// Most further attributes.
const MAX_ATTRIBUTES: usize = 100;

/// Names that an attribute would share with a fact about every user.
const RESERVED: [&str; 12] = [
    "user_name",
    "given_name",
    "family_name",
    "display_name",
    "email",
    "id",
    "active",
    "disabled",
    "missing_since",
    "created_at",
    "updated_at",
    "attributes",
];

/// What to change about a profile. The outer `None`: leave it as it is; the inner one: take it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The name by which the user is known.
    pub user_name: Option<String>,
    /// First name.
    pub given_name: Option<Option<String>>,
    /// Last name.
    pub family_name: Option<Option<String>>,
    /// How people see the user.
    pub display_name: Option<Option<String>>,
    /// Address of the first mailbox.
    pub email: Option<Option<String>>,
    /// Further attributes, by name.
    pub attributes: BTreeMap<String, Option<Value>>,
}

/// A value that no profile can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The field.
    pub field: String,
    /// What it must be, as the end of a sentence.
    pub detail: String,
}

fn wrong(field: &str, detail: impl Into<String>) -> Wrong {
    Wrong { field: field.to_owned(), detail: detail.into() }
}

impl ProfileChange {
    /// The same with trimmed texts, and with values of defined attributes in their one form. The error names every field
    /// that is wrong.
    pub fn checked(mut self, defined: &[AttributeDefinition]) -> Result<Self, Vec<Wrong>> {
        let mut faults = Vec::new();
        if let Some(name) = &mut self.user_name {
            match text("user_name", name) {
                Ok(trimmed) if fold(&trimmed).is_empty() => {
                    faults.push(wrong("user_name", "it has no visible character"));
                }
                Ok(trimmed) => *name = trimmed,
                Err(fault) => faults.push(fault),
            }
        }
        for (field, value) in [
            ("given_name", &mut self.given_name),
            ("family_name", &mut self.family_name),
            ("display_name", &mut self.display_name),
            ("email", &mut self.email),
        ] {
            let Some(Some(given)) = value else { continue };
            match text(field, given) {
                Ok(trimmed) if field == "email" && !email_address::EmailAddress::is_valid(&trimmed) => {
                    faults.push(wrong("email", "it must be like name@example.org"));
                }
                Ok(trimmed) => *given = trimmed,
                Err(fault) => faults.push(fault),
            }
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            faults.push(wrong("attributes", format!("there are more than {MAX_ATTRIBUTES}")));
        }
        for (name, value) in self.attributes.iter_mut().take(MAX_ATTRIBUTES) {
            faults.extend(further_checked(name, value, defined).err());
        }
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }

    /// The required attribute that a new user with this profile would lack.
    pub fn lacks<'d>(&self, defined: &'d [AttributeDefinition]) -> Option<&'d str> {
        let has = |name: &str| self.attributes.get(name).is_some_and(Option::is_some);
        defined.iter().find(|defined| defined.required && !has(&defined.name)).map(|defined| defined.name.as_str())
    }

    /// The names of the fields that it changes; further attributes as `attributes.NAME`.
    pub fn fields(&self) -> Vec<String> {
        let fixed = [
            ("user_name", self.user_name.is_some()),
            ("given_name", self.given_name.is_some()),
            ("family_name", self.family_name.is_some()),
            ("display_name", self.display_name.is_some()),
            ("email", self.email.is_some()),
        ];
        let fixed = fixed.into_iter().filter(|(_, changes)| *changes).map(|(name, _)| name.to_owned());
        fixed.chain(self.attributes.keys().map(|name| further(name))).collect()
    }

    /// The same without these fields.
    #[must_use]
    pub fn without(&self, fields: &BTreeMap<String, Value>) -> Self {
        let stays = |field: &str| !fields.contains_key(field);
        let mut attributes = self.attributes.clone();
        attributes.retain(|name, _| stays(&further(name)));
        Self {
            user_name: self.user_name.clone().filter(|_| stays("user_name")),
            given_name: self.given_name.clone().filter(|_| stays("given_name")),
            family_name: self.family_name.clone().filter(|_| stays("family_name")),
            display_name: self.display_name.clone().filter(|_| stays("display_name")),
            email: self.email.clone().filter(|_| stays("email")),
            attributes,
        }
    }

    /// Changes a user and what the organization says of them.
    pub fn apply(&self, user: &mut OwnedUser) -> Result<(), serde_json::Error> {
        let mut own: Map<String, Value> = match user.own.as_deref() {
            Some(own) => serde_json::from_str(own)?,
            None => Map::new(),
        };
        let row = &mut user.row;
        if let Some(name) = &self.user_name {
            row.user_name.clone_from(name);
            row.name_key = fold(name);
        }
        for (name, field, change) in [
            ("given_name", &mut row.given_name, &self.given_name),
            ("family_name", &mut row.family_name, &self.family_name),
            ("display_name", &mut row.display_name, &self.display_name),
            ("email", &mut row.email, &self.email),
        ] {
            if let Some(value) = change {
                field.clone_from(value);
                put(&mut own, name, value.clone().map(Value::String));
            }
        }
        let mut all: Map<String, Value> = serde_json::from_str(&row.attributes)?;
        let mut further = match own.remove("attributes") {
            Some(Value::Object(further)) => further,
            _ => Map::new(),
        };
        for (name, value) in &self.attributes {
            put(&mut all, name, value.clone());
            put(&mut further, name, value.clone());
        }
        row.attributes = Value::Object(all).to_string();
        put(&mut own, "attributes", (!further.is_empty()).then_some(Value::Object(further)));
        user.own = (!own.is_empty() || user.is_own).then(|| Value::Object(own).to_string());
        Ok(())
    }
}

/// What the names of further attributes start with among the fields.
pub const FURTHER: &str = "attributes.";

/// The name of a further attribute among the fields.
pub fn further(name: &str) -> String {
    format!("{FURTHER}{name}")
}

/// The fields of a user, with their values.
pub fn values(row: &UserRow) -> BTreeMap<String, Value> {
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let fixed = [
        ("user_name", Some(Value::String(row.user_name.clone()))),
        ("given_name", text(&row.given_name)),
        ("family_name", text(&row.family_name)),
        ("display_name", text(&row.display_name)),
        ("email", text(&row.email)),
    ];
    let more: Map<String, Value> = serde_json::from_str(&row.attributes).unwrap_or_default();
    let fixed = fixed.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    fixed.chain(more.into_iter().map(|(name, value)| (further(&name), value))).collect()
}

fn put(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(object.insert(name.to_owned(), value)),
        None => drop(object.remove(name)),
    }
}

fn text(field: &str, given: &str) -> Result<String, Wrong> {
    let text = given.trim();
    let fits = !text.is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.chars().any(char::is_control);
    if !fits {
        return Err(wrong(field, format!("it must be 1 to {MAX_NAME_CHARS} characters on one line")));
    }
    unseen_in(text).map_or_else(|| Ok(text.to_owned()), |rule| Err(wrong(field, rule)))
}

/// A user name as it is compared: without regard to letter case, width and form, as directories compare names (RFC 4518
/// §2). It joins all that RFC 8265 §3.3 joins, and more; its classes of forbidden characters are not applied, because
/// directories have names with blanks.
pub fn name_key(user_name: &str) -> String {
    fold(user_name)
}

/// Puts the value of a further attribute into its one form.
fn further_checked(name: &str, value: &mut Option<Value>, defined: &[AttributeDefinition]) -> Result<(), Wrong> {
    named(name)?;
    let defined = defined.iter().find(|defined| defined.name == name);
    match value {
        None if defined.is_some_and(|defined| defined.required) => {
            Err(wrong(&further(name), "every user must have it"))
        }
        None => Ok(()),
        Some(given) => {
            *given = attributes::checked(defined, given).map_err(|rule| wrong(&further(name), rule))?;
            Ok(())
        }
    }
}

/// What people call a field of a user. `None`: users have no such field.
pub fn label(field: &str) -> Option<&str> {
    match field {
        "user_name" => Some("user name"),
        "given_name" => Some("first name"),
        "family_name" => Some("last name"),
        "display_name" => Some("display name"),
        "email" => Some("e-mail address"),
        _ => field.strip_prefix(FURTHER),
    }
}

/// Fails unless a further attribute may have this name.
pub fn named(name: &str) -> Result<(), Wrong> {
    if RESERVED.contains(&name) {
        return Err(wrong(&further(name), format!("{name} is not a further attribute, but a fact about every user")));
    }
    let mut letters = name.chars();
    let fits = letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && name.len() <= 64
        && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    let rule = "a name is 1 to 64 of the characters a to z, 0 to 9 and _, the first a letter";
    if fits { Ok(()) } else { Err(wrong(&further(name), rule)) }
}

#[cfg(test)]
mod tests;
