//! What differs between the account that should be there and the one that was last known: the steps to take.

use super::agreed::Agreed;
use super::change::{AttributeChange, Attributes, Change, Reference, Step};
use super::same::{of, same};
use super::settings::{BothChanged, Existing, Leaving, Settings};
use super::wanted::Wanted;
use postern_dn::Dn;

/// The account as it was last known.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts about one account")]
pub struct Known {
    /// The entry.
    pub entry: Reference,
    /// The values that the target delivers.
    pub attributes: Attributes,
    /// The values that both ends had last, of attributes that were sent.
    pub agreed: Agreed,
    /// Whether nobody has disabled it. It may have expired all the same. `None`: the target does not say.
    pub enabled: Option<bool>,
    /// Whether provisioning has made or adopted it. Otherwise the user comes from the target.
    pub outbound: bool,
    /// Whether its user was one who should have no account.
    pub left: bool,
    /// Whether that was for so long that it is deleted.
    pub overdue: bool,
    /// Whether it is disabled because provisioning has disabled it.
    pub disabled_here: bool,
}

/// The members of a group that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersDiffer {
    /// Members that the target does not have.
    pub add: Vec<Reference>,
    /// Members that only the target has.
    pub remove: Vec<Reference>,
}

/// Whether the steps enable an account that somebody else has disabled.
pub fn lifts(steps: &[Step], known: Option<&Known>) -> Option<Lifted> {
    let known = known.filter(|known| known.enabled == Some(false) && !known.disabled_here)?;
    let enables = steps.iter().any(|step| step.change == Change::Enable);
    let lifted = if known.agreed.values.is_empty() { Lifted::Adopted } else { Lifted::Known };
    enables.then_some(lifted)
}

/// An account that was disabled by somebody else, and would be enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifted {
    /// It was so when it was adopted.
    Adopted,
    /// It was disabled later.
    Known,
}

/// The steps towards the wanted account of a user.
pub fn user(wanted: &Wanted, known: Option<&Known>, settings: &Settings) -> Vec<Step> {
    let switches = settings.switches;
    let Some(known) = known else {
        // Who may not sign in gets no new account.
        let creates = wanted.exists == Some(true) && wanted.active && !wanted.nowhere && switches.create_users;
        let enabled = !wanted.needs_password;
        return if creates { vec![create(wanted, settings, enabled, Vec::new())] } else { Vec::new() };
    };
    match wanted.exists {
        Some(true) => {}
        // The user comes from the target: only what an administrator's decision has done is undone.
        _ if !known.outbound && !wanted.suspended && !known.disabled_here => return Vec::new(),
        _ if !known.outbound => {}
        None => return Vec::new(),
        Some(false) => return leave(known, settings),
    }
    let mut steps = Vec::new();
    // Nobody stays enabled for longer than needed.
    let enable = enabling(wanted, known, settings);
    if enable == Some(false) {
        steps.push(step(known, Change::Disable));
    }
    if switches.edit_users && wanted.exists == Some(true) {
        edit(wanted, known, settings, &mut steps);
    }
    if enable == Some(true) {
        steps.push(step(known, Change::Enable));
    }
    steps
}

/// The steps towards the wanted group.
pub fn group(wanted: &Wanted, known: Option<&Known>, members: MembersDiffer, settings: &Settings) -> Vec<Step> {
    let switches = settings.switches;
    let Some(known) = known else {
        let creates = wanted.exists == Some(true) && switches.create_groups;
        let members = if switches.sync_members { members.add } else { Vec::new() };
        return if creates { vec![create(wanted, settings, false, members)] } else { Vec::new() };
    };
    if known.outbound && wanted.exists == Some(false) {
        let deletes = settings.leaving == Leaving::Delete && switches.delete_groups;
        return if deletes { vec![step(known, Change::Delete)] } else { Vec::new() };
    }
    let mut steps = Vec::new();
    if switches.edit_groups && known.outbound {
        edit(wanted, known, settings, &mut steps);
    }
    let MembersDiffer { add, remove } = members;
    if switches.sync_members && !(add.is_empty() && remove.is_empty()) {
        steps.push(step(known, Change::Members { add, remove }));
    }
    steps
}

fn step(known: &Known, change: Change) -> Step {
    Step { entry: Some(known.entry.clone()), change }
}

fn create(wanted: &Wanted, settings: &Settings, enabled: bool, members: Vec<Reference>) -> Step {
    let mut attributes = wanted.attributes.clone();
    attributes.retain(|_, values| !values.is_empty());
    let (container, choices) = (wanted.container.clone(), wanted.choices.clone());
    let adopt = settings.existing == Existing::Adopt;
    Step {
        entry: None,
        change: Change::Create {
            container,
            attributes,
            choices,
            sent_before: false,
            others: Vec::new(),
            enabled,
            members,
            adopt,
        },
    }
}

