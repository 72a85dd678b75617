//! The filters of lists as conditions. A condition is part of the statement's text, not a value: only then does a
//! database use the index of the few inactive or missing.

use crate::records::IdentityFilter;

/// The conditions of a filter of users, each preceded by `AND`.
pub(crate) fn of_users(filter: IdentityFilter) -> [&'static str; 2] {
    [of_active(filter.active), of_groups(filter.missing)]
}

/// The condition of a filter of groups, preceded by `AND`.
pub(crate) const fn of_groups(missing: Option<bool>) -> &'static str {
    match missing {
        Some(true) => " AND missing_since IS NOT NULL",
        Some(false) => " AND missing_since IS NULL",
        None => "",
    }
}

const fn of_active(active: Option<bool>) -> &'static str {
    match active {
        Some(true) => " AND active",
        Some(false) => " AND NOT active",
        None => "",
    }
}

/// The part of a filter that few match, which has an index, and the part that many match.
pub(crate) fn rare_and_common(filter: IdentityFilter) -> (IdentityFilter, IdentityFilter) {
    let rare = IdentityFilter {
        active: filter.active.filter(|active| !active),
        missing: filter.missing.filter(|missing| *missing),
    };
    let common = IdentityFilter {
        active: filter.active.filter(|active| *active),
        missing: filter.missing.filter(|missing| !missing),
    };
    (rare, common)
}
