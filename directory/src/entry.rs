//! What of an entry leaves this crate: the configured attributes in their configured order and nothing else. Passwords and
//! keys stay behind, listed or not.

mod complete;
mod login;
mod off_by;

use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::off_by::OffBy;
use crate::error::Phase;
use crate::flavour::{Flavour, Inactivity, Needed, Reading, Switch, external_id};
use crate::names::Names;
use crate::range::{self, Ranged};
use crate::raw_entry::{Attribute, EntryError, RawEntry};
use postern_dn::attribute_names::standard_name;
use postern_dn::ber::Malformed;

/// An entry as the agent sends it on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What names the entry for ever, in its text form.
    pub external_id: String,
    /// The entry's name as the server writes it.
    pub dn: String,
    /// Users: the first value of the unique attribute, where it has one.
    pub unique_value: Option<String>,
    /// The listed attributes that have values, in the configured order and spelling; values in the server's order.
    pub attributes: Vec<(Arc<str>, Vec<Bytes>)>,
    /// Groups: the values of the member attribute.
    pub members: Vec<Bytes>,
    /// Users: whether the directory lets the user in.
    pub switch: Switch,
}

/// An entry that was read and cannot be imported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable {
    /// Its name, as far as that is text.
    pub dn: String,
    /// What it lacks.
    pub reason: String,
}

/// Which attributes to ask for, and what each is for.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// The switch that the site has chosen itself.
    pub(crate) off_by: Option<OffBy>,
    /// The member that stands for nobody: a group that lists only this one has no members.
    pub(crate) nobody: Option<Bytes>,
    names: Vec<Arc<str>>,
    roles: Vec<Role>,
    requested: Vec<String>,
    external_id: String,
    flavour: Flavour,
    /// Whose entries these are; unset, they have no switch.
    phase: Phase,
    /// What is asked for beside the configured attributes.
    needed: &'static [&'static str],
    known: Arc<Names>,
}

/// What an attribute of the server is for; one may have several uses.
#[derive(Clone, Debug)]
struct Role {
    description: String,
    /// What all names of the attribute have in common: servers answer by the one they like.
    key: String,
    slot: Option<usize>,
    needed: Option<usize>,
    external_id: bool,
    /// The server's own id of every entry, for groups without the configured one.
    own_id: bool,
    unique: bool,
    member: Option<Naming>,
}

/// How a member attribute names members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Naming {
    /// As the entry has them.
    Kept,
    /// By `uid`, while the entry has DNs: they are looked up.
    ByUid,
    /// In an attribute that the configuration does not name: seen and not read.
    Unread,
}

/// What names an entry for ever: the attribute, and the server's own for entries that lack it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids<'a> {
    pub(crate) attribute: &'a str,
    pub(crate) own: Option<&'a str>,
}

/// An entry, and which of its attributes have more values to be read.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) entry: Entry,
    pub(crate) partial: Vec<Partial>,
    /// The attribute for whose sake the switch is unknown.
    pub(crate) unreadable: Option<&'static str>,
    /// Which of [`Flavour::hideable`] the entry shows no value of, a bit each.
    pub(crate) absent: u8,
    /// Since when the user has not signed in, where that matters.
    pub(crate) inactivity: Option<Inactivity>,
    /// Members by `uid`, to be looked up.
    pub(crate) member_uids: Vec<Bytes>,
    /// The attribute in which the group lists members that are not read, while it lists none in those that are.
    pub(crate) unread: Option<String>,
}

/// An attribute of which only the first values came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Partial {
    pub(crate) attribute: String,
    pub(crate) target: Target,
    pub(crate) next: u64,
}

/// Where the values of an attribute go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Members,
    Uids,
    Attribute,
}

