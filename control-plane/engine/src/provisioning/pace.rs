//! How many changes a target got within the last hour, and whether one more needs an administrator.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::change::{Change, Step};
use super::settings::{Limit, Thresholds};

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Counted {
    Creates,
    Updates,
    Disables,
    /// Of accounts that somebody else has disabled.
    Enables,
    Deletes,
    Removals,
}

/// How many changes of each kind somebody plans.
#[derive(Debug, Default)]
pub(super) struct Planned(BTreeMap<Counted, u64>);

impl Planned {
    /// Adds one account that somebody else has disabled and that is enabled.
    pub(super) fn add_lifted(&mut self) {
        *self.0.entry(Counted::Enables).or_default() += 1;
    }

    /// Adds these steps.
    pub(super) fn add(&mut self, steps: &[Step]) {
        for (counted, number) in steps.iter().flat_map(|step| counted(&step.change)) {
            *self.0.entry(counted).or_default() += number;
        }
    }
}

/// A limit that planned changes exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// What is limited.
    pub(super) what: &'static str,
    /// How many are planned.
    pub(super) planned: u64,
    /// How many were made within the last hour.
    pub(super) before: u64,
    /// How many are made within an hour without asking.
    pub(super) limit: u64,
}

/// The changes of the last hour.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<Counted, VecDeque<(Timestamp, u64)>>);

