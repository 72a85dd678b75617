//! What makes `[directory.write]` unusable.

use crate::attributes::is_withheld;
use crate::config::write::{DisableBy, WriteConfig};
use crate::filter::is_attribute_description;
use postern_dn::Dn;

/// The keys that are wrong, and why.
pub(super) fn problems(write: &WriteConfig) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let dns = [
        ("write.user_container", &write.user_container),
        ("write.group_container", &write.group_container),
        ("write.placeholder_member", &write.placeholder_member),
    ];
    for (key, text) in dns.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?))) {
        match Dn::parse(text) {
            Err(error) => found.push((key, error.to_string())),
            Ok(dn) if dn.is_root() => found.push((key, "empty".to_owned())),
            Ok(_) => {}
        }
    }
    let disable = match &write.disable {
        Some(DisableBy::Attribute { name, .. }) => Some(name),
        _ => None,
    };
    let names = [
        ("write.user_rdn_attribute", write.user_rdn_attribute.as_ref()),
        ("write.group_rdn_attribute", write.group_rdn_attribute.as_ref()),
        ("write.disable", disable),
    ];
    for (key, name) in names.into_iter().filter_map(|(key, name)| Some((key, name?))) {
        if !is_attribute_description(name.as_bytes()) || name.contains(';') {
            found.push((key, format!("\"{name}\" is not an attribute name")));
        }
        if is_withheld(name) {
            found.push((key, format!("{name} holds passwords or keys; name another")));
        }
    }
    if !(1..=16).contains(&write.connections) {
        found.push(("write.connections", "between 1 and 16".to_owned()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_checked() {
        let write = WriteConfig {
            user_container: Some("people".to_owned()),
            group_container: Some(String::new()),
            placeholder_member: Some("cn=nobody,dc=corp".to_owned()),
            user_rdn_attribute: Some("a b".to_owned()),
            disable: Some(DisableBy::Attribute { name: "userPassword".to_owned(), value: "x".to_owned() }),
            connections: 0,
            ..WriteConfig::default()
        };
        let keys: Vec<&str> = problems(&write).into_iter().map(|(key, _)| key).collect();
        let expected = ["user_container", "group_container", "user_rdn_attribute", "disable", "connections"];
        assert_eq!(keys, expected.map(|key| format!("write.{key}")));
        assert!(problems(&WriteConfig::default()).is_empty());
    }
}
