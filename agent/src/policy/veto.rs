//! The site's answer to one operation: asked before anything is looked for, and again before anything is written.

use std::sync::Arc;

use postern_dn::Dn;

use super::rules::{Broken, Rules};
use crate::served::write::{Change, Denied, Gate, Intent, Kind, Operation};

/// The site's answer to one operation.
#[derive(Clone, Debug)]
pub struct Veto {
    rules: Arc<Rules>,
    kind: Kind,
    sets_password: bool,
}

impl Veto {
    pub(super) fn new(rules: Arc<Rules>, operation: &Operation) -> Self {
        let (kind, sets_password) = kind(&operation.change);
        Self { rules, kind, sets_password }
    }

    /// What is refused whatever the entry is: the directory is not even asked.
    pub fn beforehand(&self) -> Result<(), Denied> {
        self.rules.of_kind(self.kind, self.sets_password).map_err(denied)
    }
}

impl Gate for Veto {
    fn protected_groups(&self) -> &[Dn] {
        self.rules.protected_groups()
    }

    fn permit(&self, intent: &Intent<'_>) -> Result<(), Denied> {
        self.rules.decide(intent).map_err(denied)
    }
}

/// What kind of change it is, and whether it sets a password.
fn kind(change: &Change) -> (Kind, bool) {
    match change {
        Change::Create(create) => (Kind::Create, create.password.is_some()),
        Change::Update(_) => (Kind::Update, false),
        Change::Move(_) => (Kind::Move, false),
        Change::Enable => (Kind::Enable, false),
        Change::Disable => (Kind::Disable, false),
        Change::Delete => (Kind::Delete, false),
        Change::Unlock => (Kind::Unlock, false),
        Change::SetPassword(_) => (Kind::SetPassword, true),
        Change::Members(_) => (Kind::Members, false),
    }
}

fn denied(broken: Broken) -> Denied {
    Denied { rule: broken.rule.to_owned(), detail: Some(broken.because), for_now: false }
}
