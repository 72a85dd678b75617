//! An import without users fails: the filter, the base DN or the bind account's rights must be wrong.

use postern_store::Staged;

use crate::jobs::failure::Failure;

/// Why the job fails; `None`: there are users. `unusable` entries were read and could not be used.
pub(super) fn failure(staged: &Staged, unusable: u64) -> Option<Failure> {
    if staged.users > 0 {
        return None;
    }
    let (what, cure) = match unusable {
        0 => (
            "The directory returned no user.".to_owned(),
            "Check users.base_dns, users.scope and users.filter in the agent's file, and that the bind account may read \
             the users; postern-agent check shows what is found.",
        ),
        unusable => (
            format!("The directory returned no user that can be used, and {unusable} entries that cannot."),
            "Let the bind account read the external id attribute, or set external_id_attribute in the agent's file; \
             postern-agent check names an entry and what it lacks.",
        ),
    };
    Some(Failure::new("no_users", format!("{what} Nobody was marked missing."), cure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_without_users_says_what_to_look_at() {
        let staged = |users| Staged { users, groups: 3, ..Staged::default() };
        assert_eq!(failure(&staged(1), 5), None);
        let nobody = failure(&staged(0), 0).unwrap();
        assert!(nobody.cure.unwrap().contains("users.filter"));
        let unusable = failure(&staged(0), 7).unwrap();
        assert!(unusable.message.contains("7 entries"), "{}", unusable.message);
        assert!(unusable.cure.unwrap().contains("external_id_attribute"));
    }
}
