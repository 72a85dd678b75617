//! A row of a preview: a user or group, and what an import would do with it.

use std::collections::{BTreeMap, HashSet};

use postern_dn::Dn;
use postern_store::{AccountKind, ChangedAccount, IdentityState, MemberChanges, PreviewRow, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::identity::attributes::MASK;

/// What would happen to a user or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PreviewAction)]
pub enum Action {
    /// It would be created.
    Created,
    /// The entry would get a user that there is already.
    Linked,
    /// Values would change.
    Changed,
    /// The user name, or the name of the group, would change.
    Renamed,
    /// The entry has another DN.
    Moved,
    /// The user would become active.
    BecameActive,
    /// The user would become inactive.
    BecameInactive,
    /// The account would be marked missing.
    Missing,
    /// The account was missing and is there again.
    Returned,
    /// Another user or group has the name: an administrator would have to decide.
    Conflict,
    /// The entry has no login, so it would get no user.
    WithoutLogin,
    /// Members of the group would come or leave.
    Members,
}

macro_rules! actions {
    ($($action:ident = $name:literal, $about:literal;)+) => {
        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$action,)+];

            /// Its name in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$action => $name,)+ }
            }

            /// What it means, as the end of a sentence about users or groups.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$action => $about,)+ }
            }
        }
    };
}

actions! {
    Created = "created", "would be created";
    Linked = "linked", "would be linked with users that are there already";
    Changed = "changed", "would be changed";
    Renamed = "renamed", "would be renamed";
    Moved = "moved", "have another DN";
    BecameActive = "became_active", "would become active";
    BecameInactive = "became_inactive", "would become inactive";
    Missing = "missing", "would be marked missing";
    Returned = "returned", "were missing and are there again";
    Conflict = "conflict", "would be in conflict about their name";
    WithoutLogin = "without_login", "have no login and would get no user";
    Members = "members", "would get or lose members";
}

impl Action {
    /// The bit of an action in a stored row.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A user or group that an import would touch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PreviewRow)]
pub struct Row {
    /// `user` or `group`.
    pub kind: String,
    /// The user name, or the name of the group. `null`: the entry has none.
    pub name: Option<String>,
    /// The DN of the entry. `null`: the user has no entry in this directory any more.
    pub dn: Option<String>,
    /// The DN of the container of the entry.
    pub container: Option<String>,
    /// What would happen.
    pub actions: Vec<Action>,
    /// The values that would change. Sensitive ones are masked.
    pub changes: Vec<Change>,
    /// Attributes of the account that would change and that no rule maps to the user or group, by name.
    pub account_attributes: Vec<String>,
    /// Groups: how the members would change. `null`: they would not.
    pub members: Option<Members>,
    /// An import would not do this before it is approved.
    pub waits: bool,
}

/// A value that an import would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PreviewChange)]
pub struct Change {
    /// The attribute of the user or group, or `active`, or `dn`.
    pub attribute: String,
    /// The value before. `null`: none.
    #[schema(value_type = Value)]
    pub before: Value,
    /// The value after. `null`: none.
    #[schema(value_type = Value)]
    pub after: Value,
}

/// How the members of a group would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PreviewMembers)]
pub struct Members {
    /// Members that would come.
    pub added: u64,
    /// Members that would leave.
    pub removed: u64,
    /// Names of some that would come.
    pub added_names: Vec<String>,
    /// Names of some that would leave.
    pub removed_names: Vec<String>,
}

impl Row {
    /// The form in which it is stored.
    pub fn stored(&self) -> PreviewRow {
        let actions = self.actions.iter().fold(0, |bits, action| bits | action.bit());
        PreviewRow { actions, content: serde_json::to_value(self).unwrap_or_default() }
    }

    /// Reads a stored row.
    pub fn of(stored: PreviewRow) -> Option<Self> {
        serde_json::from_value(stored.content).ok()
    }

    /// The row of a user that has no account in the directory. `None`: nothing happens to it.
    pub(super) fn without_account(
        now: &IdentityState<UserId>,
        before: Option<&IdentityState<UserId>>,
        masked: &HashSet<String>,
    ) -> Option<Self> {
        let mut made = Making::of("user", None, masked);
        made.identity(Some(now), before);
        made.missing(now.missing, before.is_some_and(|before| before.missing));
        made.row(Some(now.name.clone()))
    }

