//! What is provisioned to a target, as administrators set it.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use jiff::{SignedDuration, Timestamp};
use postern_dn::Dn;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::identity::mapping::expression::Kind;
use crate::identity::mapping::outbound::Outbound;
use crate::identity::mapping::rules::{Rule, RuleOf};
pub use crate::intake::reading::Imports;

/// What Postern may do in a target. What is off is never sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Switches {
    /// Make accounts for users who should have one.
    pub create_users: bool,
    /// Change the attributes of accounts, and move or rename them.
    pub edit_users: bool,
    /// Delete accounts of users who should have none.
    pub delete_users: bool,
    /// Enable and disable accounts.
    pub enable_disable_users: bool,
    /// Set passwords.
    pub sync_passwords: bool,
    /// Make groups.
    pub create_groups: bool,
    /// Change the attributes of groups.
    pub edit_groups: bool,
    /// Delete groups.
    pub delete_groups: bool,
    /// Add members to groups, and remove them.
    pub sync_members: bool,
    /// Write a change of what comes from the target to the target first.
    pub write_through: bool,
}

/// Which users have an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Assignment {
    /// Nobody. Accounts that are there stay as they are.
    #[default]
    Nobody,
    /// All users.
    All,
    /// The members of these groups, those of nested groups too.
    Groups {
        /// The ids of the groups, at most 100.
        groups: Vec<Uuid>,
    },
    /// The users for whom an expression is true.
    Condition {
        /// The expression, as in outbound rules.
        expression: String,
    },
}

/// What happens if the target has an object with the same unique value already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// The operation fails, and an administrator decides.
    #[default]
    Conflict,
    /// It becomes the account of the user or group.
    Adopt,
}

/// What becomes of the account of a user who should have none any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    /// It is disabled.
    #[default]
    Disable,
    /// It is deleted.
    Delete,
    /// It stays as it is.
    Keep,
}

/// What else happens to the account of a user who should have none any more, where `leaving` is `disable`. All of it but
/// the deletion is undone if the user should have an account again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeavingThen {
    /// It is moved to this container, named below the site's own, as `ou=Former`. Needs `edit_users`.
    pub move_to: Option<String>,
    /// It leaves the groups that Postern has put it into. Needs `sync_members`.
    pub remove_groups: bool,
    /// It is deleted so many days later, 1 to 3,650. Needs `delete_users`.
    pub delete_after_days: Option<u16>,
}

/// Whose value stays if the organization and the target have both changed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BothChanged {
    /// The value of the organization, which is the source.
    #[default]
    OrganizationWins,
    /// The value of the target.
    TargetWins,
}

/// What becomes of what differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProvisioningMode)]
pub enum Mode {
    /// It is carried out.
    #[default]
    Enforce,
    /// Nothing is sent but plans that somebody applies, and passwords.
    Report,
}

/// How many changes of a kind are made within an hour before an administrator is asked: this number, or this share of the
/// accounts if that is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProvisioningLimit)]
pub struct Limit {
    /// So many.
    pub number: u32,
    /// Percent of the accounts of the target.
    #[serde(default)]
    pub percent: u8,
}

/// The limits for each kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ProvisioningThresholds)]
pub struct Thresholds {
    /// Accounts and groups that are made. Default: 100.
    pub creates: Limit,
    /// Accounts and groups whose attributes, names or members change. Default: 500, or 10 percent.
    pub updates: Limit,
    /// Accounts that are disabled. Default: 5, or 2 percent.
    pub disables: Limit,
    /// Accounts that are enabled although somebody has disabled them in the target. Default: 5, or 2 percent.
    pub enables: Limit,
    /// Accounts and groups that are deleted. Default: 5.
    pub deletes: Limit,
    /// Members that are removed from groups. Default: 100, or 1 percent.
    pub member_removals: Limit,
}

impl Default for Thresholds {
    fn default() -> Self {
        let limit = |number, percent| Limit { number, percent };
        Self {
            creates: limit(100, 0),
            updates: limit(500, 10),
            disables: limit(5, 2),
            enables: limit(5, 2),
            deletes: limit(5, 0),
            member_removals: limit(100, 1),
        }
    }
}

