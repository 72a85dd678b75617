//! How much one operation may hold: changes of members go in several steps, each within what a message may have. What cannot
//! be divided is not sent, and fails for its own user or group alone.

use postern_proto::limits::{MAX_DN_BYTES, MAX_EXTERNAL_ID_BYTES, MAX_OPERATION_BYTES, MAX_OPERATION_MEMBERS};
use postern_proto::operation::TooLarge;

use super::change::{Change, Reference, Step};
use crate::jobs::failure::Failure;

/// Bytes of the members of one step; what else a step has comes to that.
const MEMBER_BYTES: usize = MAX_OPERATION_BYTES / 2;
/// What a member takes around its external id and DN.
const AROUND_BYTES: usize = 16;

/// What is left of one step.
struct Room {
    members: usize,
    bytes: usize,
}

impl Room {
    const fn new() -> Self {
        Self { members: MAX_OPERATION_MEMBERS, bytes: MEMBER_BYTES }
    }

    /// Whether there is room for one more, which then is taken.
    const fn take(&mut self, member: &Reference) -> bool {
        let bytes = member.external_id.len() + member.dn.len() + AROUND_BYTES;
        if self.members == 0 || bytes > self.bytes {
            return false;
        }
        self.members -= 1;
        self.bytes -= bytes;
        true
    }

    /// Whether the largest member has no room any more.
    const fn is_full(&self) -> bool {
        self.members == 0 || self.bytes < MAX_EXTERNAL_ID_BYTES + MAX_DN_BYTES + AROUND_BYTES
    }
}

/// The same steps, each with no more members than one operation may have. A new group begins with some of its members.
pub(super) fn divided(steps: Vec<Step>) -> Vec<Step> {
    steps.into_iter().flat_map(divide).collect()
}

fn divide(step: Step) -> Vec<Step> {
    let Step { entry, change } = step;
    let changes = match change {
        Change::Members { add, remove } => several(add, remove),
        Change::Create { container, attributes, choices, sent_before, others, enabled, mut members, adopt } => {
            let mut room = Room::new();
            let count = members.iter().take_while(|member| room.take(member)).count();
            members.truncate(count);
            vec![Change::Create { container, attributes, choices, sent_before, others, enabled, members, adopt }]
        }
        change => vec![change],
    };
    changes.into_iter().map(|change| Step { entry: entry.clone(), change }).collect()
}

fn several(add: Vec<Reference>, remove: Vec<Reference>) -> Vec<Change> {
    let (mut changes, mut room) = (Vec::new(), Room::new());
    let (mut joins, mut leaves) = (Vec::new(), Vec::new());
    // Those who join come first, so that a group is not empty between two steps.
    for (member, is_new) in
        add.into_iter().map(|member| (member, true)).chain(remove.into_iter().map(|one| (one, false)))
    {
        if !room.take(&member) {
            changes.push(Change::Members { add: std::mem::take(&mut joins), remove: std::mem::take(&mut leaves) });
            room = Room::new();
            room.take(&member);
        }
        if is_new { joins.push(member) } else { leaves.push(member) }
    }
    changes.push(Change::Members { add: joins, remove: leaves });
    changes
}

/// Whether a group that was made with these members may have to get others.
pub(super) fn is_begun(change: &Change) -> bool {
    let Change::Create { members, .. } = change else { return false };
    let mut room = Room::new();
    members.iter().any(|member| !room.take(member)) || room.is_full()
}

/// Why an operation is not sent.
pub(super) fn refused(too_large: TooLarge) -> Failure {
    Failure::new(
        "invalid",
        format!("It is too much for one operation, and was not sent: {too_large}."),
        "Change the rules that give so many values, or give the user or group fewer.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provisioning::change::Attributes;

    fn members(from: usize, count: usize) -> Vec<Reference> {
        let one = |number| Reference { external_id: format!("id-{number}"), ..Reference::default() };
        (from..from + count).map(one).collect()
    }

    fn of_members(step: &Step) -> (&[Reference], &[Reference]) {
        match &step.change {
            Change::Members { add, remove } => (add, remove),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn many_members_go_in_several_steps_and_none_is_lost() {
        let (add, remove) = (members(0, 4_300), members(10_000, 700));
        let entry = Some(Reference { dn: "cn=all".to_owned(), ..Reference::default() });
        let change = Change::Members { add: add.clone(), remove: remove.clone() };
        let steps = divided(vec![Step { entry: entry.clone(), change }]);
        assert_eq!(steps.len(), 3);
        assert!(steps.iter().all(|step| step.entry == entry));
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for (added, removed) in steps.iter().map(of_members) {
            assert!(added.len() + removed.len() <= MAX_OPERATION_MEMBERS);
            joined.extend_from_slice(added);
            left.extend_from_slice(removed);
        }
        assert_eq!((joined, left), (add, remove));
    }

    #[test]
    fn few_members_stay_one_step() {
        let change = Change::Members { add: members(0, 3), remove: members(9, 1) };
        let steps = vec![Step { entry: None, change }, Step { entry: None, change: Change::Enable }];
        assert_eq!(divided(steps.clone()), steps);
    }

    #[test]
    fn long_names_make_smaller_steps() {
        let long = |number| Reference { dn: format!("cn={number},{}", "x".repeat(8_000)), ..Reference::default() };
        let add: Vec<Reference> = (0..500).map(long).collect();
        let steps = divided(vec![Step { entry: None, change: Change::Members { add, remove: Vec::new() } }]);
        let bytes = |step: &Step| of_members(step).0.iter().map(|member| member.dn.len()).sum::<usize>();
        assert!(steps.len() > 1 && steps.iter().all(|step| bytes(step) <= MEMBER_BYTES), "{}", steps.len());
    }

    #[test]
    fn a_large_group_is_begun_with_some_of_its_members() {
        let create = |count| Change::Create {
            container: None,
            attributes: Attributes::new(),
            choices: Vec::new(),
            sent_before: false,
            others: Vec::new(),
            enabled: false,
            members: members(0, count),
            adopt: false,
        };
        assert!(!is_begun(&create(0)) && !is_begun(&create(100)));
        let steps = divided(vec![Step { entry: None, change: create(4_300) }]);
        let Change::Create { members, .. } = &steps[0].change else { panic!("{steps:?}") };
        assert_eq!((steps.len(), members.len()), (1, MAX_OPERATION_MEMBERS));
        assert!(is_begun(&steps[0].change), "the others follow");
    }
}