/// The beginning of the hour that ends now.
pub(super) fn an_hour_before(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Pace {
    /// The changes that were decided before, by the names of their actions, the latest first.
    pub(super) fn of(recent: Vec<(String, Timestamp)>) -> Self {
        let mut pace = Self::default();
        for (action, at) in recent.into_iter().rev() {
            let counted = match action.as_str() {
                "create" => Counted::Creates,
                "update" | "move" | "change_members" => Counted::Updates,
                "disable" => Counted::Disables,
                // Whoever disabled these accounts is not known any more: more than one too many.
                "enable" => Counted::Enables,
                "delete" => Counted::Deletes,
                _ => continue,
            };
            pace.0.entry(counted).or_default().push_back((at, 1));
        }
        pace
    }

    /// Counts these steps, unless they are too many within an hour. Fails with the reason to ask an administrator.
    pub(super) fn admit(
        &mut self,
        (steps, lifts): (&[Step], bool),
        thresholds: &Thresholds,
        accounts: u64,
        now: Timestamp,
    ) -> Result<(), String> {
        let mut wanted = Planned::default();
        wanted.add(steps);
        if lifts {
            wanted.add_lifted();
        }
        if let Some(Exceeded { what, limit, .. }) = self.exceeded(&wanted, thresholds, accounts, now).first() {
            return Err(format!("more than {limit} {what} within an hour"));
        }
        for (counted, number) in wanted.0 {
            self.0.entry(counted).or_default().push_back((now, number));
        }
        Ok(())
    }

    /// Takes back what was counted for a step that the target has not carried out.
    pub(super) fn give_back(&mut self, step: &Step) {
        for (counted, number) in counted(&step.change) {
            let Some((_, last)) = self.0.get_mut(&counted).and_then(VecDeque::back_mut) else { continue };
            *last = last.saturating_sub(number);
        }
    }

    /// How many more changes of this kind may be made now without asking.
    pub(super) fn room(&mut self, change: &Change, thresholds: &Thresholds, accounts: u64, now: Timestamp) -> u64 {
        let rooms = counted(change).into_iter().map(|(counted, _)| {
            let (limit, _) = limit(counted, thresholds);
            most(limit, accounts).saturating_sub(self.within_an_hour(counted, now))
        });
        rooms.min().unwrap_or(u64::MAX)
    }

    /// The limits that planned changes exceed, together with those of the last hour.
    pub(super) fn exceeded(
        &mut self,
        planned: &Planned,
        thresholds: &Thresholds,
        accounts: u64,
        now: Timestamp,
    ) -> Vec<Exceeded> {
        let mut exceeded = Vec::new();
        for (counted, planned) in &planned.0 {
            let (limit, what) = limit(*counted, thresholds);
            let limit = most(limit, accounts);
            let before = self.within_an_hour(*counted, now);
            if *planned > 0 && before + planned > limit {
                exceeded.push(Exceeded { what, planned: *planned, before, limit });
            }
        }
        exceeded
    }

    fn within_an_hour(&mut self, counted: Counted, now: Timestamp) -> u64 {
        let Some(times) = self.0.get_mut(&counted) else { return 0 };
        let since = an_hour_before(now);
        while times.front().is_some_and(|(at, _)| *at < since) {
            times.pop_front();
        }
        times.iter().map(|(_, number)| number).sum()
    }
}

/// What a change counts as.
fn counted(change: &Change) -> Vec<(Counted, u64)> {
    match change {
        Change::Create { .. } => vec![(Counted::Creates, 1)],
        Change::Update { .. } | Change::Move { .. } => vec![(Counted::Updates, 1)],
        Change::Disable => vec![(Counted::Disables, 1)],
        Change::Delete => vec![(Counted::Deletes, 1)],
        Change::Members { remove, .. } => vec![(Counted::Updates, 1), (Counted::Removals, remove.len() as u64)],
        Change::Enable | Change::SetPassword { .. } | Change::Unlock => Vec::new(),
    }
}

fn most(limit: Limit, accounts: u64) -> u64 {
    u64::from(limit.number).max(accounts.saturating_mul(u64::from(limit.percent)) / 100)
}

fn limit(counted: Counted, thresholds: &Thresholds) -> (Limit, &'static str) {
    match counted {
        Counted::Creates => (thresholds.creates, "objects made"),
        Counted::Updates => (thresholds.updates, "objects changed"),
        Counted::Disables => (thresholds.disables, "accounts disabled"),
        Counted::Enables => (thresholds.enables, "accounts enabled that were disabled in the target"),
        Counted::Deletes => (thresholds.deletes, "objects deleted"),
        Counted::Removals => (thresholds.member_removals, "members removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provisioning::change::Reference;
    use crate::provisioning::settings::BothChanged;

    fn one(change: Change) -> Vec<Step> {
        vec![Step { entry: None, change }]
    }

    #[test]
    fn so_many_within_an_hour_need_nobody_and_one_more_does() {
        let (mut pace, thresholds, now) = (Pace::default(), Thresholds::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..5 {
            assert_eq!(pace.admit((&one(Change::Delete), false), &thresholds, 50, now), Ok(()));
        }
        let held = pace.admit((&one(Change::Delete), false), &thresholds, 50, now);
        assert_eq!(held, Err("more than 5 objects deleted within an hour".to_owned()));
        // Other kinds have their own count, and an hour later there is room again.
        assert_eq!(pace.admit((&one(Change::Disable), false), &thresholds, 50, now), Ok(()));
        let later = now + SignedDuration::from_mins(61);
        assert_eq!(pace.admit((&one(Change::Delete), false), &thresholds, 50, later), Ok(()));
    }

    #[test]
    fn of_many_accounts_a_share_counts() {
        let (mut pace, now) = (Pace::default(), Timestamp::UNIX_EPOCH);
        let thresholds = Thresholds { deletes: Limit { number: 1, percent: 10 }, ..Thresholds::default() };
        assert!((0..5).all(|_| pace.admit((&one(Change::Delete), false), &thresholds, 50, now).is_ok()));
        assert!(pace.admit((&one(Change::Delete), false), &thresholds, 50, now).is_err());
    }

    fn update() -> Change {
        Change::Update { changes: Vec::new(), both_changed: BothChanged::default() }
    }

    fn removing(number: u64) -> Change {
        let member = |number: u64| Reference { external_id: format!("id-{number}"), ..Reference::default() };
        Change::Members { add: vec![member(0)], remove: (1..=number).map(member).collect() }
    }

    #[test]
    fn updates_moves_and_changes_of_members_are_counted_together() {
        let thresholds = Thresholds { updates: Limit { number: 3, percent: 0 }, ..Thresholds::default() };
        let (mut pace, now) = (Pace::default(), Timestamp::UNIX_EPOCH);
        let moved = Change::Move { container: None, name: Some("anna.bell".to_owned()) };
        for change in [update(), moved, removing(0)] {
            assert_eq!(pace.admit((&one(change), false), &thresholds, 50, now), Ok(()));
        }
        let held = pace.admit((&one(update()), false), &thresholds, 50, now);
        assert_eq!(held, Err("more than 3 objects changed within an hour".to_owned()));
        let later = now + SignedDuration::from_mins(61);
        assert_eq!(pace.admit((&one(update()), false), &thresholds, 50, later), Ok(()));
        // After a restart too.
        let recent = ["update", "move", "change_members"].map(|action| (action.to_owned(), now));
        assert!(Pace::of(recent.into()).admit((&one(update()), false), &thresholds, 50, now).is_err());
    }

    #[test]
    fn of_many_accounts_a_share_may_be_updated() {
        let thresholds = Thresholds { updates: Limit { number: 3, percent: 2 }, ..Thresholds::default() };
        let (mut pace, now) = (Pace::default(), Timestamp::UNIX_EPOCH);
        assert!((0..20).all(|_| pace.admit((&one(update()), false), &thresholds, 1_000, now).is_ok()));
        let held = pace.admit((&one(update()), false), &thresholds, 1_000, now);
        assert_eq!(held, Err("more than 20 objects changed within an hour".to_owned()));
    }

    #[test]
    fn each_member_who_is_removed_counts() {
        let thresholds = Thresholds { member_removals: Limit { number: 10, percent: 0 }, ..Thresholds::default() };
        let (mut pace, now) = (Pace::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(pace.admit((&one(removing(7)), false), &thresholds, 50, now), Ok(()));
        let held = pace.admit((&one(removing(4)), false), &thresholds, 50, now);
        assert_eq!(held, Err("more than 10 members removed within an hour".to_owned()));
        // What is held is not counted, and whoever joins needs no room.
        assert_eq!(pace.room(&removing(1), &thresholds, 50, now), 3);
        assert_eq!(pace.admit((&one(removing(3)), false), &thresholds, 50, now), Ok(()));
        assert_eq!(pace.admit((&one(removing(0)), false), &thresholds, 50, now), Ok(()));
        assert!(pace.admit((&one(removing(1)), false), &thresholds, 50, now).is_err());
        let later = now + SignedDuration::from_mins(61);
        assert_eq!(pace.admit((&one(removing(10)), false), &thresholds, 50, later), Ok(()));
        assert!(Pace::default().admit((&one(removing(11)), false), &thresholds, 50, now).is_err(), "all at once");
    }

    #[test]
    fn of_many_accounts_a_share_may_be_removed_from_groups() {
        let thresholds = Thresholds { member_removals: Limit { number: 10, percent: 5 }, ..Thresholds::default() };
        let now = Timestamp::UNIX_EPOCH;
        for (removed, accounts, goes) in [(50, 1_000, true), (51, 1_000, false), (10, 20, true), (11, 20, false)] {
            let answer = Pace::default().admit((&one(removing(removed)), false), &thresholds, accounts, now);
            assert_eq!(answer.is_ok(), goes, "{removed} of {accounts}: {answer:?}");
        }
    }

    #[test]
    fn a_plan_exceeds_limits_together_with_what_was_done_before() {
        let (thresholds, now) = (Thresholds::default(), Timestamp::UNIX_EPOCH);
        let mut planned = Planned::default();
        for change in [Change::Delete, Change::Delete, Change::Disable, Change::Enable] {
            planned.add(&one(change));
        }
        let mut pace = Pace::of((0..3).map(|_| ("delete".to_owned(), now)).collect());
        assert_eq!(pace.exceeded(&planned, &thresholds, 50, now), []);
        planned.add(&one(Change::Delete));
        let deletes = Exceeded { what: "objects deleted", planned: 3, before: 3, limit: 5 };
        assert_eq!(pace.exceeded(&planned, &thresholds, 50, now), [deletes]);
        assert_eq!(pace.exceeded(&planned, &thresholds, 50, now + SignedDuration::from_mins(61)), []);
    }

    #[test]
    fn what_failed_is_not_counted() {
        let (mut pace, thresholds, now) = (Pace::default(), Thresholds::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..9 {
            assert_eq!(pace.admit((&one(Change::Delete), false), &thresholds, 50, now), Ok(()));
            pace.give_back(&Step { entry: None, change: Change::Delete });
        }
    }

    #[test]
    fn what_somebody_else_has_disabled_is_enabled_by_few() {
        let (mut pace, thresholds, now) = (Pace::default(), Thresholds::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..5 {
            assert_eq!(pace.admit((&one(Change::Enable), true), &thresholds, 50, now), Ok(()));
        }
        assert!(pace.admit((&one(Change::Enable), true), &thresholds, 50, now).is_err());
        assert_eq!(pace.admit((&one(Change::Enable), false), &thresholds, 50, now), Ok(()), "ours");
    }

    #[test]
    fn what_was_decided_before_a_restart_counts() {
        let now = Timestamp::UNIX_EPOCH;
        let mut pace = Pace::of((0..5).map(|_| ("delete".to_owned(), now)).collect());
        assert!(pace.admit((&one(Change::Delete), false), &Thresholds::default(), 50, now).is_err());
    }
}
