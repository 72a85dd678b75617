//! The rules of a directory, applied to views whose attributes have certain names.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::definitions::Definitions;
use super::expression::{Inputs, says_something};
use super::mapped::{MappedGroup, MappedUser, base};
use super::rules::{Failed, Given, Outcome, RuleOf, Rules, Target};
use crate::identity::values::Syntax;
use crate::identity::view::AttributeView;

/// Rules, and where they find what they read.
pub(super) struct Reads {
    rules: Arc<Rules>,
    /// For each attribute of the views, the attributes of the rules that it fills. `true`: only where no better one does.
    columns: Vec<Vec<(usize, bool)>>,
    users: bool,
    groups: bool,
    /// The steps that evaluations took since the last time somebody asked.
    steps: AtomicU64,
}

impl Reads {
    /// Finds the attributes of the rules among these names.
    pub(super) fn new(rules: Arc<Rules>, names: &[&str]) -> Self {
        let columns = names.iter().map(|name| columns(&rules, name)).collect();
        let (users, groups) = (rules.concern(RuleOf::Users), rules.concern(RuleOf::Groups));
        Self { rules, columns, users, groups, steps: AtomicU64::new(0) }
    }

    /// The steps that evaluations took since this was last called.
    pub(super) fn take_steps(&self) -> u64 {
        self.steps.swap(0, Ordering::Relaxed)
    }

    fn counted(&self, (failed, steps): (Vec<Failed>, u32)) -> Vec<Failed> {
        self.steps.fetch_add(steps.into(), Ordering::Relaxed);
        failed
    }

    /// The attributes that the organization has defined.
    pub(super) fn defined(&self) -> Option<&Definitions> {
        self.rules.defined()
    }

    /// Applies the rules about users. What they say of further attributes is put into `further`.
    pub(super) fn user<'e>(
        &self,
        entry: &'e impl AttributeView,
        is_binary: impl Fn(usize) -> bool,
        user: &mut MappedUser<'e>,
        further: &mut Vec<(String, Option<Given>)>,
    ) -> Vec<Failed> {
        if !self.users {
            return Vec::new();
        }
        let inputs = self.inputs(entry, is_binary);
        self.counted(self.rules.apply(RuleOf::Users, &inputs, |target, result| match target {
            Target::GivenName => user.given_name = text(result),
            Target::FamilyName => user.family_name = text(result),
            Target::DisplayName => user.display_name = text(result),
            Target::Email => user.email = text(result),
            Target::Further(name) => further.push((name.clone(), result)),
            Target::Description => {}
        }))
    }

    /// Applies the rules about groups.
    pub(super) fn group<'e>(
        &self,
        entry: &'e impl AttributeView,
        is_binary: impl Fn(usize) -> bool,
        group: &mut MappedGroup<'e>,
    ) -> Vec<Failed> {
        if !self.groups {
            return Vec::new();
        }
        let inputs = self.inputs(entry, is_binary);
        self.counted(self.rules.apply(RuleOf::Groups, &inputs, |target, result| match target {
            Target::DisplayName => {
                if let Some(name) = text(result) {
                    group.display_name = name;
                }
            }
            Target::Description => group.description = text(result),
            _ => {}
        }))
    }

    /// What each of the rules about users or groups gives.
    pub(super) fn outcomes(
        &self,
        of: RuleOf,
        entry: &impl AttributeView,
        is_binary: impl Fn(usize) -> bool,
    ) -> Vec<Outcome> {
        self.rules.outcomes(of, &self.inputs(entry, is_binary))
    }

    /// What the rules read of an entry.
    pub(super) fn inputs<'e>(&'e self, entry: &'e impl AttributeView, is_binary: impl Fn(usize) -> bool) -> Inputs<'e> {
        let slots = self.rules.slots();
        let mut values: Vec<Vec<&[u8]>> = vec![Vec::new(); slots.all().len()];
        let mut ranks = vec![u8::MAX; values.len()];
        let mut binary = vec![false; values.len()];
        for (place, found) in entry.columns() {
            let Some(wanted) = self.columns.get(place).filter(|wanted| !wanted.is_empty()) else { continue };
            let found: Vec<&[u8]> = found.collect();
            for &(slot, optional) in wanted {
                let (Some(values), Some(best), Some(binary), Some(wanted)) =
                    (values.get_mut(slot), ranks.get_mut(slot), binary.get_mut(slot), slots.all().get(slot))
                else {
                    continue;
                };
                let bytes = wanted.syntax == Syntax::Text && is_binary(place);
                let syntax = if bytes { Syntax::Bytes } else { wanted.syntax };
                let says_nothing = !found.iter().any(|value| says_something(syntax, value));
                // As in the default mapping: one with options counts only where the plain one says nothing.
                let rank = u8::from(says_nothing) * 2 + u8::from(optional);
                if rank < *best {
                    values.clone_from(&found);
                    (*best, *binary) = (rank, is_binary(place));
                }
            }
        }
        let (dn, external_id, login) = (entry.dn(), entry.external_id(), entry.login());
        Inputs { slots, values, binary: Cow::Owned(binary), dn, external_id, login, given: &[], choice: 0 }
    }
}

fn text<'e>(given: Option<Given>) -> Option<Cow<'e, str>> {
    given.map(|given| Cow::Owned(given.into_text()))
}

/// The attributes of the rules that an attribute of this name fills.
fn columns(rules: &Rules, name: &str) -> Vec<(usize, bool)> {
    let plain = base(name);
    let standard = postern_dn::attribute_names::standard_name(plain).unwrap_or(plain);
    let whole = format!("{standard}{}", name.get(plain.len()..).unwrap_or_default());
    let wanted = rules.slots().all().iter().enumerate().filter_map(|(slot, wanted)| {
        let exact = wanted.name.eq_ignore_ascii_case(&whole);
        (exact || wanted.name.eq_ignore_ascii_case(standard)).then_some((slot, !exact))
    });
    wanted.collect()
}
