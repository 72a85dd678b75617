//! The users of a deleted directory: who was there may be joined, and who had left waits for an administrator.

use super::agent::hello;
use super::chunks::Written;
use super::matching::{World, named, user};
use super::soon;
use postern_engine::intake::resolve::Choice;
use postern_store::UserRow;

const OLD: &[(&str, &str)] = &[("mail", "old@x")];
const NEW: &[(&str, &str)] = &[("mail", "new@x")];

/// The directory `corp` with one user who has left, one who is off, and one who is there.
async fn corp(world: &mut World) -> [UserRow; 3] {
    let others = [named("cn=8", "xaver"), named("cn=9", "yves")];
    let there = user("cn=3", "there", OLD);
    let before = [user("cn=1", "gone", OLD), user("cn=2", "off", OLD), there];
    world.import("corp", &[&before[..], &others].concat()).await;
    let off = Written { enabled: false, ..user("cn=2", "off", OLD) };
    world.import("corp", &[&[off, there][..], &others].concat()).await;
    let users = [world.user("gone").await, world.user("off").await, world.user("there").await];
    assert_eq!([users[0].active, users[1].active, users[2].active], [false, false, true]);
    users
}

async fn delete(world: &World, directory: &str) {
    let id = world.directory(directory).await;
    world.site.store().delete_directory(world.site.organization, id, world.site.now()).await.unwrap();
}

const NEWCOMERS: [Written<'static>; 3] =
    [user("cn=a", "gone", NEW), user("cn=b", "off", NEW), user("cn=c", "there", NEW)];

#[tokio::test(flavor = "multi_thread")]
async fn who_had_left_a_deleted_directory_is_inherited_by_nobody_until_an_administrator_decides() {
    let mut world = World::new().await;
    let [gone, off, there] = corp(&mut world).await;
    delete(&world, "corp").await;
    let result = world.import("lab", &NEWCOMERS).await;
    assert_eq!((&result["joined"], &result["conflicts"]), (&1.into(), &2.into()), "{result}");
    let now = world.user("there").await;
    assert_eq!((now.id, now.email.as_deref(), now.active), (there.id, Some("new@x"), true));
    for before in [&gone, &off] {
        let after = world.user(&before.user_name).await;
        let inherited = (after.id, after.email.as_deref(), after.active);
        assert_eq!(inherited, (before.id, Some("old@x"), false), "nothing is inherited");
    }
    // The administrator says that the one is another person, and that the other is the same.
    for account in world.waiting("lab").await {
        let name = world.site.store().get_account(world.site.organization, account).await.unwrap().unwrap();
        let (choice, before) = match name.conflict.as_deref() {
            Some("gone") => (Choice::CreateUser, gone.id),
            _ => (Choice::Link, off.id),
        };
        let decided = world.decide(account, choice).await.unwrap();
        assert_eq!((decided.id == before, decided.active), (choice == Choice::Link, true));
    }
    let newcomer = world.user("gone").await;
    // The deleted directory comes back, and the one who left it comes back too.
    world.session = world.agent.connect(hello(&["corp", "lab"])).await.unwrap();
    soon(world.session.welcome()).await;
    let back = [user("cn=1", "gone", OLD), named("cn=8", "xaver"), named("cn=9", "yves"), user("cn=3", "there", OLD)];
    let result = world.import("corp", &back).await;
    assert_eq!(result["conflicts"], 1, "{result}");
    let waiting = world.waiting("corp").await;
    let account = world.site.store().get_account(world.site.organization, waiting[0]).await.unwrap().unwrap();
    assert_eq!(account.identity, Some(gone.id.as_uuid()), "the old account has its own user");
    assert_ne!(newcomer.id, gone.id);
    assert_eq!(world.user("gone").await.email.as_deref(), Some("new@x"), "the newcomer keeps the name");
    assert_eq!(world.user("there").await.id, there.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_about_somebody_who_left_goes_on_waiting_when_that_directory_is_deleted() {
    let mut world = World::new().await;
    let [gone, ..] = corp(&mut world).await;
    let newcomers = [user("cn=a", "gone", NEW), named("cn=d", "other")];
    let result = world.import("lab", &newcomers).await;
    assert_eq!(result["conflicts"], 1, "{result}");
    delete(&world, "corp").await;
    let result = world.import("lab", &newcomers).await;
    assert_eq!((&result["joined"], &result["conflicts"]), (&0.into(), &1.into()), "{result}");
    let after = world.user("gone").await;
    assert_eq!((after.id, after.email.as_deref(), after.active), (gone.id, Some("old@x"), false));
}
