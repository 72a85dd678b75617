//! The name of a group as a user's entry has it: a DN, or a plain text.

use std::collections::HashSet;

use postern_dn::Dn;
use postern_store::ExternalKey;

use crate::identity::mapping;
use crate::identity::membership;

/// A group as a user's entry names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName {
    /// Its key: the same for all ways to write one DN, and different for two DNs with the same first value.
    pub key: ExternalKey,
    /// The name as it came: a DN, or a plain text.
    pub(super) text: String,
}

impl GroupName {
    /// The first value of the DN, or the plain text.
    pub(super) fn display_name(&self) -> String {
        let dn = Dn::parse(&self.text).ok();
        dn.and_then(|dn| dn.rdns().first()?.name()).unwrap_or_else(|| self.text.clone())
    }
}

/// The groups that a user names, each once.
pub fn names<'m>(values: impl Iterator<Item = &'m [u8]>) -> Vec<GroupName> {
    let mut seen = HashSet::new();
    let name = |value: &[u8]| {
        let text = mapping::printable(&String::from_utf8_lossy(value)).trim().to_owned();
        GroupName { key: ExternalKey::of_named_group(&membership::dn_key(&text)), text }
    };
    values.map(name).filter(|name| !name.text.is_empty() && seen.insert(name.key.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[&str]) -> Vec<GroupName> {
        names(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn a_dn_is_named_by_its_first_value_and_a_text_is_its_own_name() {
        let names: Vec<String> = found(&["CN=Sales \\+ Service,OU=Groups,dc=x", "Sales", "#x"])
            .iter()
            .map(GroupName::display_name)
            .collect();
        assert_eq!(names, ["Sales + Service", "Sales", "#x"]);
    }

    #[test]
    fn one_group_has_one_key_however_it_is_written_and_two_containers_hold_two_groups() {
        assert_eq!(found(&["cn=Sales,dc=x", "CN=sales, DC=X", "sales", "SALES", "", "  "]).len(), 2);
        assert_eq!(found(&["cn=sales,ou=a,dc=x", "cn=sales,ou=b,dc=x"]).len(), 2);
    }
}
