//! The attributes that a site delivers. One that it has taken off its list is gone by its own decision; one that is
//! listed and gone may be hidden by the directory.

use std::collections::HashSet;

use postern_proto::chunk::Kind;

/// As an agent says it, once for each delivery.
#[derive(Clone, Debug, Default)]
pub struct Listed(Option<Names>);

#[derive(Clone, Debug)]
struct Names {
    users: HashSet<String>,
    groups: HashSet<String>,
}

impl Listed {
    /// Of users and of groups.
    pub fn new(users: &[String], groups: &[String]) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self(Some(Names { users: lower(users), groups: lower(groups) }))
    }

    /// Whether the site delivers this attribute, as far as anybody can say.
    pub fn may_deliver(&self, kind: Kind, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| {
            let names = if kind == Kind::User { &names.users } else { &names.groups };
            names.contains(&name.to_ascii_lowercase())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_not_listed_is_not_delivered() {
        let listed = Listed::new(&["Mail".to_owned()], &["cn".to_owned()]);
        assert!(listed.may_deliver(Kind::User, "mail") && listed.may_deliver(Kind::Group, "CN"));
        assert!(!listed.may_deliver(Kind::Group, "mail") && !listed.may_deliver(Kind::User, "mail;lang-de"));
        assert!(Listed::default().may_deliver(Kind::User, "mail"));
        assert!(!Listed::new(&[], &[]).may_deliver(Kind::User, "mail"));
    }
}