    /// The row of an account. `None`: nothing happens to it.
    pub(super) fn of_account(
        account: &ChangedAccount,
        members: MemberChanges,
        masked: &HashSet<String>,
    ) -> Option<Self> {
        let kind = match account.kind {
            AccountKind::User => "user",
            AccountKind::Group => "group",
        };
        let mut made = Making::of(kind, Some(&account.dn), masked);
        let mut name = account.login.clone();
        match account.kind {
            AccountKind::User => {
                made.identity(account.user.as_ref(), account.user_before.as_ref());
                name = account.user.as_ref().map(|user| user.name.clone()).or(name);
                if !account.known && account.user.is_some() && account.user_before.is_some() {
                    made.does(Action::Linked);
                }
                if !account.known && account.user.is_none() && !account.conflict {
                    made.does(Action::WithoutLogin);
                }
            }
            AccountKind::Group => {
                made.identity(account.group.as_ref(), account.group_before.as_ref());
                name = account.group.as_ref().map(|group| group.name.clone()).or(name);
            }
        }
        made.missing(account.missing, account.missing_before);
        if account.conflict && !account.conflict_before {
            made.does(Action::Conflict);
        }
        if let Some(before) = account.dn_before.as_ref().filter(|before| **before != account.dn) {
            made.changes("dn", Value::from(before.as_str()), Value::from(account.dn.as_str()));
            made.does(Action::Moved);
        }
        if account.known {
            made.account(&account.attributes, account.attributes_before.as_deref().unwrap_or("{}"));
        }
        if members != MemberChanges::default() {
            let MemberChanges { added, removed, added_names, removed_names } = members;
            made.row.members = Some(Members { added, removed, added_names, removed_names });
            made.does(Action::Members);
        }
        made.row(name)
    }
}

/// A row while it is made.
struct Making<'m> {
    row: Row,
    masked: &'m HashSet<String>,
}

impl<'m> Making<'m> {
    fn of(kind: &str, dn: Option<&str>, masked: &'m HashSet<String>) -> Self {
        let container = dn.and_then(|dn| Some(Dn::parse(dn).ok()?.parent()?.to_string()));
        let row = Row {
            kind: kind.to_owned(),
            name: None,
            dn: dn.map(str::to_owned),
            container,
            actions: Vec::new(),
            changes: Vec::new(),
            account_attributes: Vec::new(),
            members: None,
            waits: false,
        };
        Self { row, masked }
    }

    fn does(&mut self, action: Action) {
        if !self.row.actions.contains(&action) {
            self.row.actions.push(action);
        }
    }

    fn changes(&mut self, attribute: &str, before: Value, after: Value) {
        let hide = |value: Value| {
            if value.is_null() || !self.masked.contains(attribute) { value } else { Value::from(MASK) }
        };
        let (before, after) = (hide(before), hide(after));
        self.row.changes.push(Change { attribute: attribute.to_owned(), before, after });
    }

    fn missing(&mut self, now: bool, before: bool) {
        match (before, now) {
            (false, true) => self.does(Action::Missing),
            (true, false) => self.does(Action::Returned),
            _ => {}
        }
    }

    /// Compares a user or group with what it was.
    fn identity<I>(&mut self, now: Option<&IdentityState<I>>, before: Option<&IdentityState<I>>) {
        let Some(now) = now else { return };
        let nothing = Map::new();
        let map = |value: &'_ Value| value.as_object().cloned().unwrap_or_default();
        let (fields, attributes) = (map(&now.fields), map(&now.attributes));
        let (old_fields, old_attributes) =
            before.map_or((nothing.clone(), nothing), |before| (map(&before.fields), map(&before.attributes)));
        let changed = self.compare(&old_fields, &fields) + self.compare(&old_attributes, &attributes);
        match before {
            None => {
                self.does(Action::Created);
                if self.row.kind == "user" {
                    self.changes("active", Value::Null, Value::from(now.active));
                }
            }
            Some(before) => {
                if before.name != now.name {
                    self.does(Action::Renamed);
                }
                if changed > usize::from(before.name != now.name) {
                    self.does(Action::Changed);
                }
                if before.active != now.active {
                    self.changes("active", Value::from(before.active), Value::from(now.active));
                    self.does(if now.active { Action::BecameActive } else { Action::BecameInactive });
                }
            }
        }
    }

    /// Notes the differing values, and returns how many they are.
    fn compare(&mut self, before: &Map<String, Value>, after: &Map<String, Value>) -> usize {
        let names: HashSet<&String> = before.keys().chain(after.keys()).collect();
        let mut names: Vec<&String> = names.into_iter().collect();
        names.sort_unstable();
        let value = |of: &Map<String, Value>, name: &String| of.get(name).cloned().unwrap_or_default();
        let mut differing = 0;
        for name in names {
            let (before, after) = (value(before, name), value(after, name));
            if before != after {
                self.changes(name, before, after);
                differing += 1;
            }
        }
        differing
    }

    /// Names the attributes of an account that differ, unless a change of the user or group shows it.
    fn account(&mut self, now: &str, before: &str) {
        let read = |text| serde_json::from_str::<BTreeMap<String, Value>>(text).unwrap_or_default();
        let (now, before) = (read(now), read(before));
        let names: HashSet<&String> = now.keys().chain(before.keys()).collect();
        let mut names: Vec<String> =
            names.into_iter().filter(|name| now.get(*name) != before.get(*name)).cloned().collect();
        names.sort_unstable();
        if !names.is_empty() {
            self.does(Action::Changed);
        }
        self.row.account_attributes = names;
    }

    fn row(mut self, name: Option<String>) -> Option<Row> {
        if self.row.actions.is_empty() {
            return None;
        }
        self.row.actions.sort_unstable();
        self.row.name = name;
        Some(self.row)
    }
}
