//! Users that several directories have: whose values they get, and what a change of the order of directories does.

use postern_engine::services::Actor;
use postern_engine::services::terms::Terms;
use postern_store::UserRow;
use serde_json::Value;

use super::agent::hello;
use super::chunks::Written;
use super::matching::{World, named, user};
use super::soon;

const CORP: &[(&str, &str)] = &[("mail", "anna@corp.example"), ("title", "Clerk")];
const LATER: &[(&str, &str)] = &[("mail", "other@lab.example"), ("mobile", "6"), ("sn", "Berg")];
const LAB: &[(&str, &str)] = &[("mail", "anna@lab.example"), ("mobile", "5"), ("sn", "Berg")];

impl World {
    /// Puts a directory first, and waits until the users follow.
    async fn order(&self, first: &str) {
        let (services, actor) = (self.services(), Actor::machine(self.site.organization));
        services.change_directory_order(&actor).unwrap().set(&[first.to_owned()], Terms::default()).await.unwrap();
        self.order_is_applied().await;
    }

    /// Waits until the users follow the order of directories.
    pub(super) async fn order_is_applied(&self) {
        let (services, actor) = (self.services(), Actor::machine(self.site.organization));
        soon(async {
            while !services.directory_order(&actor).unwrap().get().await.unwrap().applied {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// The directories that say the fields of a user.
    async fn source(&self, name: &str, field: &str) -> Option<String> {
        let (services, actor) = (self.services(), Actor::machine(self.site.organization));
        let detail = services.users(&actor).unwrap().get(name).await.unwrap();
        detail.sources.directory_of(field).map(str::to_owned)
    }

    /// Waits until the user fits.
    async fn becomes(&self, name: &str, fits: impl Fn(&UserRow) -> bool) -> UserRow {
        soon(async {
            loop {
                let user = self.user(name).await;
                if fits(&user) {
                    return user;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

fn with(some: &[Written<'static>]) -> Vec<Written<'static>> {
    [some, &[named("cn=8", "xaver"), named("cn=9", "yves")]].concat()
}

fn further(user: &UserRow, name: &str) -> Value {
    serde_json::from_str::<Value>(&user.attributes).unwrap()[name].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_comes_from_the_first_directory_that_has_one() {
    let mut world = World::new().await;
    world.import("corp", &with(&[user("cn=1", "anna", CORP)])).await;
    world.import("lab", &with(&[user("cn=a", "anna", LAB)])).await;
    let anna = world.user("anna").await;
    assert_eq!((anna.email.as_deref(), anna.family_name.as_deref()), (Some("anna@corp.example"), Some("Berg")));
    assert_eq!((further(&anna, "title"), further(&anna, "mobile_number")), ("Clerk".into(), "5".into()));
    let sources = [world.source("anna", "email").await, world.source("anna", "attributes.mobile_number").await];
    assert_eq!(sources, [Some("corp".to_owned()), Some("lab".to_owned())]);
    // The second directory changes a value that counts and one that does not.
    world.import("lab", &with(&[user("cn=a", "anna", LATER)])).await;
    let anna = world.user("anna").await;
    assert_eq!((anna.email.as_deref(), further(&anna, "mobile_number")), (Some("anna@corp.example"), "6".into()));
    // The first one loses a value: the second fills it.
    world.import("corp", &with(&[user("cn=1", "anna", &[("title", "Clerk")])])).await;
    let anna = world.user("anna").await;
    assert_eq!((anna.email.as_deref(), further(&anna, "mobile_number")), (Some("other@lab.example"), "6".into()));
    // The second one is gone: so are its values.
    world.import("lab", &with(&[])).await;
    let anna = world.user("anna").await;
    assert_eq!((anna.email.as_deref(), anna.family_name.as_deref()), (None, None));
    assert_eq!((further(&anna, "title"), further(&anna, "mobile_number")), ("Clerk".into(), Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_directory_gives_way_and_provides_profiles_again_when_it_returns() {
    let mut world = World::new().await;
    world.import("corp", &with(&[user("cn=1", "anna", CORP)])).await;
    world.import("lab", &with(&[user("cn=a", "anna", LAB)])).await;
    let corp = world.directory("corp").await;
    world.site.store().delete_directory(world.site.organization, corp, world.site.now()).await.unwrap();
    let anna = world.becomes("anna", |anna| anna.email.as_deref() == Some("anna@lab.example")).await;
    assert_eq!(further(&anna, "title"), Value::Null);
    world.session = world.agent.connect(hello(&["corp", "lab"])).await.unwrap();
    soon(world.session.welcome()).await;
    let anna = world.becomes("anna", |anna| anna.email.as_deref() == Some("anna@corp.example")).await;
    assert_eq!((further(&anna, "title"), further(&anna, "mobile_number")), ("Clerk".into(), "5".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_maps_users_of_several_directories_anew_without_an_import() {
    let mut world = World::new().await;
    world.import("corp", &with(&[user("cn=1", "anna", CORP), user("cn=2", "bert", CORP)])).await;
    world.import("lab", &with(&[user("cn=a", "Anna", LAB)])).await;
    world.order("lab").await;
    let anna = world.user("anna").await;
    assert_eq!((anna.user_name.as_str(), anna.email.as_deref()), ("Anna", Some("anna@lab.example")));
    assert_eq!((further(&anna, "title"), further(&anna, "mobile_number")), ("Clerk".into(), "5".into()));
    assert_eq!(world.user("bert").await.email.as_deref(), Some("anna@corp.example"), "only corp has him");
    // Imports follow the order: corp changes nothing that lab says, and is the next when lab has lost the account.
    world.import("corp", &with(&[user("cn=1", "anna", LATER), user("cn=2", "bert", CORP)])).await;
    let anna = world.user("anna").await;
    assert_eq!((anna.email.as_deref(), further(&anna, "mobile_number")), (Some("anna@lab.example"), "5".into()));
    world.import("lab", &with(&[])).await;
    let anna = world.user("anna").await;
    assert_eq!((anna.user_name.as_str(), anna.email.as_deref()), ("anna", Some("other@lab.example")));
    assert_eq!(further(&anna, "mobile_number"), "6");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_organization_says_stays_where_no_directory_says_something() {
    let mut world = World::new().await;
    world.import("corp", &with(&[user("cn=1", "anna", CORP)])).await;
    world.import("lab", &with(&[user("cn=a", "anna", LAB)])).await;
    let (services, actor) = (world.services(), Actor::machine(world.site.organization));
    let office = postern_engine::identity::profile::ProfileChange {
        attributes: [("office".to_owned(), Some("3".into()))].into(),
        ..Default::default()
    };
    services.change_users(&actor).unwrap().change("anna", office, None).await.unwrap();
    let phone = postern_engine::identity::profile::ProfileChange {
        attributes: [("mobile_number".to_owned(), Some("7".into()))].into(),
        ..Default::default()
    };
    let refused = services.change_users(&actor).unwrap().change("anna", phone, None).await.unwrap_err();
    assert!(refused.to_string().contains("comes from the directory lab"), "{refused}");
    world.order("lab").await;
    world.import("lab", &with(&[user("cn=a", "anna", LATER)])).await;
    let anna = world.user("anna").await;
    assert_eq!((further(&anna, "office"), further(&anna, "mobile_number")), ("3".into(), "6".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_somebody_has_waits_when_its_directory_becomes_the_first() {
    let mut world = World::new().await;
    let people = [user("cn=1", "anna", CORP), user("cn=2", "ada", CORP)];
    world.import("corp", &with(&people)).await;
    world.import("lab", &with(&[user("cn=a", "anna", LAB)])).await;
    let anna = world.user("anna").await;
    // In lab she becomes ada: lab comes second, so nothing is asked.
    world.import("lab", &with(&[user("cn=a", "ada", LAB)])).await;
    assert_eq!(world.user("anna").await.id, anna.id);
    world.order("lab").await;
    let now = world.user("anna").await;
    assert_eq!((now.id, now.email.as_deref()), (anna.id, Some("anna@lab.example")));
    assert_eq!(world.waiting("lab").await.len(), 1, "the account waits for the name ada");
    // The other one gets another login: the name is free.
    world.import("corp", &with(&[people[0], user("cn=2", "adele", CORP)])).await;
    world.import("lab", &with(&[user("cn=a", "ada", LAB)])).await;
    assert_eq!((world.user("ada").await.id, world.waiting("lab").await.len()), (anna.id, 0));
}
