//! What a user gets from several accounts.

use postern_store::{AccountKind, ExternalKey, Switch, TargetId, fold};
use serde_json::json;

use super::*;

fn row(name: &str) -> UserRow {
    UserRow {
        id: UserId::new(),
        organization: OrganizationId::new(),
        user_name: name.to_owned(),
        name_key: fold(name),
        given_name: None,
        family_name: None,
        display_name: None,
        email: None,
        active: true,
        attributes: "{}".to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        missing_since: None,
    }
}

fn account(conflict: Option<&str>) -> Account {
    Account {
        id: AccountId::new(),
        organization: OrganizationId::new(),
        target: TargetId::from_uuid(uuid::Uuid::nil()),
        target_name: "corp".to_owned(),
        kind: AccountKind::User,
        external_key: ExternalKey::from_text("1"),
        dn: "uid=anna".to_owned(),
        unique_value: Some("anna".to_owned()),
        attributes: "{}".to_owned(),
        missing_since: None,
        identity: None,
        former_user: None,
        conflict: conflict.map(str::to_owned),
        updated_at: Timestamp::UNIX_EPOCH,
        switch: Switch::On,
        switch_hidden: false,
        outbound: false,
    }
}

fn claimed(wanted: UserRow, other: &[&str]) -> Claim {
    let other_names = other.iter().map(|name| (*name).to_owned()).collect();
    Claim { current: None, former: None, wanted, other_names, failed: Vec::new(), found: None }
}

#[test]
fn a_later_directory_fills_only_what_is_open() {
    let mut first = UserRow { email: Some("a@one".to_owned()), ..row("anna") };
    first.attributes = json!({"title": "Dr."}).to_string();
    let mut later = UserRow { email: Some("a@two".to_owned()), family_name: Some("Berg".to_owned()), ..row("anna.b") };
    later.attributes = json!({"title": "Prof.", "office": "3"}).to_string();
    fill(&mut first, later);
    assert_eq!((first.email.as_deref(), first.family_name.as_deref()), (Some("a@one"), Some("Berg")));
    assert_eq!((first.user_name.as_str(), first.given_name.as_deref()), ("anna", None));
    assert_eq!(further(&first.attributes), further(&json!({"title": "Dr.", "office": "3"}).to_string()));
}

#[test]
fn the_name_is_the_login_unless_the_account_waits_for_it_or_has_the_name_too() {
    let known = row("anna");
    let name =
        |account: &Account, login: &str, other: &[&str]| named(&known, account, claimed(row(login), other)).user_name;
    assert_eq!(name(&account(None), "ada", &[]), "ada");
    assert_eq!(name(&account(None), "Anna", &[]), "Anna", "letter case follows");
    assert_eq!(name(&account(None), "ada", &["Anna"]), "anna", "it is another value of the login");
    assert_eq!(name(&account(Some("ada")), "ada", &[]), "anna", "somebody else has it");
    assert_eq!(name(&account(None), "", &[]), "anna", "no login");
}
