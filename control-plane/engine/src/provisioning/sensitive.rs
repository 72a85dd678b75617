//! What is sensitive about users, kept out of reasons and of containers.

use std::collections::BTreeSet;

use super::settings::{Compiled, Wrong};
use crate::identity::profile;
use crate::records::AttributeDefinition;

impl Compiled {
    /// The same, with the sensitive fields of users known. Refuses to make containers of them: everybody who reads a
    /// directory sees where an entry is.
    pub fn knowing(self, sensitive: BTreeSet<String>) -> Result<Self, Wrong> {
        let fields: Vec<String> = sensitive.iter().cloned().collect();
        let reads = |field: &&String| {
            let field = std::slice::from_ref(*field);
            self.container.as_ref().is_some_and(|rule| rule.attributes_that_read(field).next().is_some())
        };
        if let Some(field) = fields.iter().find(reads) {
            let reason =
                format!("it reads {field}, which is sensitive, and everybody sees in which container an entry is");
            return Err(("user_container", reason));
        }
        Ok(Self { sensitive, ..self })
    }

    /// Why an expression that reads these fields fails.
    pub fn shown(&self, reads: &[String], reason: String) -> String {
        shown(|field| self.sensitive.contains(field), reads, reason)
    }
}

/// The fields of users whose values are sensitive.
pub(crate) fn sensitive_fields(defined: &[AttributeDefinition]) -> Vec<String> {
    defined.iter().filter(|defined| defined.sensitive).map(|defined| profile::further(&defined.name)).collect()
}

/// Why an expression that reads these fields fails, unless one of them is sensitive.
pub(crate) fn shown(is_sensitive: impl Fn(&String) -> bool, reads: &[String], reason: String) -> String {
    match reads.iter().find(|field| is_sensitive(field)) {
        Some(field) => format!("it reads {field}, which is sensitive: the reason may have its value, and is not shown"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;

    #[test]
    fn what_is_sensitive_makes_no_container_and_is_in_no_reason() {
        let sensitive = || std::iter::once("attributes.pin".to_owned()).collect::<BTreeSet<_>>();
        let of = |container: &str| {
            let settings = Settings { user_container: Some(container.to_owned()), ..Settings::default() };
            settings.compile().unwrap().knowing(sensitive())
        };
        let (field, reason) = of("'ou=' + upper(attributes.pin)").unwrap_err();
        assert_eq!(field, "user_container");
        assert!(reason.contains("attributes.pin, which is sensitive"), "{reason}");
        let known = of("'ou=' + attributes.department").unwrap();
        let reason = |field: &str| known.shown(&[field.to_owned()], "the map has no \"1234\"".to_owned());
        assert!(!reason("attributes.pin").contains("1234"));
        assert!(reason("attributes.department").contains("1234"));
    }
}
