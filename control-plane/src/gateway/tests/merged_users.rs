//! Users that an administrator merges and splits, and the imports after that.

use postern_engine::identity::profile::ProfileChange;
use postern_engine::services::change_users::Disabling;
use postern_engine::services::{Actor, Error};
use postern_store::AccountId;

use super::chunks::Written;
use super::matching::{World, named, user};

const CORP: &[(&str, &str)] = &[("mail", "anna@corp.example"), ("title", "Clerk")];
const LAB: &[(&str, &str)] = &[("mail", "a.berg@lab.example"), ("mobile", "5")];
const LATER: &[(&str, &str)] = &[("mail", "a.berg@lab.example"), ("mobile", "6")];

fn with(some: &[Written<'static>]) -> Vec<Written<'static>> {
    [some, &[named("cn=8", "xaver"), named("cn=9", "yves")]].concat()
}

impl World {
    /// The accounts of a user, by directory.
    async fn accounts(&self, name: &str) -> Vec<(AccountId, String)> {
        let user = self.user(name).await.id.as_uuid();
        let all = self.site.store().accounts_of(self.site.organization, user).await.unwrap();
        all.into_iter().map(|account| (account.id, account.target_name)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_users_are_one_for_every_later_import() {
    let mut world = World::new().await;
    let (services, actor) = (world.services(), Actor::machine(world.site.organization));
    world.import("corp", &with(&[user("cn=1", "anna", CORP)])).await;
    world.import("lab", &with(&[user("cn=a", "a.berg", LAB)])).await;
    let (anna, berg) = (world.user("anna").await, world.user("a.berg").await);
    let users = services.change_users(&actor).unwrap();
    let office =
        ProfileChange { attributes: [("office".to_owned(), Some("3".into()))].into(), ..ProfileChange::default() };
    users.change("a.berg", office, None).await.unwrap();
    users.disable("a.berg", Disabling::default(), None).await.unwrap();
    let changes = services.merge_users(&actor).unwrap();
    let shown = changes.merge("anna", "a.berg", None, true).await.unwrap();
    assert_eq!((shown.accounts.len(), shown.user.row.id, shown.merged.id), (1, anna.id, berg.id));
    assert!(!shown.user.row.active && shown.user.suspension.is_some(), "the stricter decision holds");
    assert_eq!(world.user("a.berg").await.id, berg.id, "a preview writes nothing");
    assert!(world.user("anna").await.active);

    changes.merge("anna", "a.berg", None, false).await.unwrap();
    let merged = world.user("anna").await;
    assert_eq!((merged.id, merged.email.as_deref(), merged.active), (anna.id, Some("anna@corp.example"), false));
    let further: serde_json::Value = serde_json::from_str(&merged.attributes).unwrap();
    assert_eq!(further, serde_json::json!({"title": "Clerk", "mobile_number": "5", "office": "3"}));
    let gone = services.users(&actor).unwrap().get(&berg.id.to_string()).await.unwrap_err();
    assert!(matches!(gone, Error::Merged { into, .. } if into == anna.id), "{gone:?}");
    let result = world.import("lab", &with(&[user("cn=a", "a.berg", LATER)])).await;
    assert_eq!(result["conflicts"], 0, "{result}");
    assert_eq!(world.accounts("anna").await.len(), 2);
    assert!(world.user("anna").await.attributes.contains("\"6\""));
    let stays = world.site.store().find_user(world.site.organization, "a.berg").await.unwrap();
    assert_eq!(stays, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_entries_of_one_directory_are_not_merged() {
    let mut world = World::new().await;
    let (services, actor) = (world.services(), Actor::machine(world.site.organization));
    world.import("corp", &with(&[user("cn=1", "anna", CORP), user("cn=2", "ada", CORP)])).await;
    let changes = services.merge_users(&actor).unwrap();
    for preview in [true, false] {
        let refused = changes.merge("anna", "ada", None, preview).await.unwrap_err();
        assert!(refused.to_string().contains("corp has both: cn=1 and cn=2"), "{refused}");
    }
    assert!(matches!(changes.merge("anna", "anna", None, false).await, Err(Error::Field { .. } | Error::Fields(_))));
    let stale = changes.merge("anna", "xaver", Some("\"x\""), false).await;
    assert!(matches!(stale, Err(Error::Outdated(_))), "{stale:?}");
    assert_ne!(world.user("anna").await.id, world.user("ada").await.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn split_accounts_stay_apart_in_every_later_import() {
    let mut world = World::new().await;
    let (services, actor) = (world.services(), Actor::machine(world.site.organization));
    world.import("corp", &with(&[user("cn=1", "anna", CORP)])).await;
    world.import("lab", &with(&[user("cn=a", "anna", LAB)])).await;
    let anna = world.user("anna").await;
    let accounts = world.accounts("anna").await;
    let of_lab = accounts.iter().find(|(_, directory)| directory == "lab").unwrap().0;
    let changes = services.merge_users(&actor).unwrap();
    let every: Vec<AccountId> = accounts.iter().map(|(id, _)| *id).collect();
    for (wrong, name) in [(&[][..], "anna2"), (&every, "anna2"), (&[AccountId::new()], "anna2"), (&[of_lab], " ")] {
        let refused = changes.split("anna", (wrong, name), None, false).await;
        assert!(matches!(refused, Err(Error::Field { .. } | Error::Fields(_))), "{wrong:?} {name:?}: {refused:?}");
    }
    let taken = changes.split("anna", (&[of_lab], "xaver"), None, false).await;
    assert!(matches!(taken, Err(Error::Conflict(_))), "{taken:?}");
    let shown = changes.split("anna", (&[of_lab], "anna2"), None, true).await.unwrap();
    assert_eq!((shown.accounts.len(), shown.new_user.row.user_name.as_str()), (1, "anna2"));
    assert_eq!(world.accounts("anna").await.len(), 2, "a preview writes nothing");

    changes.split("anna", (&[of_lab], "anna2"), None, false).await.unwrap();
    let new = world.user("anna2").await;
    assert_eq!((new.email.as_deref(), new.active), (Some("a.berg@lab.example"), true));
    let kept = world.user("anna").await;
    assert_eq!((kept.id, kept.email.as_deref()), (anna.id, Some("anna@corp.example")));
    assert!(!kept.attributes.contains("mobile"), "lab fills nothing any more: {}", kept.attributes);
    for attributes in [LAB, LATER, LATER] {
        world.import("lab", &with(&[user("cn=a", "anna", attributes)])).await;
        world.import("corp", &with(&[user("cn=1", "anna", CORP)])).await;
        assert_eq!(world.accounts("anna2").await, [(of_lab, "lab".to_owned())]);
        assert_eq!(world.accounts("anna").await.len(), 1);
    }
    // Its entry leaves and comes back.
    world.import("lab", &with(&[])).await;
    world.import("lab", &with(&[user("cn=a", "anna", LATER)])).await;
    assert_eq!(world.accounts("anna2").await, [(of_lab, "lab".to_owned())]);
}
