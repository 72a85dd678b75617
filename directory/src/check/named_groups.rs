//! What the sample of users says of their groups, if users name them.

use std::collections::BTreeSet;

use bytes::Bytes;
use postern_dn::Dn;

use super::{CheckState, Finding};

/// Most groups that are counted one by one.
const MOST_GROUPS: usize = 10_000;

/// The groups that some users name.
#[derive(Default)]
pub(super) struct Named {
    users: usize,
    groups: BTreeSet<Bytes>,
    plain: usize,
}

impl Named {
    /// Adds what one user names.
    pub(super) fn note(&mut self, values: &[Bytes]) {
        self.users += usize::from(!values.is_empty());
        for value in values {
            let is_new = self.groups.len() < MOST_GROUPS && self.groups.insert(value.clone());
            self.plain += usize::from(is_new && !is_dn(value));
        }
    }
}

fn is_dn(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|text| Dn::parse(text).is_ok())
}

/// What the sample says. `in_schema`: whether the server's schema has the attribute; `None`: unknown.
pub(super) fn judge(attribute: &str, in_schema: Option<bool>, named: &Named, total: usize) -> Finding {
    if in_schema == Some(false) {
        return Finding::new(CheckState::Failed, format!("the server's schema has no attribute {attribute}"))
            .cured_by("correct groups.from_user_attribute, or enable the server's memberOf overlay or plug-in");
    }
    if named.users == 0 {
        return Finding::new(
            CheckState::Warned,
            format!("none of {total} users has {attribute}, so there are no groups"),
        )
        .cured_by("let the bind account read the attribute, or correct groups.from_user_attribute");
    }
    let (users, groups, plain) = (named.users, named.groups.len(), named.plain);
    let form = match plain {
        0 => "by DN".to_owned(),
        plain if plain == groups => "by plain name".to_owned(),
        plain => format!("{plain} of them by plain name, the others by DN"),
    };
    let more = if groups == MOST_GROUPS { "at least " } else { "" };
    Finding::passed(format!("{users} of {total} users name {more}{groups} groups in {attribute}, {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(users: &[&[&'static str]]) -> Named {
        let mut named = Named::default();
        for values in users {
            named.note(&values.iter().map(|value| Bytes::from_static(value.as_bytes())).collect::<Vec<_>>());
        }
        named
    }

    #[test]
    fn it_says_how_many_groups_users_name_and_how() {
        let detail = |users: &[&[&'static str]]| judge("memberOf", Some(true), &named(users), 3).detail;
        assert_eq!(
            detail(&[&["cn=a,dc=x", "cn=b,dc=x"], &["cn=a,dc=x"], &[]]),
            "2 of 3 users name 2 groups in memberOf, by DN"
        );
        assert_eq!(detail(&[&["Sales"]]), "1 of 3 users name 1 groups in memberOf, by plain name");
        assert_eq!(
            detail(&[&["Sales", "cn=a,dc=x"]]),
            "1 of 3 users name 2 groups in memberOf, 1 of them by plain name, the others by DN"
        );
        assert_eq!(detail(&[&[], &[]]), "none of 3 users has memberOf, so there are no groups");
        let unknown = judge("memberOff", Some(false), &Named::default(), 3);
        assert_eq!(
            (unknown.state, unknown.detail.as_str()),
            (CheckState::Failed, "the server's schema has no attribute memberOff")
        );
    }
}
