//! The filters of lists as conditions. A condition is text of the statement and no value of it: only so does a database see
//! that the few who are inactive or missing have an index of their own.

use crate::records::IdentityFilter;

/// The conditions of a filter of users, each with an `AND` before it.
pub(crate) fn of_users(filter: IdentityFilter) -> [&'static str; 2] {
    [of_active(filter.active), of_groups(filter.missing)]
}

/// The condition of a filter of groups, with an `AND` before it.
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

/// The part of a filter that few fit, which has an index, and the part that many fit.
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
