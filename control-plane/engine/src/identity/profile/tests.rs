//! What values a profile takes, and what a change makes of it.

use jiff::Timestamp;
use postern_store::{OrganizationId, UserId};
use serde_json::json;

use super::*;

fn user(own: Option<&str>) -> OwnedUser {
    let row = UserRow {
        id: UserId::new(),
        organization: OrganizationId::new(),
        user_name: "anna".to_owned(),
        name_key: "anna".to_owned(),
        given_name: Some("Anna".to_owned()),
        family_name: None,
        display_name: None,
        email: None,
        active: true,
        attributes: json!({"title": "Dr."}).to_string(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        missing_since: None,
    };
    OwnedUser { row, is_own: own.is_some(), own: own.map(str::to_owned), suspension: None }
}

#[test]
fn a_change_changes_the_user_and_what_the_organization_says() {
    let mut user = user(Some("{\"given_name\":\"Anna\",\"attributes\":{\"title\":\"Dr.\"}}"));
    let change = ProfileChange {
        user_name: Some("Ada".to_owned()),
        given_name: Some(None),
        email: Some(Some("ada@example.org".to_owned())),
        attributes: [("title".to_owned(), None), ("floor".to_owned(), Some(json!("3")))].into(),
        ..ProfileChange::default()
    };
    change.checked(&[]).unwrap().apply(&mut user).unwrap();
    assert_eq!((user.row.user_name.as_str(), user.row.name_key.as_str()), ("Ada", "ada"));
    assert_eq!((user.row.given_name.as_deref(), user.row.email.as_deref()), (None, Some("ada@example.org")));
    assert_eq!(user.row.attributes, json!({"floor": "3"}).to_string());
    let own: Value = serde_json::from_str(user.own.as_deref().unwrap()).unwrap();
    assert_eq!(own, json!({"email": "ada@example.org", "attributes": {"floor": "3"}}));
}

#[test]
fn nothing_of_its_own_is_left_when_all_is_taken_away() {
    let mut user = user(None);
    let set =
        |value: Option<&str>| ProfileChange { family_name: Some(value.map(str::to_owned)), ..ProfileChange::default() };
    set(Some("Berg")).apply(&mut user).unwrap();
    assert_eq!(user.own.as_deref(), Some("{\"family_name\":\"Berg\"}"));
    set(None).apply(&mut user).unwrap();
    assert_eq!((user.own, user.row.family_name), (None, None));
}

#[test]
fn wrong_values_are_named_with_their_field() {
    let named = |change: ProfileChange| change.checked(&[]).unwrap_err().remove(0).field;
    let name = |name: &str| ProfileChange { user_name: Some(name.to_owned()), ..ProfileChange::default() };
    let long = "x".repeat(257);
    for wrong in ["", " ", "a\nb", "a\0b", "\u{200b}", long.as_str()] {
        assert_eq!(named(name(wrong)), "user_name", "{wrong:?}");
    }
    assert_eq!(name(" anna ").checked(&[]).unwrap().user_name.as_deref(), Some("anna"));
    for wrong in ["anna", "anna@", "@example.org", "a b@example.org", "a@b@c"] {
        let change = ProfileChange { email: Some(Some(wrong.to_owned())), ..ProfileChange::default() };
        assert_eq!(named(change), "email", "{wrong}");
    }
    for (wrong, value) in [
        ("Title", json!("x")),
        ("", json!("x")),
        ("ti tle", json!("x")),
        ("title", json!("")),
        ("title", json!(7)),
        ("title", json!("x".repeat(5_000))),
    ] {
        let change = ProfileChange { attributes: [(wrong.to_owned(), Some(value))].into(), ..ProfileChange::default() };
        assert_eq!(named(change), format!("attributes.{wrong}"));
    }
}
