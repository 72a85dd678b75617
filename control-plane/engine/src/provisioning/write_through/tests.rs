//! What becomes of changes that somebody asked for, by what the target has and allows.

use jiff::Timestamp;
use postern_store::{IdentityId, TargetId, UserId};

use super::super::settings::Switches;
use super::*;
use crate::identity::mapping::outbound::defaults;
use crate::identity::mapping::rules::Rule;

fn pending(what: &str, wanted: Value) -> PendingChange {
    PendingChange {
        id: PendingId::new(),
        target: TargetId::new(),
        identity: IdentityId::User(UserId::new()),
        what: what.to_owned(),
        wanted,
        asked_at: Timestamp::UNIX_EPOCH,
        asked_by: "ada".to_owned(),
        refused: None,
    }
}

fn on() -> Settings {
    let switches = Switches { write_through: true, ..Switches::default() };
    Settings { switches, ..Settings::default() }
}

fn known() -> Known {
    let attributes = [("uid", "anna"), ("Mail", "anna@corp.example")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
    Known { attributes, ..Known::default() }
}

fn rules() -> Outbound {
    Outbound::compile(&defaults(false)).unwrap()
}

fn sent(asked: &Asked) -> Vec<(&str, &[String])> {
    match asked.step.as_ref().map(|step| &step.change) {
        Some(Change::Update { changes, .. }) => {
            changes.iter().map(|change| (change.name.as_str(), change.wanted.as_slice())).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_field_goes_to_the_attribute_that_a_rule_fills_with_it() {
    let mail = pending("email", json!("bell@corp.example"));
    let asked = of_user(std::slice::from_ref(&mail), Some(&known()), &rules(), &on());
    assert_eq!(sent(&asked), [("mail", &["bell@corp.example".to_owned()][..])]);
    assert_eq!(asked.step.unwrap().change.asked(), [(mail.id, "mail")]);
    // A value that is taken away.
    let asked = of_user(&[pending("email", Value::Null)], Some(&known()), &rules(), &on());
    assert_eq!(sent(&asked), [("mail", &[][..])]);
}

#[test]
fn what_the_target_has_already_is_done_and_what_it_cannot_get_is_refused() {
    let same = pending("email", json!("anna@corp.example"));
    let asked = of_user(std::slice::from_ref(&same), Some(&known()), &rules(), &on());
    assert_eq!((asked.done, asked.step), (vec![same.id], None));
    let reason = |what: &str, known: Option<&Known>, settings: &Settings| {
        let asked = of_user(&[pending(what, json!("x"))], known, &rules(), settings);
        assert_eq!(asked.step, None);
        asked.refused.into_iter().next().map(|(_, reason)| reason).unwrap_or_default()
    };
    assert!(reason("attributes.department", Some(&known()), &on()).contains("No outbound rule"));
    assert!(reason("email", Some(&known()), &Settings::default()).contains("not written through"));
    assert!(reason("email", None, &on()).contains("does not have the account"));
    let outbound = Known { outbound: true, ..known() };
    assert!(reason("email", Some(&outbound), &on()).contains("does not have the account"));
}

#[test]
fn only_a_plain_expression_writes_a_field() {
    let rule = |target: &str, expression: &str| Rule {
        of: RuleOf::Users,
        target: target.to_owned(),
        expression: expression.to_owned(),
    };
    let rules = Outbound::compile(&[rule("mail", "lower(email)"), rule("sn", " family_name ")]).unwrap();
    assert!(rules.attributes_of(RuleOf::Users, "email").is_empty());
    assert_eq!(rules.attributes_of(RuleOf::Users, "family_name"), ["sn"]);
    assert!(rules.attributes_of(RuleOf::Groups, "family_name").is_empty());
}
