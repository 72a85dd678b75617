//! Who is a member: the form in which groups name their members, so that they can be matched with accounts.

use postern_dn as dn;
use postern_proto::chunk::{MemberForm, Values};

/// The normalized form of a DN: equal for equal names. What is no DN is at least compared without regard to case.
pub fn dn_key(name: &str) -> String {
    dn::normalize(name).unwrap_or_else(|_| postern_store::fold(name))
}

/// The keys by which a group names its members, each once, sorted.
pub fn member_keys(form: MemberForm, members: Values<'_>) -> Vec<String> {
    // An empty name is nobody's: groups of classes that need a member have one where there is none.
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
    }
}

/// The store's word for the form.
pub fn stored_form(form: MemberForm) -> postern_store::MemberForm {
    match form {
        MemberForm::Dn => postern_store::MemberForm::Dn,
        MemberForm::UniqueValue => postern_store::MemberForm::UniqueValue,
    }
}

#[cfg(test)]
mod tests {
    use postern_proto::chunk::{ChunkReader, ChunkWriter, Kind};

    use super::*;

    fn keys(form: MemberForm, members: &[&str]) -> Vec<String> {
        let mut writer = ChunkWriter::new(form);
        let mut entry = writer.entry(Kind::Group, "g", "cn=g", None);
        for member in members {
            entry.member(member.as_bytes());
        }
        entry.finish();
        let payload = writer.finish();
        let mut reader = ChunkReader::parse(&payload).unwrap();
        member_keys(form, reader.next_entry().unwrap().unwrap().members())
    }

    #[test]
    fn one_member_written_in_two_ways_is_one() {
        assert_eq!(keys(MemberForm::Dn, &["uid=Ada, dc=X", "UID=ada,DC=x", "uid=bob,dc=x"]).len(), 2);
        assert_eq!(keys(MemberForm::UniqueValue, &["ada", "bob", "ada"]), ["ada", "bob"]);
    }

    #[test]
    fn names_of_members_are_told_apart_by_case() {
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