/// What becomes of an account that should not be there.
fn leave(known: &Known, settings: &Settings) -> Vec<Step> {
    let switches = settings.switches;
    let deletes = settings.leaving == Leaving::Delete || (settings.leaving == Leaving::Disable && known.overdue);
    if deletes && switches.delete_users {
        return vec![step(known, Change::Delete)];
    }
    let mut steps = Vec::new();
    if settings.leaving != Leaving::Disable {
        return steps;
    }
    if switches.enable_disable_users && known.enabled != Some(false) {
        steps.push(step(known, Change::Disable));
    }
    let former = settings.leaving_then.move_to.as_ref().filter(|former| !lies_in(known, former));
    if let Some(former) = former.filter(|_| switches.edit_users) {
        steps.push(step(known, Change::Move { container: Some(former.clone()), name: None }));
    }
    steps
}

/// Whether an account lies directly in a container.
fn lies_in(known: &Known, container: &str) -> bool {
    Dn::parse(&known.entry.dn).is_ok_and(|dn| is_in(&dn, container))
}

/// The container that the account of a user who is back has to leave for: that of the settings, or the site's own.
fn way_back(wanted: &Wanted, known: &Known, settings: &Settings) -> Option<String> {
    let former = settings.leaving_then.move_to.as_ref().filter(|_| known.left && !wanted.nowhere)?;
    let stays = wanted.container.as_ref().is_some_and(|container| lies_in(known, container));
    (lies_in(known, former) && !stays).then(|| wanted.container.clone().unwrap_or_default())
}

/// Whether to enable or disable the account.
fn enabling(wanted: &Wanted, known: &Known, settings: &Settings) -> Option<bool> {
    if !settings.switches.enable_disable_users {
        return None;
    }
    let on = if known.outbound {
        let on = wanted.active && !wanted.suspended;
        let by_the_target = known.enabled == Some(false) && !known.disabled_here;
        if on && by_the_target && settings.both_changed == BothChanged::TargetWins {
            return None;
        }
        on
    } else if wanted.suspended {
        false
    } else if known.disabled_here && known.enabled == Some(false) {
        true
    } else {
        // The target itself says whether this user may sign in.
        return None;
    };
    (known.enabled != Some(on)).then_some(on)
}

/// Attributes that differ; one that is part of the DN means a new name, and another container a move.
fn edit(wanted: &Wanted, known: &Known, settings: &Settings, steps: &mut Vec<Step>) {
    let dn = Dn::parse(&known.entry.dn).ok();
    let naming = dn.as_ref().and_then(naming);
    let (mut changes, mut name) = (Vec::new(), None);
    for (attribute, values) in &wanted.attributes {
        let common = of(&known.agreed.values, attribute);
        // What the target does not deliver is taken to be as it was sent.
        let is_delivered = known.agreed.delivered.contains(&attribute.to_ascii_lowercase());
        let current = of(&known.attributes, attribute).or(common.filter(|_| !is_delivered));
        if current.is_some_and(|current| same(attribute, current, values)) || (current.is_none() && values.is_empty()) {
            continue;
        }
        // The organization has never had a value: that is no wish to take the target's away.
        if values.is_empty() && common.is_none() {
            continue;
        }
        let now = current.map(Vec::as_slice).unwrap_or_default();
        let is_form = known.agreed.is_form_of(attribute, now);
        // The target keeps it in another form: writing it again would change nothing, without end.
        if is_form && common.is_some_and(|common| same(attribute, common, values)) {
            continue;
        }
        let drifted = !is_form && common.is_some_and(|common| !same(attribute, common, now));
        if drifted && settings.both_changed == BothChanged::TargetWins {
            continue;
        }
        if naming.is_some_and(|naming| naming.eq_ignore_ascii_case(attribute)) {
            name = values.first().cloned();
            continue;
        }
        let current = current.cloned().unwrap_or_default();
        changes.push(AttributeChange {
            name: attribute.clone(),
            known: current,
            wanted: values.clone(),
            pending: None,
        });
    }
    let container = wanted.container.clone().filter(|container| {
        // Where the target wins, it also says where its entries are.
        let moves = known.outbound && settings.both_changed == BothChanged::OrganizationWins;
        moves && dn.as_ref().is_some_and(|dn| !is_in(dn, container))
    });
    let container = container.or_else(|| way_back(wanted, known, settings));
    if name.is_some() || container.is_some() {
        steps.push(step(known, Change::Move { container, name }));
    }
    if !changes.is_empty() {
        steps.push(step(known, Change::Update { changes, both_changed: settings.both_changed }));
    }
}

/// Whether an entry is directly in a container. That is relative to one that only the site knows, so the beginning counts.
fn is_in(entry: &Dn, container: &str) -> bool {
    let (Ok(container), Some(parent)) = (Dn::parse(container), entry.parent()) else { return true };
    let (wanted, found) = (container.rdns(), parent.rdns());
    wanted.len() <= found.len() && wanted.iter().zip(found).all(|(wanted, found)| wanted.is_same(found))
}

/// The attribute that names an entry.
pub(super) fn naming(dn: &Dn) -> Option<&str> {
    Some(dn.rdns().first()?.avas().first()?.attribute())
}

#[cfg(test)]
mod tests;
