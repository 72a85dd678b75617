//! What a change of rules, or of the order of directories, would do to users and groups, and whether that is so much that
//! somebody must confirm it.

use std::collections::BTreeMap;

use postern_store::{GroupRow, Profile, Thresholds, UserRow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::threshold::exceeds;
use crate::identity::mapping::rules::RuleOf;
use crate::identity::profile::further;

/// The most users and groups that are looked at: some seconds. A limit of time would give another number each time, and the
/// number is what people confirm.
pub(super) const MOST: u64 = 300_000;

/// What would change. Nothing is written to find it out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Effect {
    /// How many users were looked at.
    pub users: u64,
    /// How many groups.
    pub groups: u64,
    /// Whether these are all. Otherwise there are too many, and all figures are those of the first ones by external id.
    pub complete: bool,
    /// How many of them would change.
    pub changing: u64,
    /// How many would lose a value or get another name. Who loses two values counts once. To confirm the change, a request
    /// repeats this number.
    pub losing: u64,
    /// What they would lose.
    pub losses: Vec<Loss>,
    /// Whether a threshold of the directory holds the change until it is confirmed.
    pub needs_confirmation: bool,
    /// How often a rule would fail. What it fills keeps its value.
    pub failing: u64,
    /// Attributes that rules about users read, and that no account of a user has.
    pub unknown_attributes: Vec<String>,
}

/// A field that users or groups would lose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = EffectLoss)]
pub struct Loss {
    /// Whether these are users or groups.
    pub of: RuleOf,
    /// The field, such as `email` or `attributes.title`.
    pub field: String,
    /// Whether its value is gone or another one.
    pub kind: LossKind,
    /// How many would lose it.
    pub count: u64,
    /// Of how many that have it.
    pub known: u64,
    /// Whether these are more than the directory's threshold allows: the one for vanished attributes, or the one for renamed
    /// users.
    pub held: bool,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EffectLossKind)]
pub enum LossKind {
    /// It would be empty.
    Cleared,
    /// It would have another name: the user name, or the display name of a group.
    Renamed,
}

/// Counts what would change, account by account.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) effect: Effect,
    users: BTreeMap<String, Tally>,
    groups: BTreeMap<String, Tally>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    count: u64,
    known: u64,
}

impl Counting {
    /// Whether a user would lose a value.
    pub(super) fn loses(is: &Profile, would: &UserRow) -> bool {
        let fixed = fixed(is, would).into_iter().any(|(_, is, would)| is && !would);
        fixed || is.attributes != would.attributes && !lost(&is.attributes, &would.attributes).is_empty()
    }

    /// Counts a user who has these values, and would have those.
    pub(super) fn user(&mut self, is: &Profile, would: &UserRow) {
        self.named_user(is, would, false);
    }

    /// The same for a user who may also get another user name.
    pub(super) fn named_user(&mut self, is: &Profile, would: &UserRow, renamed: bool) {
        let mut loses = renamed;
        for (name, is, would) in fixed(is, would) {
            loses |= count(&mut self.users, name, is, is && !would);
        }
        let kept = read(&would.attributes);
        for name in read(&is.attributes).keys() {
            loses |= count(&mut self.users, &further(name), true, !kept.contains_key(name));
        }
        self.effect.changing += u64::from(renamed || differs(is, would));
        self.effect.losing += u64::from(loses);
    }

    /// Counts a group in the same way. A group is never without a name, but may get another one.
    pub(super) fn group(&mut self, is: &Profile, would: &GroupRow) {
        let renamed = is.display_name.as_deref().is_some_and(|name| name != would.display_name);
        let is_described = is.description.is_some();
        let mut loses = count(&mut self.groups, GROUP_NAME, true, renamed);
        loses |= count(&mut self.groups, "description", is_described, is_described && would.description.is_none());
        self.effect.changing += u64::from(renamed || is.description != would.description);
        self.effect.losing += u64::from(loses);
    }

    /// The effect, with what the thresholds say.
    pub(super) fn judged(mut self, thresholds: &Thresholds) -> Effect {
        for (of, tallies) in [(RuleOf::Users, self.users), (RuleOf::Groups, self.groups)] {
            for (field, Tally { count, known }) in tallies.into_iter().filter(|(_, tally)| tally.count > 0) {
                let is_name = of == RuleOf::Groups && field == GROUP_NAME;
                let (kind, threshold) = if is_name {
                    (LossKind::Renamed, thresholds.renamed)
                } else {
                    (LossKind::Cleared, thresholds.vanished)
                };
                let held = exceeds(threshold, count, known);
                self.effect.losses.push(Loss { of, field, kind, count, known, held });
            }
        }
        self.effect.needs_confirmation = self.effect.losses.iter().any(|loss| loss.held);
        self.effect
    }
}

/// The field of a group's name.
const GROUP_NAME: &str = "display_name";

/// Counts that something has a field, and maybe loses it. Returns whether it does.
fn count(tallies: &mut BTreeMap<String, Tally>, field: &str, has: bool, loses: bool) -> bool {
    if has {
        match tallies.get_mut(field) {
            Some(tally) => *tally = Tally { count: tally.count + u64::from(loses), known: tally.known + 1 },
            None => drop(tallies.insert(field.to_owned(), Tally { count: u64::from(loses), known: 1 })),
        }
    }
    loses
}

/// Whether a user has each of the fixed fields, and would have it.
fn fixed(is: &Profile, would: &UserRow) -> [(&'static str, bool, bool); 4] {
    [
        ("given_name", is.given_name.is_some(), would.given_name.is_some()),
        ("family_name", is.family_name.is_some(), would.family_name.is_some()),
        ("display_name", is.display_name.is_some(), would.display_name.is_some()),
        ("email", is.email.is_some(), would.email.is_some()),
    ]
}

/// Whether anything of a user would change.
fn differs(is: &Profile, would: &UserRow) -> bool {
    is.given_name != would.given_name
        || is.family_name != would.family_name
        || is.display_name != would.display_name
        || is.email != would.email
        || is.attributes != would.attributes && read(&is.attributes) != read(&would.attributes)
}

fn lost(is: &str, would: &str) -> Vec<String> {
    let kept = read(would);
    read(is).into_iter().map(|(name, _)| name).filter(|name| !kept.contains_key(name)).collect()
}

fn read(attributes: &str) -> Map<String, Value> {
    serde_json::from_str(attributes).unwrap_or_default()
}
