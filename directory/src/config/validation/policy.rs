//! What makes `[directory.policy]` unusable: names that mean nothing, and reads that the other sections ask for and the
//! policy does not allow.

use crate::config::DirectoryConfig;
use crate::filter::is_attribute_description;
use postern_dn::Dn;
use postern_dn::attribute_names::attribute;

type Found = Vec<(&'static str, String)>;

/// The most entries of one list.
const MOST: usize = 1_000;

/// The keys that are wrong, and why.
pub(super) fn problems(config: &DirectoryConfig) -> Found {
    let policy = &config.policy;
    let mut found = Found::new();
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let readable = list(&policy.readable_containers);
    let containers = [
        ("policy.readable_containers", &readable),
        ("policy.writable_containers", &list(&policy.writable_containers)),
        ("policy.protected_dns", &policy.protected_dns),
        ("policy.protected_groups", &policy.protected_groups),
    ];
    for (key, texts) in containers {
        too_many(key, texts, &mut found);
        for text in texts {
            match Dn::parse(text) {
                Err(error) => found.push((key, format!("{text}: {error}"))),
                Ok(dn) if dn.is_root() => found.push((key, "an entry is empty".to_owned())),
                Ok(_) => {}
            }
        }
    }
    let attributes = [
        ("policy.readable_attributes", list(&policy.readable_attributes)),
        ("policy.writable_attributes", list(&policy.writable_attributes)),
    ];
    for (key, names) in &attributes {
        too_many(key, names, &mut found);
        for name in names.iter().filter(|name| !is_attribute_description(name.as_bytes()) || name.contains(';')) {
            found.push((key, format!("\"{name}\" is not an attribute name without options")));
        }
    }
    if policy.readable_containers.is_some() {
        reads_elsewhere(config, &readable, &mut found);
    }
    if policy.readable_attributes.is_some() {
        reads_others(config, &attributes[0].1, &mut found);
    }
    found
}

fn too_many(key: &'static str, list: &[String], found: &mut Found) {
    if list.len() > MOST {
        found.push((key, format!("at most {MOST} entries")));
    }
}

/// Base DNs outside of the containers that may be read.
fn reads_elsewhere(config: &DirectoryConfig, readable: &[String], found: &mut Found) {
    let readable: Vec<Dn> = readable.iter().filter_map(|text| Dn::parse(text).ok()).collect();
    let groups = config.group_entries().map_or(&[][..], |groups| &groups.base_dns);
    for (key, bases) in [("users.base_dns", &config.users.base_dns[..]), ("groups.base_dns", groups)] {
        for base in bases {
            if Dn::parse(base).is_ok_and(|dn| !readable.iter().any(|container| dn.is_within(container))) {
                let cure = "name a container there, or add one to policy.readable_containers";
                found.push((key, format!("{base} is not within policy.readable_containers; {cure}")));
            }
        }
    }
}

/// Listed attributes that may not be read.
fn reads_others(config: &DirectoryConfig, readable: &[String], found: &mut Found) {
    let groups = config.group_entries().map_or(&[][..], |groups| &groups.attributes);
    let unique = std::slice::from_ref(&config.users.unique_attribute);
    let unique = if config.users.unique_attribute.is_empty() { &[] } else { unique };
    let lists = [
        ("users.unique_attribute", unique),
        ("users.attributes", &config.users.attributes),
        ("groups.attributes", groups),
    ];
    for (key, names) in lists {
        for name in names {
            if !readable.iter().any(|known| attribute(known) == attribute(name)) {
                let cure = "remove it, or add it to policy.readable_attributes";
                found.push((key, format!("{name} is not one of policy.readable_attributes; {cure}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::corp;

    #[test]
    fn every_key_is_checked() {
        let mut config = corp();
        let list = |text: &str| Some(vec![text.to_owned()]);
        config.policy.readable_containers = list("people");
        config.policy.writable_containers = list("");
        config.policy.protected_dns = vec!["x".to_owned()];
        config.policy.protected_groups = vec!["cn=ok,dc=corp".to_owned(), "cn=".to_owned() + "\\"];
        config.policy.writable_attributes = list("mail;lang-de");
        let keys: Vec<_> = problems(&config).into_iter().map(|(key, _)| key).collect();
        let expected = [
            "policy.readable_containers",
            "policy.writable_containers",
            "policy.protected_dns",
            "policy.protected_groups",
            "policy.writable_attributes",
            "users.base_dns",
            "groups.base_dns",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn reads_outside_of_the_policy_are_mistakes() {
        let mut config = corp();
        config.policy.readable_containers = Some(vec!["OU=People, DC=corp,DC=example".to_owned()]);
        config.policy.readable_attributes = Some(vec!["userid".to_owned(), "2.5.4.3".to_owned()]);
        let found = problems(&config);
        assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), ["groups.base_dns", "groups.attributes"]);
        assert!(found[1].1.contains("description is not one of policy.readable_attributes"), "{found:?}");
    }
}
