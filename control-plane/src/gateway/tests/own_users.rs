//! Users whom the organization made, and whom a directory has for a while.

use postern_engine::identity::profile::ProfileChange;
use postern_engine::services::Actor;
use serde_json::Value;

use super::chunks::Written;
use super::matching::{World, named, user};

const CORP: &[(&str, &str)] = &[("mail", "anna@corp.example"), ("title", "Clerk"), ("sn", "Berg")];

fn with(some: &[Written<'static>]) -> Vec<Written<'static>> {
    [some, &[named("cn=8", "xaver"), named("cn=9", "yves")]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_organization_said_is_true_again_when_no_directory_has_the_user_any_more() {
    let mut world = World::new().await;
    let (services, actor) = (world.services(), Actor::machine(world.site.organization));
    let own = ProfileChange {
        user_name: Some("anna".to_owned()),
        email: Some(Some("anna@own.example".to_owned())),
        attributes: [("office".to_owned(), Some("3".into())), ("title".to_owned(), Some("Dr.".into()))].into(),
        ..ProfileChange::default()
    };
    services.change_users(&actor).unwrap().create(own).await.unwrap();
    let result = world.import("corp", &with(&[user("cn=1", "anna", CORP)])).await;
    assert_eq!((&result["joined"], &result["joined_samples"][0]["own"]), (&1.into(), &true.into()), "{result}");
    let title =
        |user: &postern_store::UserRow| serde_json::from_str::<Value>(&user.attributes).unwrap()["title"].clone();
    let there = world.user("anna").await;
    assert_eq!((there.email.as_deref(), title(&there)), (Some("anna@corp.example"), "Clerk".into()));
    world.import("corp", &with(&[])).await;
    let gone = world.user("anna").await;
    assert_eq!((gone.id, gone.email.as_deref(), title(&gone)), (there.id, Some("anna@own.example"), "Dr.".into()));
    assert_eq!(gone.family_name.as_deref(), Some("Berg"), "the organization has said nothing else of it");
    assert!(gone.missing_since.is_some() && !gone.active, "who is gone is not active");
    // The entry comes back: the directory's values come first again.
    world.import("corp", &with(&[user("cn=1", "anna", CORP)])).await;
    let back = world.user("anna").await;
    assert_eq!((back.id, back.email.as_deref(), title(&back)), (there.id, Some("anna@corp.example"), "Clerk".into()));
}