/// What is provisioned to a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether what differs is carried out.
    pub mode: Mode,
    /// What Postern may do.
    pub switches: Switches,
    /// Which users have an account.
    pub assignment: Assignment,
    /// Which groups are made in the target: the ids of groups of the organization, at most 1,000.
    pub groups: Vec<Uuid>,
    /// What happens if an object is there already.
    pub existing: Existing,
    /// What becomes of the accounts of users who should have none any more.
    pub leaving: Leaving,
    /// What else happens to them, where they are disabled.
    pub leaving_then: LeavingThen,
    /// Whose value stays if both ends have changed one.
    pub both_changed: BothChanged,
    /// Where the accounts of users are: an expression that gives a container, as `'ou=' + attributes.department`. Without
    /// it, the site decides. When its value changes, the account moves.
    pub user_container: Option<String>,
    /// How many changes within an hour are made without asking.
    pub thresholds: Thresholds,
    /// What imports of the target make of its entries. Unset: users and groups.
    pub imports: Imports,
    /// The most operations that are sent within a minute, at least 1; what is beyond waits. Unset: 60,000.
    #[schema(value_type = Option<u32>)]
    pub operations_per_minute: Option<NonZeroU32>,
}

/// The most days until an account is deleted.
const MOST_DAYS: u16 = 3_650;
/// The most operations that are sent within a minute where the settings say nothing.
const MOST_IN_A_MINUTE: u32 = 60_000;

/// Why settings are refused: the field, and what is wrong with it.
pub type Wrong = (&'static str, String);

impl Settings {
    /// Checks settings that somebody wants to save.
    pub fn check(&self) -> Result<(), Wrong> {
        if let Assignment::Groups { groups } = &self.assignment
            && (groups.is_empty() || groups.len() > 100)
        {
            return Err(("assignment.groups", "name 1 to 100 groups".to_owned()));
        }
        if self.groups.len() > 1_000 {
            return Err(("groups", "at most 1,000 groups can be chosen".to_owned()));
        }
        self.check_leaving()?;
        self.compile().map(|_| ())
    }

    fn check_leaving(&self) -> Result<(), Wrong> {
        let LeavingThen { move_to, delete_after_days, .. } = &self.leaving_then;
        if self.leaving_then != LeavingThen::default() && self.leaving != Leaving::Disable {
            return Err(("leaving_then", "it goes with leaving: disable".to_owned()));
        }
        if let Some(container) = move_to
            && Dn::parse(container).map_or(true, |dn| dn.is_root())
        {
            return Err((
                "leaving_then.move_to",
                "it must be a container below the site's own, as ou=Former".to_owned(),
            ));
        }
        match delete_after_days {
            Some(days) if !(1..=MOST_DAYS).contains(days) => {
                Err(("leaving_then.delete_after_days", format!("it must be 1 to {MOST_DAYS}")))
            }
            _ => Ok(()),
        }
    }

    /// When the account of a user who has left then is deleted. `None`: never.
    pub fn deletion_due(&self, left_at: Timestamp) -> Option<Timestamp> {
        let allowed = self.leaving == Leaving::Disable && self.switches.delete_users;
        let days = self.leaving_then.delete_after_days.filter(|_| allowed)?;
        left_at.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
    }

    /// The most operations within a minute.
    pub fn rate(&self) -> u32 {
        self.operations_per_minute.map_or(MOST_IN_A_MINUTE, NonZeroU32::get)
    }

    /// The groups whose members have an account.
    pub fn assigned_groups(&self) -> &[Uuid] {
        match &self.assignment {
            Assignment::Groups { groups } => groups,
            _ => &[],
        }
    }

    /// The compiled expressions.
    pub fn compile(&self) -> Result<Compiled, Wrong> {
        let condition = match &self.assignment {
            Assignment::Condition { expression } => Some(compiled("assignment.expression", expression, Kind::Bool)?),
            _ => None,
        };
        let container =
            self.user_container.as_deref().map(|text| compiled("user_container", text, Kind::Text)).transpose()?;
        Ok(Compiled { condition, container, sensitive: BTreeSet::new() })
    }
}

/// The expressions of settings.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Which users have an account.
    pub condition: Option<Outbound>,
    /// Where the accounts of users are.
    pub container: Option<Outbound>,
    /// The sensitive fields of users. Why an expression that reads one fails is not said: the reason may have the value.
    pub sensitive: BTreeSet<String>,
}

