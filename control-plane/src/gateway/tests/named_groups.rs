//! Groups that users name in an attribute such as `memberOf`: made from its values, and never emptied by a partial view.

use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_store::{GroupRow, Job, JobState, PageRequest};
use serde_json::Value;

use super::chunks::Chunk;
use super::matching::{World, group, named};

/// A user: external id, DN, and the groups that the entry names.
type Person<'p> = (&'p str, &'p str, &'p [&'p str]);

/// An import of these users.
fn people(people: &[Person<'_>]) -> Vec<Chunk> {
    let mut writer = ChunkWriter::new(MemberForm::GroupNames);
    for (id, dn, groups) in people {
        let mut entry = writer.entry(Kind::User, id, dn, Some(id));
        entry.attribute("uid", [id.as_bytes()]);
        groups.iter().for_each(|group| entry.member(group.as_bytes()));
        entry.switch(Switch::On);
        entry.finish();
    }
    let digest = writer.digest();
    vec![Chunk { users: people.len() as u64, groups: 0, digest, payload: writer.finish() }]
}

async fn ended(world: &mut World, chunks: &[Chunk], state: JobState) -> Job {
    let job = world.site.import_of("corp", &world.agent, &mut world.session, chunks).await;
    world.site.wait_for(job, state).await
}

async fn done(world: &mut World, some: &[Person<'_>]) -> Value {
    ended(world, &people(some), JobState::Succeeded).await.result.unwrap()
}

async fn groups(world: &World) -> Vec<GroupRow> {
    let page = PageRequest::first(100);
    world.site.store().list_groups(world.site.organization, None, &page).await.unwrap().items
}

async fn names(world: &World) -> Vec<String> {
    groups(world).await.into_iter().map(|group| group.display_name).collect()
}

async fn members(world: &World, name: &str) -> Vec<String> {
    let mut members = world.members(name).await;
    members.sort_unstable();
    members
}

const SALES: &str = "cn=Sales,ou=groups,dc=x";

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_made_from_what_users_name_and_memberships_follow_each_import() {
    let mut world = World::new().await;
    let sales_again = "CN=sales, OU=Groups,DC=x";
    let result = done(&mut world, &[("ada", "cn=ada", &[SALES, "Staff"]), ("bob", "cn=bob", &[sales_again])]).await;
    assert_eq!(result["members_unresolved"], 0, "{result}");
    assert_eq!(names(&world).await, ["Sales", "Staff"]);
    assert_eq!(
        (members(&world, "Sales").await, members(&world, "Staff").await),
        (vec!["ada".to_owned(), "bob".to_owned()], vec!["ada".to_owned()])
    );
    // Ada leaves one group and joins another, and is renamed.
    done(&mut world, &[("ada", "cn=adele", &["Staff", "New"]), ("bob", "cn=bob", &[SALES])]).await;
    assert_eq!(
        (members(&world, "Sales").await, members(&world, "New").await),
        (vec!["bob".to_owned()], vec!["ada".to_owned()])
    );
    let before = groups(&world).await;
    // A group that nobody names is kept, empty, and is not missing.
    done(&mut world, &[("ada", "cn=adele", &["Staff", "New"]), ("bob", "cn=bob", &[])]).await;
    assert!(members(&world, "Sales").await.is_empty());
    let after = groups(&world).await;
    assert!(after.iter().all(|group| group.missing_since.is_none()), "{after:?}");
    let ids = |groups: &[GroupRow]| groups.iter().map(|group| group.id).collect::<Vec<_>>();
    assert_eq!(ids(&after), ids(&before));
    done(&mut world, &[("ada", "cn=adele", &["Staff", "New", SALES]), ("bob", "cn=bob", &[])]).await;
    assert_eq!((members(&world, "Sales").await, ids(&groups(&world).await)), (vec!["ada".to_owned()], ids(&before)));
    let result = done(&mut world, &[("ada", "cn=adele", &["Staff", "New", SALES]), ("bob", "cn=bob", &[])]).await;
    assert_eq!(result["updated"], 0, "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_in_two_containers_is_two_groups() {
    let mut world = World::new().await;
    let (here, there) = ("cn=team,ou=here,dc=x", "cn=team,ou=there,dc=x");
    done(&mut world, &[("ada", "cn=ada", &[here]), ("bob", "cn=bob", &[there]), ("eve", "cn=eve", &[here, there])])
        .await;
    let (store, organization) = (world.site.store(), world.site.organization);
    let mut sizes = Vec::new();
    for team in groups(&world).await {
        assert_eq!(team.display_name, "team");
        sizes.push(store.list_group_members(organization, team.id, &PageRequest::first(10)).await.unwrap().items.len());
    }
    assert_eq!(sizes, [2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_do_not_come_or_whose_entries_wait_keep_their_groups() {
    let mut world = World::new().await;
    let ids: Vec<String> = (0..40).map(|number| format!("user{number:02}")).collect();
    let all = |groups: &'static [&'static str]| {
        ids.iter().map(move |id| (id.as_str(), id.as_str(), groups)).collect::<Vec<Person<'_>>>()
    };
    done(&mut world, &all(&["Staff"])).await;
    assert_eq!(members(&world, "Staff").await.len(), 40);
    // Some do not come, and are marked missing.
    done(&mut world, &all(&["Staff"])[..38]).await;
    assert_eq!(members(&world, "Staff").await.len(), 40);
    // The attribute is hidden from the agent.
    for _ in 0..2 {
        let job = ended(&mut world, &people(&all(&[])), JobState::Held).await;
        let reasons = &job.hold.as_ref().unwrap()["reasons"];
        assert_eq!((&reasons[0]["kind"], &reasons[0]["count"]), (&"removed".into(), &40.into()), "{reasons}");
        assert_eq!(members(&world, "Staff").await.len(), 40);
        world.site.store().reject_job(world.site.organization, job.id, "test", None, world.site.now()).await.unwrap();
    }
    done(&mut world, &all(&["Staff"])).await;
    assert_eq!(members(&world, "Staff").await.len(), 40);
    let job = ended(&mut world, &people(&all(&[])), JobState::Held).await;
    world.site.store().approve_job(world.site.organization, job.id, "test", world.site.now()).await.unwrap();
    let result = world.site.wait_for(job.id, JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["members_removed"], 40, "{result}");
    assert!(members(&world, "Staff").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_members_have_pages_and_totals() {
    let mut world = World::new().await;
    let ids: Vec<String> = (0..700).map(|number| format!("user{number:03}")).collect();
    let all: Vec<Person<'_>> = ids.iter().map(|id| (id.as_str(), id.as_str(), ["Staff"].as_slice())).collect();
    done(&mut world, &all).await;
    let (store, organization) = (world.site.store(), world.site.organization);
    let staff = groups(&world).await.remove(0);
    for limit in [3, 100, 500] {
        let (mut found, mut page) = (Vec::new(), PageRequest::first(limit));
        loop {
            let part = store.list_group_members(organization, staff.id, &page).await.unwrap();
            assert!(part.next.is_none() || part.items.len() == limit as usize);
            found.extend(part.items.into_iter().filter_map(|member| member.identity));
            let Some(next) = part.next else { break };
            page = PageRequest::after(next, limit);
        }
        assert_eq!(found.len(), 700, "{limit}");
    }
    let total = store.total_group_members(organization, staff.id).await.unwrap();
    assert_eq!((total.count, total.more), (700, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_setting_is_held_and_neither_deletes_groups_nor_takes_memberships() {
    let mut world = World::new().await;
    let (ada, bob) = (named("ada", "ada"), named("bob", "bob"));
    let entries = [
        group("g1", "cn=Sales,dc=x", &[("cn", "Sales")], &["ada", "bob"]),
        group("g2", "cn=Old,dc=x", &[("cn", "Old")], &["bob"]),
    ];
    world.import("corp", &[ada, bob, entries[0], entries[1]]).await;
    let before = groups(&world).await;
    let both = || vec!["ada".to_owned(), "bob".to_owned()];
    let by_users: &[Person<'_>] = &[("ada", "ada", &["cn=Sales,dc=x"]), ("bob", "bob", &["cn=Sales,dc=x"])];
    for _ in 0..2 {
        let job = ended(&mut world, &people(by_users), JobState::Held).await;
        // Until the decision, the groups that were entries have their members beside the new one.
        let old = before.iter().find(|group| group.display_name == "Sales").unwrap();
        let page = PageRequest::first(10);
        let found = world.site.store().list_group_members(world.site.organization, old.id, &page).await.unwrap();
        assert_eq!(found.items.iter().filter(|member| member.identity.is_some()).count(), 2);
        assert_eq!(members(&world, "Old").await, ["bob"]);
        world.site.store().reject_job(world.site.organization, job.id, "test", None, world.site.now()).await.unwrap();
    }
    let job = ended(&mut world, &people(by_users), JobState::Held).await;
    world.site.store().approve_job(world.site.organization, job.id, "test", world.site.now()).await.unwrap();
    world.site.wait_for(job.id, JobState::Succeeded).await;
    let after = groups(&world).await;
    let of = |groups: &[GroupRow], name: &str| {
        groups
            .iter()
            .filter(|group| group.display_name == name)
            .map(|group| (group.id, group.missing_since.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&after, "Sales"), of(&before, "Sales"), "the group of the same name goes on");
    assert_eq!(of(&after, "Old"), [(of(&before, "Old")[0].0, true)], "kept, and missing");
    assert_eq!(members(&world, "Sales").await, both());
}
