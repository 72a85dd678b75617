//! The attributes that a site delivers. An attribute that the site no longer lists is gone on purpose; a listed one
//! that is gone may be hidden by the directory.

use std::collections::HashSet;

use postern_proto::chunk::Kind;

/// The list as an agent sends it, once for each delivery.
#[derive(Clone, Debug, Default)]
pub struct Listed(Option<Names>);

#[derive(Clone, Debug)]
struct Names {
    users: HashSet<String>,
    groups: HashSet<String>,
    /// Names of binary attributes.
    binary: HashSet<String>,
    /// Differs for different sets of binary attributes.
    binary_stamp: u8,
}

impl Listed {
    /// The attributes of users and of groups.
    pub fn new(users: &[String], groups: &[String]) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self(Some(Names { users: lower(users), groups: lower(groups), binary: HashSet::new(), binary_stamp: 0 }))
    }

    /// Adds the attributes that are binary by the directory's schema.
    #[must_use]
    pub fn with_binary(self, binary: &[String]) -> Self {
        let binary: HashSet<String> = binary.iter().map(|name| base(name).to_ascii_lowercase()).collect();
        let binary_stamp = stamp(&binary);
        Self(self.0.map(|names| Names { binary, binary_stamp, ..names }))
    }

    /// The binary attributes, in lower case and sorted.
    pub fn binary(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.iter().flat_map(|names| names.binary.iter().cloned()).collect();
        names.sort_unstable();
        names
    }

    /// A number that changes with the set of binary attributes.
    pub fn binary_stamp(&self) -> u8 {
        self.0.as_ref().map_or(0, |names| names.binary_stamp)
    }

    /// Whether the site lists this attribute as binary; options are ignored.
    pub fn is_binary(&self, name: &str) -> bool {
        self.0
            .as_ref()
            .is_some_and(|names| !names.binary.is_empty() && names.binary.contains(&base(name).to_ascii_lowercase()))
    }

    /// Whether the site delivers this attribute, as far as known.
    pub fn may_deliver(&self, kind: Kind, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| {
            let names = if kind == Kind::User { &names.users } else { &names.groups };
            names.contains(&name.to_ascii_lowercase())
        })
    }
}

/// A number for a set of names; different sets rarely have the same. Only the empty set has 0.
fn stamp(names: &HashSet<String>) -> u8 {
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    match blake3::hash(sorted.join("\0").as_bytes()).as_bytes()[0] {
        _ if names.is_empty() => 0,
        stamp => stamp.max(1),
    }
}

/// The name of an attribute without its options.
fn base(name: &str) -> &str {
    name.split(';').next().unwrap_or_default()
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

    #[test]
    fn bytes_are_what_the_directory_calls_bytes() {
        let listed = Listed::new(&["badgeKey".to_owned()], &[]).with_binary(&["badgeKey".to_owned()]);
        assert!(listed.is_binary("BadgeKey") && listed.is_binary("badgekey;x-old") && !listed.is_binary("badge"));
        assert!(!Listed::default().is_binary("badgeKey"));
        assert!(listed.binary_stamp() != 0 && Listed::default().binary_stamp() == 0);
    }

    #[test]
    fn names_do_not_cancel_each_other_out_in_the_stamp_of_binary_attributes() {
        let of = |names: &[String]| Listed::new(&[], &[]).with_binary(names).binary_stamp();
        let first = |name: &String| blake3::hash(name.as_bytes()).as_bytes()[0];
        let names: Vec<String> = (0..5_000).map(|number| format!("attribute{number}")).collect();
        let alike = names[1..].iter().find(|name| first(name) == first(&names[0])).unwrap();
        assert_ne!(of(&[names[0].clone(), alike.clone()]), 0);
        assert_eq!(of(&[alike.clone(), names[0].clone()]), of(&[names[0].clone(), alike.clone()]), "in any order");
        assert_eq!(of(&[]), 0);
    }
}
