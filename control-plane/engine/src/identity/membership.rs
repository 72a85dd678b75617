//! The form in which groups name their members, for matching with accounts.

use postern_dn as dn;
use postern_store::MemberForm;

/// The form of a DN that finds the account of a member: equal if only case and the way of writing differ. Servers keep
/// entries apart that differ in more than that and are equal for RFC 4518, as by `ß` and `ss`. So a member of one name
/// must never mean the other entry, imported or not. A text that is not a DN is compared without regard to case.
pub fn dn_key(name: &str) -> String {
    dn::case_folded(name).unwrap_or_else(|_| dn::fold_case(name))
}

/// The keys of a group's members, unique and sorted.
pub fn member_keys<'m>(form: MemberForm, members: impl Iterator<Item = &'m [u8]>) -> Vec<String> {
    // An empty name means no account: groups of classes that require a member use it if there is none.
    let mut keys: Vec<String> = members.map(|member| member_key(form, member)).filter(|key| !key.is_empty()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn member_key(form: MemberForm, member: &[u8]) -> String {
    let text = String::from_utf8_lossy(member);
    let text = super::mapping::printable(&text);
    match form {
        MemberForm::Dn => dn_key(&text),
        // Compared exactly, as RFC 2307 compares memberUid.
        MemberForm::UniqueValue => text.into_owned(),
        // Groups list no members then.
        MemberForm::GroupNames => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(form: MemberForm, members: &[&str]) -> Vec<String> {
        member_keys(form, members.iter().map(|member| member.as_bytes()))
    }

    #[test]
    fn one_member_written_in_two_ways_is_one() {
        assert_eq!(keys(MemberForm::Dn, &["uid=Ada, dc=X", "UID=ada,DC=x", "uid=bob,dc=x"]).len(), 2);
        assert_eq!(keys(MemberForm::UniqueValue, &["ada", "bob", "ada"]), ["ada", "bob"]);
    }

    #[test]
    fn names_of_members_differ_by_case() {
        assert_eq!(keys(MemberForm::UniqueValue, &["ada", "Ada"]), ["Ada", "ada"]);
    }

    #[test]
    fn an_empty_name_is_no_member() {
        assert_eq!(keys(MemberForm::Dn, &["", "uid=ada,dc=x"]), ["uid=ada,dc=x"]);
        assert_eq!(keys(MemberForm::UniqueValue, &[""]).len(), 0);
    }

    #[test]
    fn what_is_no_dn_is_kept() {
        assert_eq!(keys(MemberForm::Dn, &["Not A Name"]), ["not a name"]);
    }
}
