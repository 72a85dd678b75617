//! Containers that an administrator reports as deleted with all their entries, for servers that do not distinguish
//! deleted containers from hidden ones. The import is still held, and the hold lists them with their counts, because
//! one name can cover many accounts.

use postern_dn::Dn;
use postern_proto::limits;
use serde_json::{Value, json};

/// Most containers of an import.
pub const MOST: usize = 20;
/// Most bytes of their names together, because every list of jobs shows them.
pub const MOST_BYTES: usize = 8 << 10;

/// The field of a job's input with their names.
pub const INPUT: &str = "gone_containers";

/// The containers of an import's input.
#[derive(Clone, Debug, Default)]
pub struct Gone {
    containers: Vec<Container>,
}

#[derive(Clone, Debug)]
struct Container {
    dn: Dn,
    accounts: u64,
}

impl Gone {
    /// Reads a job's input.
    pub fn of(input: &Value) -> Self {
        let names = input[INPUT].as_array().into_iter().flatten().filter_map(Value::as_str);
        let containers = names.filter_map(|name| Dn::parse(name).ok()).filter(|dn| !dn.is_root());
        Self { containers: containers.map(|dn| Container { dn, accounts: 0 }).collect() }
    }

    /// The input of a job for these containers. `None`: one is not a DN, or they are too many or too long.
    pub fn input(names: &[String]) -> Option<Value> {
        let usable =
            |name: &String| name.len() <= limits::MAX_DN_BYTES && Dn::parse(name).is_ok_and(|dn| !dn.is_root());
        let bytes: usize = names.iter().map(String::len).sum();
        (names.len() <= MOST && bytes <= MOST_BYTES && names.iter().all(usable)).then(|| json!({ INPUT: names }))
    }

    /// Whether no container was named.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }

    /// Counts an account in one of them or below. `false`: it was elsewhere.
    pub fn take(&mut self, dn: &str) -> bool {
        let Ok(dn) = Dn::parse(dn) else { return false };
        let container = self.containers.iter_mut().find(|container| dn.is_within(&container.dn));
        container.map(|container| container.accounts += 1).is_some()
    }

    /// The containers without any account whose container is not found.
    pub fn unused(&self) -> Vec<String> {
        let unused = self.containers.iter().filter(|container| container.accounts == 0);
        unused.map(|container| container.dn.to_string()).collect()
    }

    /// Why the import is held. `None`: no account was in them.
    pub fn doubt(&self) -> Option<String> {
        let found = self.containers.iter().filter(|container| container.accounts > 0);
        let parts: Vec<String> =
            found.map(|container| format!("{} accounts in {}", container.accounts, container.dn)).collect();
        (!parts.is_empty()).then(|| {
            format!(
                "The import was asked to take containers for deleted, and {} would be marked missing by that. Their \
                 container is not found; it may be hidden as well.",
                parts.join(" and ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_in_a_container_that_was_named_is_counted() {
        let input = Gone::input(&["OU=North, dc=x".to_owned(), "ou=south,dc=x".to_owned()]).unwrap();
        let mut gone = Gone::of(&input);
        assert_eq!(gone.doubt(), None);
        assert!(gone.take("uid=a,ou=north,DC=x") && gone.take("uid=b,ou=deep,ou=north,dc=x"));
        assert!(!gone.take("uid=c,dc=x") && !gone.take("uid=d,ou=northern,dc=x") && !gone.take("no dn"));
        let doubt = gone.doubt().unwrap();
        assert!(doubt.contains("2 accounts in OU=North") && !doubt.contains("south"), "{doubt}");
        assert!(Gone::of(&json!({})).is_empty());
    }

    #[test]
    fn everything_is_no_container() {
        assert_eq!(Gone::input(&[String::new()]), None);
        assert_eq!(Gone::input(&["north".to_owned()]), None);
        assert_eq!(Gone::input(&vec!["ou=x".to_owned(); MOST + 1]), None);
        let long = format!("ou={}", "x".repeat(1_000));
        assert!(Gone::input(&vec![long.clone(); 8]).is_some());
        assert_eq!(Gone::input(&vec![long; 9]), None, "they are too long together");
        assert!(Gone::of(&json!({ INPUT: [""] })).is_empty());
    }
}