impl Selection {
    /// `attributes` are the listed ones; `unique` and `member` the attributes with a meaning of their own.
    pub(crate) fn new(
        flavour: Flavour,
        phase: Phase,
        known: &Arc<Names>,
        ids: Ids<'_>,
        attributes: &[String],
        unique: Option<&str>,
        members: &[(&str, Naming)],
    ) -> Self {
        let needed = flavour.needed(phase);
        let (names, roles, requested) = (Vec::new(), Vec::new(), Vec::new());
        let (external_id, known) = (ids.attribute.to_owned(), Arc::clone(known));
        let mut selection =
            Self { off_by: None, nobody: None, names, roles, requested, external_id, flavour, phase, needed, known };
        let known = Arc::clone(&selection.known);
        for name in attributes.iter().filter(|name| !known.stays(name)) {
            let slot = selection.names.len();
            let role = selection.role(name);
            if role.slot.is_none() {
                role.slot = Some(slot);
                selection.names.push(Arc::from(name.as_str()));
            }
        }
        // Without it no entry can be used, which is better than a password that leaves as a name.
        if !known.stays(&selection.external_id) {
            let external_id = selection.external_id.clone();
            selection.role(&external_id).external_id = true;
        }
        if let Some(own) = ids.own {
            selection.role(own).own_id = true;
        }
        if let Some(unique) = unique.filter(|name| !known.stays(name)) {
            selection.role(unique).unique = true;
        }
        for (member, naming) in members.iter().filter(|(name, _)| !known.stays(name)) {
            selection.role(member).member.get_or_insert(*naming);
        }
        for (slot, name) in needed.iter().enumerate() {
            selection.role(name).needed = Some(slot);
        }
        let request =
            |role: &Role| match (role.member.is_some() && flavour.has_ranges(), role.description.contains(';')) {
                (true, false) => format!("{};{}", role.description, range::FIRST),
                _ => role.description.clone(),
            };
        selection.requested = selection.roles.iter().map(request).collect();
        if selection.requested.is_empty() {
            // An empty list would ask for everything (RFC 4511 §4.5.1.8).
            selection.requested.push("1.1".to_owned());
        }
        selection
    }

    /// What to ask the server for.
    pub(crate) fn requested(&self) -> &[String] {
        &self.requested
    }

    /// The attribute that holds the external id.
    pub(crate) fn external_id_attribute(&self) -> &str {
        &self.external_id
    }

    fn role(&mut self, name: &str) -> &mut Role {
        let key = self.known.key(name);
        let found = self.roles.iter().position(|role| role.key == key);
        let position = found.unwrap_or_else(|| {
            self.roles.push(Role {
                description: name.to_owned(),
                key,
                slot: None,
                needed: None,
                external_id: false,
                own_id: false,
                unique: false,
                member: None,
            });
            self.roles.len() - 1
        });
        &mut self.roles[position]
    }

    /// The role of an attribute that the server sent. Servers answer in one order all along, so that the search goes on
    /// where the last one ended.
    fn find(&self, description: &str, hint: &mut usize) -> Option<&Role> {
        let matches = |role: &&Role| {
            role.description.len() == description.len() && role.description.eq_ignore_ascii_case(description)
        };
        let count = self.roles.len();
        let found =
            (0..count).map(|step| (*hint + step) % count).find(|at| self.roles.get(*at).as_ref().is_some_and(matches));
        let Some(found) = found else {
            let key = self.known.key(description);
            return self.roles.iter().find(|role| role.key == key);
        };
        *hint = found + 1;
        self.roles.get(found)
    }

    /// Takes from an entry what may leave. `scratch` is reused from entry to entry.
    pub(crate) fn select(&self, message: &Bytes, scratch: &mut Vec<Vec<Bytes>>) -> Result<Selected, Unusable> {
        let entry = RawEntry::parse(message).map_err(|error| match error {
            EntryError::DnNotText { lossy } => Unusable { dn: lossy, reason: "the DN is not UTF-8 text".to_owned() },
            EntryError::Malformed(malformed) => Unusable { dn: String::new(), reason: malformed.to_string() },
        })?;
        let dn = entry.dn();
        scratch.iter_mut().for_each(Vec::clear);
        scratch.resize_with(self.names.len() + self.needed.len(), Vec::new);
        let mut taken = Taken::default();
        self.take_all(entry, dn, scratch, &mut taken)
            .map_err(|malformed| Unusable { dn: dn.to_owned(), reason: malformed.to_string() })?;
        let Some(external_id) = taken.external_id.or(taken.own_id) else {
            return Err(Unusable { dn: dn.to_owned(), reason: format!("no usable value in {}", self.external_id) });
        };
        let (listed, needed) = scratch.split_at_mut(self.names.len());
        let needed = Needed::new(self.needed, needed);
        let (mut reading, absent) = self.switch(&needed);
        if let Some(by) = &self.off_by {
            reading.and("disable", by.read(entry, &self.known));
        }
        let inactivity = match self.phase {
            Phase::Users => self.flavour.inactivity(&needed),
            Phase::Groups => None,
        };
        let filled = listed.iter().filter(|values| !values.is_empty()).count();
        let mut attributes = Vec::with_capacity(filled);
        for (name, values) in self.names.iter().zip(listed) {
            if !values.is_empty() {
                attributes.push((Arc::clone(name), std::mem::take(values)));
            }
        }
        let Taken { unique_value, mut members, partial, member_uids, unread, .. } = taken;
        if let ([member], Some(nobody)) = (members.as_slice(), &self.nobody)
            && member.eq_ignore_ascii_case(nobody)
        {
            members.clear();
        }
        let unread = unread.filter(|_| members.is_empty() && member_uids.is_empty());
        let Reading { switch, unreadable } = reading;
        let entry = Entry { external_id, dn: dn.to_owned(), unique_value, attributes, members, switch };
        Ok(Selected { entry, partial, unreadable, absent, inactivity, member_uids, unread })
    }

