//! Imports beside groups of the organization's own.

use postern_store::{GroupId, GroupRow, IdentityId, PageRequest};

use super::matching::{World, group, named};

async fn groups(world: &World) -> Vec<GroupRow> {
    world.site.store().list_groups(world.site.organization, None, &PageRequest::first(10)).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_leaves_a_group_of_the_organization_alone_whatever_its_name_is() {
    let mut world = World::new().await;
    let members: &[&str] = &["uid=anna"];
    let entries = |id: &'static str, name: &'static [(&'static str, &'static str)]| {
        [named("cn=1", "anna"), group(id, "cn=staff", name, members)]
    };
    let (staff, renamed) = (&[("cn", "staff")], &[("cn", "team")]);
    world.import("corp", &[named("cn=1", "anna")]).await;
    let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let organization = world.site.organization;
    let mine = |name: &str| GroupRow {
        id: GroupId::new(),
        organization,
        display_name: name.to_owned(),
        description: Some("by hand".to_owned()),
        created_at: now,
        updated_at: now,
        missing_since: None,
    };
    let own = [mine("Staff"), mine("team")];
    let anna = IdentityId::User(world.user("anna").await.id);
    let mut tx = world.site.store().begin_identities(organization, now).await.unwrap();
    tx.insert_groups(own.to_vec()).await.unwrap();
    tx.add_members(&[(own[0].id, anna), (own[1].id, anna)]).await.unwrap();
    tx.commit().await.unwrap();
    // The group comes with the name of an own one, is deleted and made anew, gets another such name, and leaves.
    for entries in [
        &entries("cn=g1", staff)[..],
        &entries("cn=g2", staff)[..],
        &entries("cn=g2", renamed)[..],
        &[named("cn=1", "anna")][..],
        &entries("cn=g3", renamed)[..],
    ] {
        world.import("corp", entries).await;
        let found = groups(&world).await;
        for group in &own {
            assert!(found.contains(group), "{entries:?}: {found:?}");
            let members = world.site.store().list_group_members(organization, group.id, &PageRequest::first(9)).await;
            let members = members.unwrap().items;
            assert_eq!((members.len(), &members[0].key), (1, &None), "{entries:?}");
        }
    }
    assert!(groups(&world).await.len() > own.len(), "the directory's groups are groups of their own");
}