fn compiled(field: &'static str, expression: &str, kind: Kind) -> Result<Outbound, Wrong> {
    let rule = Rule { of: RuleOf::Users, target: "value".to_owned(), expression: expression.to_owned() };
    let compiled = Outbound::compile(&[rule]).map_err(|faults| {
        let text = faults.first().map_or_else(String::new, |fault| fault.fault.to_string());
        (field, text)
    })?;
    if compiled.is_unique() {
        return Err((
            field,
            "unique makes names of new accounts, in outbound rules; there is none to make here".to_owned(),
        ));
    }
    match compiled.kind().filter(|found| *found != kind) {
        Some(found) => Err((field, format!("it gives {}, and must give {}", found.in_words(), kind.in_words()))),
        None => Ok(compiled),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_set_is_off() {
        let settings: Settings = serde_json::from_value(json!({})).unwrap();
        assert_eq!(settings.switches, Switches::default());
        assert!(!settings.switches.create_users && !settings.switches.delete_users);
        assert_eq!((settings.mode, settings.assignment), (Mode::Enforce, Assignment::Nobody));
        assert_eq!((settings.existing, settings.leaving), (Existing::Conflict, Leaving::Disable));
        assert!(serde_json::from_value::<Settings>(json!({"switches": {"create_user": true}})).is_err());
    }

    #[test]
    fn what_else_happens_goes_with_disabling_and_is_checked() {
        let settings = |then: serde_json::Value, leaving| -> Settings {
            serde_json::from_value(
                json!({"leaving": leaving, "leaving_then": then, "switches": {"delete_users": true}}),
            )
            .unwrap()
        };
        let field = |then, leaving| settings(then, leaving).check().map_err(|(field, _)| field);
        let all = json!({"move_to": "ou=Former", "remove_groups": true, "delete_after_days": 30});
        assert_eq!(field(all.clone(), "disable"), Ok(()));
        for leaving in ["delete", "keep"] {
            assert_eq!(field(all.clone(), leaving), Err("leaving_then"));
            assert_eq!(field(json!({}), leaving), Ok(()));
        }
        for container in ["", " ", "Former"] {
            assert_eq!(field(json!({"move_to": container}), "disable"), Err("leaving_then.move_to"), "{container:?}");
        }
        for (days, accepted) in [(0, false), (1, true), (3_650, true), (3_651, false)] {
            assert_eq!(field(json!({"delete_after_days": days}), "disable").is_ok(), accepted, "{days}");
        }
        let left_at = Timestamp::UNIX_EPOCH;
        let due = settings(all.clone(), "disable").deletion_due(left_at);
        assert_eq!(due, Some(left_at + SignedDuration::from_hours(30 * 24)));
        assert_eq!(settings(json!({}), "disable").deletion_due(left_at), None);
        let forbidden = Settings { switches: Switches::default(), ..settings(all, "disable") };
        assert_eq!(forbidden.deletion_due(left_at), None, "what is not allowed does not happen");
    }

    #[test]
    fn what_is_sensitive_makes_no_container_and_is_in_no_reason() {
        let sensitive = || std::iter::once("attributes.pin".to_owned()).collect::<BTreeSet<_>>();
        let of = |container: &str| {
            let settings = Settings { user_container: Some(container.to_owned()), ..Settings::default() };
            settings.compile().unwrap().knowing(sensitive())
        };
        let (field, reason) = of("'ou=' + upper(attributes.pin)").unwrap_err();
        assert_eq!(field, "user_container");
        assert!(reason.contains("attributes.pin, which is sensitive"), "{reason}");
        let known = of("'ou=' + attributes.department").unwrap();
        let reason = |field: &str| known.shown(&[field.to_owned()], "the map has no \"1234\"".to_owned());
        assert!(!reason("attributes.pin").contains("1234"));
        assert!(reason("attributes.department").contains("1234"));
    }

    #[test]
    fn expressions_and_numbers_are_checked_by_field() {
        let of = |value| serde_json::from_value::<Settings>(value).unwrap().check();
        let field = |value| of(value).unwrap_err().0;
        assert_eq!(field(json!({"assignment": {"kind": "groups", "groups": []}})), "assignment.groups");
        assert_eq!(
            field(json!({"assignment": {"kind": "condition", "expression": "nobody +"}})),
            "assignment.expression"
        );
        assert_eq!(field(json!({"user_container": "'ou=' + department"})), "user_container");
        let condition = |text: &str| json!({"assignment": {"kind": "condition", "expression": text}});
        let wrong = of(condition("'yes'")).unwrap_err();
        assert_eq!(wrong, ("assignment.expression", "it gives a text, and must give true or false".to_owned()));
        assert_eq!(field(condition("size(user_name)")), "assignment.expression");
        assert_eq!(field(json!({"user_container": "active"})), "user_container");
        of(condition("attributes.vip")).unwrap();
        of(json!({"assignment": {"kind": "condition", "expression": "attributes.department == 'Sales'"}})).unwrap();
    }
}