    /// What a user's entry says of its switch, and which switches it shows no value of.
    fn switch(&self, needed: &Needed<'_>) -> (Reading, u8) {
        match self.phase {
            Phase::Groups => (Reading::none(), 0),
            Phase::Users => (self.flavour.switch(needed), self.flavour.absent(needed)),
        }
    }

    fn take_all(
        &self,
        mut entry: RawEntry<'_>,
        dn: &str,
        slots: &mut [Vec<Bytes>],
        taken: &mut Taken,
    ) -> Result<(), Malformed> {
        let mut hint = 0;
        while let Some(attribute) = entry.next_attribute()? {
            let description = attribute.description();
            let ranged = range::base(description);
            let base = ranged.unwrap_or(description);
            // `;binary` asks for an encoding (RFC 4522) and names no other attribute; other options do.
            let found = self.find(base, &mut hint);
            let Some(role) = found.or_else(|| self.find(base.strip_suffix(";binary")?, &mut hint)) else { continue };
            let next = match ranged.map(|_| range::parse(description)) {
                None => None,
                Some(Some(Ranged { start: 0, next, .. })) => next,
                // Passed over, it would cost a group its members in an import that calls itself complete.
                Some(_) => return Err(Malformed("a range of values that cannot be read or leaves the first ones out")),
            };
            take(role, attribute, next, (&mut *slots, self.names.len()), taken)?;
            if role.unique {
                taken.unique_value = login::value(attribute, |name| self.known.key(name) == role.key, dn)?;
            }
        }
        Ok(())
    }
}

/// What was taken from an entry so far, listed attributes apart.
#[derive(Default)]
struct Taken {
    external_id: Option<String>,
    own_id: Option<String>,
    unique_value: Option<String>,
    members: Vec<Bytes>,
    member_uids: Vec<Bytes>,
    unread: Option<String>,
    partial: Vec<Partial>,
}

fn take(
    role: &Role,
    attribute: Attribute<'_>,
    next: Option<u64>,
    (slots, listed): (&mut [Vec<Bytes>], usize),
    taken: &mut Taken,
) -> Result<(), Malformed> {
    if let Some(slot) = role.slot.and_then(|slot| slots.get_mut(slot)) {
        attribute.values_into(slot)?;
        taken.note_partial(role, Target::Attribute, next);
    }
    if let Some(needed) = role.needed.and_then(|place| slots.get_mut(listed + place)) {
        attribute.values_into(needed)?;
    }
    if role.external_id || role.own_id {
        let mut values = attribute;
        // An id has one form, by whatever name the attribute is configured.
        let name = standard_name(&role.description).unwrap_or(&role.description);
        let id = values.next_value()?.and_then(|value| external_id(name, value));
        if role.external_id {
            taken.external_id.clone_from(&id);
        }
        if role.own_id {
            taken.own_id = id;
        }
    }
    match role.member {
        None => {}
        Some(Naming::Kept) => {
            let before = taken.members.len();
            attribute.values_into(&mut taken.members)?;
            if standard_name(&role.description) == Some("uniquemember") {
                taken.members.iter_mut().skip(before).for_each(drop_unique_identifier);
            }
            taken.note_partial(role, Target::Members, next);
        }
        Some(Naming::ByUid) => {
            attribute.values_into(&mut taken.member_uids)?;
            taken.note_partial(role, Target::Uids, next);
        }
        Some(Naming::Unread) => {
            let mut values = attribute;
            if values.next_value()?.is_some_and(|value| !value.is_empty()) {
                taken.unread = Some(role.description.clone());
            }
        }
    }
    Ok(())
}

impl Taken {
    fn note_partial(&mut self, role: &Role, target: Target, next: Option<u64>) {
        if let Some(next) = next {
            self.partial.push(Partial { attribute: role.description.clone(), target, next });
        }
    }
}

/// `uniqueMember` may carry a bit string behind the DN, `cn=a#'0101'B` (RFC 4517 §3.3.21), which names nobody.
fn drop_unique_identifier(member: &mut Bytes) {
    if member.ends_with(b"'B")
        && let Some(end) = member.windows(2).rposition(|pair| pair == b"#'")
        && member.get(end + 2..member.len() - 2).is_some_and(|bits| bits.iter().all(|bit| matches!(bit, b'0' | b'1')))
    {
        member.truncate(end);
    }
}

#[cfg(test)]
mod tests;
