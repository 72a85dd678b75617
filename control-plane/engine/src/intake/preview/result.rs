//! What a preview found, as its job keeps it and the API shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::row::Row;
use crate::intake::hold::Hold;
use crate::intake::result::ImportResult;

/// Most rows that are kept. The figures count all.
pub const MOST_ROWS: u64 = 100_000;
/// Most containers that are counted separately.
const MOST_CONTAINERS: usize = 1_000;
/// Most containers that are shown.
const SHOWN: usize = 100;

/// What an import would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PreviewResult {
    /// The result that an import would have. If it would be held: after it was approved.
    pub import: ImportResult,
    /// What an import would be held for. `null`: it would not be held.
    pub hold: Option<Hold>,
    /// How many users each action would concern, by the name of the action.
    pub users: BTreeMap<String, u64>,
    /// How many groups each action would concern.
    pub groups: BTreeMap<String, u64>,
    /// Users and groups that would wait for an approval.
    pub waiting: u64,
    /// The containers that most users and groups would be touched in, at most 100.
    pub containers: Vec<PreviewContainer>,
    /// Users and groups in further containers, which are not listed.
    pub in_other_containers: u64,
    /// Users and groups that would be touched.
    pub rows: u64,
    /// How many of them are listed one by one, at most 100,000.
    pub rows_kept: u64,
}

/// The users and groups in a container that an import would touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PreviewContainer {
    /// Its DN.
    pub dn: String,
    /// How many users and groups would be touched.
    pub rows: u64,
    /// How many each action would concern.
    pub actions: BTreeMap<String, u64>,
}

/// Counts rows.
#[derive(Debug, Default)]
pub(super) struct Counts {
    users: BTreeMap<String, u64>,
    groups: BTreeMap<String, u64>,
    containers: BTreeMap<String, PreviewContainer>,
    others: u64,
    waiting: u64,
    rows: u64,
}

impl Counts {
    /// Counts a row.
    pub(super) fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.waiting += u64::from(row.waits);
        let names: Vec<String> = row.actions.iter().map(|action| action.as_str().to_owned()).collect();
        let of_kind = if row.kind == "group" { &mut self.groups } else { &mut self.users };
        for name in &names {
            *of_kind.entry(name.clone()).or_default() += 1;
        }
        let Some(dn) = &row.container else { return };
        let full = self.containers.len() >= MOST_CONTAINERS && !self.containers.contains_key(dn);
        if full {
            self.others += 1;
            return;
        }
        let container = self.containers.entry(dn.clone()).or_default();
        container.rows += 1;
        for name in names {
            *container.actions.entry(name).or_default() += 1;
        }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The figures.
    pub(super) fn result(self, import: ImportResult, hold: Option<Hold>) -> PreviewResult {
        let named = self.containers.into_iter().map(|(dn, container)| PreviewContainer { dn, ..container });
        let mut containers: Vec<PreviewContainer> = named.collect();
        containers.sort_by_key(|container| std::cmp::Reverse(container.rows));
        let further = containers.split_off(containers.len().min(SHOWN));
        let further: u64 = further.iter().map(|container| container.rows).sum();
        PreviewResult {
            import,
            hold,
            users: self.users,
            groups: self.groups,
            waiting: self.waiting,
            containers,
            in_other_containers: self.others + further,
            rows: self.rows,
            rows_kept: self.rows.min(MOST_ROWS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Action;
    use super::*;

    fn row(container: Option<&str>, actions: &[Action]) -> Row {
        Row {
            kind: "user".to_owned(),
            name: None,
            dn: None,
            container: container.map(str::to_owned),
            actions: actions.to_vec(),
            changes: Vec::new(),
            account_attributes: Vec::new(),
            members: None,
            waits: false,
        }
    }

    #[test]
    fn what_would_be_touched_is_counted_for_each_container_and_those_with_most_come_first() {
        let mut counts = Counts::default();
        counts.add(&row(Some("ou=sales"), &[Action::Created]));
        counts.add(&row(None, &[Action::Created]));
        for _ in 0..2 {
            counts.add(&row(Some("ou=people"), &[Action::Renamed, Action::Changed]));
        }
        let result = counts.result(ImportResult::default(), None);
        let shown: Vec<(&str, u64)> = result.containers.iter().map(|it| (it.dn.as_str(), it.rows)).collect();
        assert_eq!(shown, [("ou=people", 2), ("ou=sales", 1)]);
        let actions: Vec<(&str, u64)> = result.containers[0].actions.iter().map(|(name, n)| (&**name, *n)).collect();
        assert_eq!(actions, [("changed", 2), ("renamed", 2)]);
        assert_eq!((result.rows, result.in_other_containers), (4, 0));
    }

    #[test]
    fn however_many_containers_there_are_only_some_are_kept_and_the_rest_is_counted() {
        let mut counts = Counts::default();
        for number in 0..MOST_CONTAINERS + 5 {
            counts.add(&row(Some(&format!("ou={number}")), &[Action::Changed]));
        }
        let result = counts.result(ImportResult::default(), None);
        let kept: u64 = result.containers.iter().map(|it| it.rows).sum();
        assert_eq!((result.containers.len(), kept + result.in_other_containers), (SHOWN, MOST_CONTAINERS as u64 + 5));
    }
}
