//! Changes of what a target is the source of: somebody asks for them in the organization, they go to the target first, and
//! come back as an import would bring them.

use std::collections::HashSet;

use postern_dn::Dn;
use postern_store::{Account, MemberForm, PendingChange, PendingId};
use serde_json::{Map, Value, json};

use super::change::{AttributeChange, Change, Reference, Step};
use super::compare::{Known, naming};
use super::same::{of, same};
use super::settings::Settings;
use crate::identity::mapping::outbound::{self, Outbound};
use crate::identity::mapping::rules::RuleOf;
use crate::identity::membership;

/// What becomes of the changes that somebody asked for.
#[derive(Debug, Default)]
pub struct Asked {
    /// What is sent.
    pub step: Option<Step>,
    /// Those that the target has already.
    pub done: Vec<PendingId>,
    /// Those that cannot be sent, each with the reason.
    pub refused: Vec<(PendingId, String)>,
}

impl Asked {
    fn refuse(&mut self, pending: &PendingChange, reason: impl Into<String>) {
        self.refused.push((pending.id, reason.into()));
    }

    fn refuse_all(pending: &[PendingChange], reason: &str) -> Self {
        let refused = pending.iter().map(|pending| (pending.id, reason.to_owned())).collect();
        Self { refused, ..Self::default() }
    }
}

const OFF: &str = "Changes are not written through to the directory any more.";
const NO_ACCOUNT: &str = "The directory does not have the account any more that it comes from.";

/// What becomes of fields of a user.
pub fn of_user(pending: &[PendingChange], known: Option<&Known>, rules: &Outbound, settings: &Settings) -> Asked {
    if pending.is_empty() {
        return Asked::default();
    }
    if !settings.switches.write_through {
        return Asked::refuse_all(pending, OFF);
    }
    let Some(known) = known.filter(|known| !known.outbound) else { return Asked::refuse_all(pending, NO_ACCOUNT) };
    let (mut asked, mut changes) = (Asked::default(), Vec::new());
    for pending in pending {
        let attributes = rules.attributes_of(RuleOf::Users, &pending.what);
        if attributes.is_empty() {
            asked.refuse(pending, no_rule(&pending.what));
            continue;
        }
        let wanted = match outbound::written(&pending.wanted) {
            Ok(wanted) => wanted,
            Err(reason) => {
                asked.refuse(pending, reason);
                continue;
            }
        };
        let before = changes.len();
        for name in attributes {
            let current = of(&known.attributes, name).cloned().unwrap_or_default();
            if !same(name, &current, &wanted) {
                let (name, wanted) = (name.to_owned(), wanted.clone());
                changes.push(AttributeChange { name, known: current, wanted, pending: Some(pending.id) });
            }
        }
        if changes.len() == before {
            asked.done.push(pending.id);
        }
    }
    if !changes.is_empty() {
        let change = Change::Update { changes, both_changed: settings.both_changed };
        asked.step = Some(Step { entry: Some(known.entry.clone()), change });
    }
    asked
}

/// What becomes of members of a group. Each comes with the account that the member has in the target.
pub(super) fn of_group(
    pending: &[(PendingChange, Option<Account>)],
    known: Option<&Known>,
    (names, form): (&HashSet<String>, MemberForm),
    settings: &Settings,
) -> Asked {
    let mut asked = Asked::default();
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for (pending, account) in pending {
        if !settings.switches.write_through {
            asked.refuse(pending, OFF);
            continue;
        }
        let Some(account) = account.as_ref().filter(|_| known.is_some_and(|known| !known.outbound)) else {
            asked.refuse(pending, NO_ACCOUNT);
            continue;
        };
        let key = key(account, form);
        let wanted = pending.wanted == json!(true);
        if names.contains(&key) == wanted {
            asked.done.push(pending.id);
            continue;
        }
        let (external_id, dn) = (account.external_key.to_text(), account.dn.clone());
        let member = Reference { external_id, dn, key, pending: Some(pending.id) };
        if wanted { add.push(member) } else { remove.push(member) }
    }
    let entry = known.map(|known| known.entry.clone());
    if !(add.is_empty() && remove.is_empty()) {
        asked.step = Some(Step { entry, change: Change::Members { add, remove } });
    }
    asked
}

/// The form in which groups of the target name a member.
pub fn key(account: &Account, form: MemberForm) -> String {
    match form {
        MemberForm::UniqueValue => account.unique_value.clone().unwrap_or_default(),
        MemberForm::Dn | MemberForm::GroupNames => membership::dn_key(&account.dn),
    }
}

/// Why a field cannot be written, where no rule says how.
pub fn no_rule(field: &str) -> String {
    format!("No outbound rule gives the directory exactly {field}, as `attribute ← {field}` would.")
}

/// The account as it would be once the directory had a value of a field. Or why it cannot have one.
pub fn rehearsed(account: &Account, rules: &Outbound, field: &str, value: &Value) -> Result<Account, String> {
    let attributes = rules.attributes_of(RuleOf::Users, field);
    if attributes.is_empty() {
        return Err(no_rule(field));
    }
    let dn = Dn::parse(&account.dn).ok();
    let naming = dn.as_ref().and_then(naming);
    let mut stored: Map<String, Value> = serde_json::from_str(&account.attributes).unwrap_or_default();
    let wanted = outbound::written(value)?;
    for attribute in attributes {
        if naming.is_some_and(|naming| naming.eq_ignore_ascii_case(attribute)) {
            return Err(format!("{attribute} is part of the entry's name there."));
        }
        let known = stored.keys().find(|name| name.eq_ignore_ascii_case(attribute)).cloned();
        let name = known.unwrap_or_else(|| attribute.to_owned());
        if wanted.is_empty() {
            stored.remove(&name);
        } else {
            stored.insert(name, json!(wanted));
        }
    }
    Ok(Account { attributes: Value::Object(stored).to_string(), ..account.clone() })
}

#[cfg(test)]
mod tests;
