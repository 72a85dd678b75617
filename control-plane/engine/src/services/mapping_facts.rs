//! Saved rules as the audit log keeps them: which rules are gone, and which have come. The versions of a directory have all
//! rules, but only the last 100 of them are kept.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::identity::mapping::rules::Rule;

/// The most bytes of expressions that one entry of the audit log keeps.
const MAX_BYTES: usize = 64 * 1_024;

/// These rules in comparison with others: their number, the hash of their JSON, and those that the others do not have.
/// Those that do not fit are counted.
pub(super) fn facts(version: u32, rules: &[Rule], others: &[Rule]) -> Value {
    let (mut shown, mut left_out, mut bytes) = (Vec::new(), 0, 0);
    for rule in rules.iter().filter(|rule| !others.contains(rule)) {
        bytes += rule.target.len() + rule.expression.len();
        if bytes > MAX_BYTES {
            left_out += 1;
        } else {
            shown.push(rule);
        }
    }
    let hash = Sha256::digest(serde_json::to_vec(rules).unwrap_or_default());
    let hash = blake3::Hash::from_bytes(hash.into()).to_hex();
    json!({"version": version, "rules": rules.len(), "sha256": hash.as_str(), "different": shown, "left_out": left_out})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::mapping::rules::RuleOf;

    fn rule(target: &str, expression: &str) -> Rule {
        Rule { of: RuleOf::Users, target: target.to_owned(), expression: expression.to_owned() }
    }

    #[test]
    fn the_audit_log_keeps_what_was_changed_and_the_hash_of_all() {
        let before = [rule("email", "mail"), rule("given_name", "gn")];
        let after = [rule("email", "lower(mail)"), rule("given_name", "gn")];
        let (was, is) = (facts(1, &before, &after), facts(2, &after, &before));
        assert_eq!(was["different"], json!([{"of": "users", "target": "email", "expression": "mail"}]));
        assert_eq!(is["different"], json!([{"of": "users", "target": "email", "expression": "lower(mail)"}]));
        assert_eq!((&is["version"], &is["rules"], &is["left_out"]), (&2.into(), &2.into(), &0.into()));
        assert_ne!(was["sha256"], is["sha256"]);
    }

    #[test]
    fn an_entry_of_the_audit_log_stays_small() {
        let long: Vec<Rule> =
            (0..100).map(|number| rule(&format!("attributes.a{number}"), &"x".repeat(2_000))).collect();
        let kept = facts(1, &long, &[]);
        assert!(kept.to_string().len() < 80_000);
        assert_eq!(
            kept["different"].as_array().unwrap().len() + usize::try_from(kept["left_out"].as_u64().unwrap()).unwrap(),
            100
        );
    }
}
