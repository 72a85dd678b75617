//! How much one operation may hold. Who builds one keeps to it, and who reads one refuses more: a message that the
//! [guard](crate::guard) refuses ends the whole session, with everybody else's operations.

use prost::Message as _;
use thiserror::Error;

use crate::limits::{
    MAX_OPERATION_ATTRIBUTES, MAX_OPERATION_BYTES, MAX_OPERATION_CHOICES, MAX_OPERATION_MEMBERS, MAX_OPERATION_VALUES,
};
use crate::v1::{self, operate::Change};

/// An operation holds too much.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TooLarge {
    /// Too many attributes.
    #[error("{0} attributes; an operation has at most {MAX_OPERATION_ATTRIBUTES}")]
    Attributes(usize),
    /// Too many values of all attributes together, those that are known and those that are wanted.
    #[error("{0} values, known and wanted ones together; an operation has at most {MAX_OPERATION_VALUES}")]
    Values(usize),
    /// Too many members.
    #[error("{0} members; an operation has at most {MAX_OPERATION_MEMBERS}")]
    Members(usize),
    /// Too many choices of names.
    #[error("{0} choices of names; an operation has at most {MAX_OPERATION_CHOICES}")]
    Choices(usize),
    /// Too many bytes.
    #[error("{0} bytes; an operation has at most {MAX_OPERATION_BYTES}")]
    Bytes(usize),
}

/// Refuses an operation that holds more than one may.
///
/// # Errors
///
/// What it has too much of.
pub fn check(operate: &v1::Operate) -> Result<(), TooLarge> {
    let (attributes, values, members) = match &operate.change {
        Some(Change::Create(create)) => {
            if create.choices.len() > MAX_OPERATION_CHOICES {
                return Err(TooLarge::Choices(create.choices.len()));
            }
            let all = || create.attributes.iter().chain(create.choices.iter().flat_map(|choice| &choice.attributes));
            (all().count(), all().map(|attribute| attribute.values.len()).sum(), create.members.len())
        }
        Some(Change::Update(update)) => {
            let values = update.changes.iter().map(|change| change.known.len() + change.wanted.len()).sum();
            (update.changes.len(), values, 0)
        }
        Some(Change::ChangeMembers(members)) => (0, 0, members.add.len() + members.remove.len()),
        _ => (0, 0, 0),
    };
    if attributes > MAX_OPERATION_ATTRIBUTES {
        return Err(TooLarge::Attributes(attributes));
    }
    if values > MAX_OPERATION_VALUES {
        return Err(TooLarge::Values(values));
    }
    if members > MAX_OPERATION_MEMBERS {
        return Err(TooLarge::Members(members));
    }
    match operate.encoded_len() {
        bytes if bytes > MAX_OPERATION_BYTES => Err(TooLarge::Bytes(bytes)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Guarded, is_bounded};
    use crate::limits::{MAX_FRAME_BYTES, MAX_TEXT_BYTES};

    fn passes<M: Guarded + prost::Message>(message: &M) -> bool {
        let bytes = message.encode_to_vec();
        is_bounded::<M>(&bytes) && bytes.len() <= MAX_FRAME_BYTES
    }

    fn sent(change: Change) -> v1::ControlFrame {
        let kind = Some(v1::command::Kind::Operate(operate(change)));
        let command = v1::Command { kind, ..v1::Command::default() };
        v1::ControlFrame { kind: Some(v1::control_frame::Kind::Command(command)) }
    }

    fn operate(change: Change) -> v1::Operate {
        let entry = Some(v1::EntryReference { external_id: "id".to_owned(), dn: "uid=a".to_owned() });
        v1::Operate { entry_kind: v1::EntryKind::User.into(), entry, change: Some(change) }
    }

    fn members(count: usize) -> Vec<v1::EntryReference> {
        let one = |number| v1::EntryReference { external_id: format!("{number}"), dn: format!("uid={number},dc=x") };
        (0..count).map(one).collect()
    }

    fn values(count: usize) -> Vec<bytes::Bytes> {
        (0..count).map(|number| number.to_string().into()).collect()
    }

    fn creation(attributes: usize, values_of_the_first: usize, members_count: usize) -> Change {
        let attribute = |place| v1::AttributeValues {
            name: format!("a{place}"),
            values: values(if place == 0 { values_of_the_first } else { 0 }),
        };
        Change::Create(v1::CreateEntry {
            container: "ou=x".to_owned(),
            attributes: (0..attributes).map(attribute).collect(),
            enabled: true,
            adopt: true,
            members: members(members_count),
            ..v1::CreateEntry::default()
        })
    }

    fn update(attributes: usize, known_of_the_first: usize, wanted_of_the_first: usize) -> Change {
        let change = |place| v1::AttributeChange {
            name: format!("a{place}"),
            known: values(if place == 0 { known_of_the_first } else { 0 }),
            wanted: values(if place == 0 { wanted_of_the_first } else { 0 }),
            compare: true,
            both_changed: v1::BothChanged::WantedWins.into(),
        };
        Change::Update(v1::UpdateEntry { changes: (0..attributes).map(change).collect() })
    }

    #[test]
    fn the_largest_operation_passes_the_guard_and_one_more_is_refused() {
        let (attributes, values, members_count) =
            (MAX_OPERATION_ATTRIBUTES, MAX_OPERATION_VALUES, MAX_OPERATION_MEMBERS);
        let add = members(members_count);
        let largest = [
            creation(attributes, values, members_count),
            update(attributes, values / 2, values / 2),
            Change::ChangeMembers(v1::ChangeMembers { add, remove: Vec::new() }),
        ];
        for change in largest {
            assert_eq!(check(&operate(change.clone())), Ok(()));
            assert!(passes(&sent(change)));
        }
        let too_large = |change| check(&operate(change)).unwrap_err();
        assert_eq!(too_large(creation(attributes + 1, 0, 0)), TooLarge::Attributes(attributes + 1));
        assert_eq!(too_large(update(1, values, 1)), TooLarge::Values(values + 1));
        let (add, remove) = (members(members_count), members(1));
        let changed = Change::ChangeMembers(v1::ChangeMembers { add, remove });
        assert_eq!(too_large(changed), TooLarge::Members(members_count + 1));
    }

    #[test]
    fn an_operation_of_many_bytes_is_refused() {
        let photo = |bytes: usize| {
            let wanted = vec![vec![0; bytes].into()];
            let change = v1::AttributeChange { name: "photo".to_owned(), wanted, ..v1::AttributeChange::default() };
            Change::Update(v1::UpdateEntry { changes: vec![change] })
        };
        assert_eq!(check(&operate(photo(MAX_OPERATION_BYTES / 2))), Ok(()));
        assert!(passes(&sent(photo(MAX_OPERATION_BYTES / 2))));
        assert!(matches!(check(&operate(photo(MAX_OPERATION_BYTES))), Err(TooLarge::Bytes(_))));
    }

    #[test]
    fn the_largest_outcome_passes_the_guard() {
        let both = |place| v1::AttributeValues {
            name: format!("a{place}"),
            // One more that says how many there are.
            values: if place == 0 { values(MAX_OPERATION_VALUES) } else { values(1) },
        };
        let refused = v1::RefusedAttribute {
            name: "a".to_owned(),
            message: "x".repeat(MAX_TEXT_BYTES / 16),
            ldap_result_code: Some(19),
        };
        let member = |place: usize| v1::RefusedMember {
            member: place.to_string(),
            message: "x".repeat(MAX_TEXT_BYTES / 16),
            ldap_result_code: Some(19),
        };
        let result = v1::OperateResult {
            effect: v1::Effect::Changed.into(),
            entry: vec![0; 1 << 20].into(),
            overwritten: (0..MAX_OPERATION_ATTRIBUTES / 2).map(both).collect(),
            kept: (MAX_OPERATION_ATTRIBUTES / 2..MAX_OPERATION_ATTRIBUTES).map(both).collect(),
            refused: vec![refused; MAX_OPERATION_ATTRIBUTES],
            // A member is one or the other.
            unknown_members: (0..MAX_OPERATION_MEMBERS / 2).map(|number| number.to_string()).collect(),
            refused_members: (0..MAX_OPERATION_MEMBERS / 2).map(member).collect(),
        };
        let result = Some(v1::outcome::Result::Operate(result));
        let outcome = v1::Outcome { result, ..v1::Outcome::default() };
        assert!(passes(&v1::AgentFrame { kind: Some(v1::agent_frame::Kind::Outcome(outcome)) }));
    }
}
