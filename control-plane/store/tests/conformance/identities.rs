//! Users, groups, and the members of groups.

use std::time::{Duration, Instant};

use crate::support::world::{World, account_of, all, at, content, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, AnnouncedDirectory, ExternalKey, Flavour, GroupId, GroupRow, JobId, MemberForm, MemberIdentity,
    MemberStats, NewAccount, PageRequest, UserRow, fold,
};

conformance! {
    users_are_sought_by_prefix_in_three_ways,
    a_search_pages_through_all_three_ways,
    users_and_groups_list_by_name,
    members_are_written_as_differences,
    members_are_resolved_nested_and_unresolved,
    members_without_a_user_are_not_outside_of_the_scope,
    a_renamed_account_is_found_under_its_new_name,
    a_recreated_entry_replaces_the_missing_one,
    members_by_unique_value,
    ten_thousand_members_page_evenly,
    names_are_exchanged_in_one_transaction,
    a_conflict_names_the_holder_wherever_it_is,
}

async fn replace(world: &World, group: GroupId, keys: &[String]) -> u64 {
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    let changes = tx.replace_members(vec![(group, keys.to_vec())]).await.unwrap();
    tx.commit().await.unwrap();
    changes
}

async fn resolve(world: &World, form: MemberForm) -> MemberStats {
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
    tx.set_member_form(form, postern_store::fold).await.unwrap();
    tx.commit().await.unwrap();
    world.store.count_members(world.org(), world.directory.id).await.unwrap()
}

fn known(resolved: u64, unresolved: u64) -> MemberStats {
    MemberStats { resolved, unresolved, ..MemberStats::default() }
}

/// The members with a user or group, as `user:name` or `group:name`.
async fn names(world: &World, group: GroupId) -> Vec<String> {
    let members = world.store.list_group_members(world.org(), group, &all()).await.unwrap().items;
    let mut names: Vec<_> = members
        .into_iter()
        .filter_map(|member| {
            Some(match member.identity? {
                MemberIdentity::User { user_name, .. } => format!("user:{user_name}"),
                MemberIdentity::Group { display_name, .. } => format!("group:{display_name}"),
            })
        })
        .collect();
    names.sort_unstable();
    names
}

async fn users_are_sought_by_prefix_in_three_ways(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let mut people = [world.person("Ärmel"), world.person("bert"), world.person("cleo"), world.person("dora")];
    people[1].0.display_name = Some("Ärger 100% _x".to_owned());
    people[2].0.email = Some("ÄRA@corp.example".to_owned());
    people[3].0.display_name = None;
    people[3].0.email = None;
    world.import(&people, &[]).await;
    let found = async |query: &str| -> Vec<String> {
        let page = store.list_users(world.org(), Some(query), &all()).await.unwrap();
        page.items.into_iter().map(|user| user.user_name).collect()
    };
    assert_eq!(found("är").await, ["Ärmel", "bert", "cleo"]);
    assert_eq!(found("ÄRM").await, ["Ärmel"]);
    assert_eq!(found(" ärger 100% _").await, ["bert"]);
    assert_eq!(found("%").await, [] as [&str; 0]);
    assert_eq!(found("ä_").await, [] as [&str; 0]);
    assert_eq!(found("dora").await, ["dora"]);
    assert_eq!(found("").await.len(), 4);
    // An address that begins with the user's name is found by any beginning.
    for query in ["dora2", "DORA2@", "dora2@corp.ex", "dora2@corp.example"] {
        assert_eq!(found(query).await, [] as [&str; 0], "{query}");
    }
    let mut dora = world.person("dora2");
    dora.0.email = Some("Dora2@Corp.example".to_owned());
    let mut address = world.person("emil@corp.example");
    address.0.email = Some("Emil@corp.example".to_owned());
    world.import(&[dora, address], &[]).await;
    for query in ["dora2", "DORA2@", "dora2@corp.ex", "dora2@corp.example"] {
        assert_eq!(found(query).await, ["dora2"], "{query}");
    }
    assert_eq!(found("dora2@other").await, [] as [&str; 0]);
    assert_eq!(found("emil@co").await, ["emil@corp.example"], "once, and by its name");
    assert_eq!(store.find_user(world.org(), "äRMEL").await.unwrap().unwrap().id, people[0].0.id);
}

async fn a_search_pages_through_all_three_ways(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let mut people: Vec<_> = (0..30).map(|number| world.person(&format!("user{number:02}"))).collect();
    for (number, (user, _)) in people.iter_mut().enumerate() {
        match number % 3 {
            0 => user.name_key = fold(&format!("match {number:02}")),
            1 => user.display_name = Some("Match".to_owned()),
            _ => user.email = Some("match@corp.example".to_owned()),
        }
        user.user_name = user.name_key.clone();
    }
    people[0].0.display_name = Some("Match too".to_owned());
    people[1].0.email = Some("match@corp.example".to_owned());
    world.import(&people, &[]).await;
    for limit in [1, 4, 7, 100] {
        let (mut seen, mut page) = (Vec::new(), PageRequest::first(limit));
        loop {
            let found = store.list_users(world.org(), Some("MATCH"), &page).await.unwrap();
            assert!(!found.items.is_empty());
            seen.extend(found.items.into_iter().map(|user| user.id));
            let Some(next) = found.next else { break };
            page = PageRequest::after(next, limit);
        }
        assert_eq!(seen.len(), 30, "with {limit} at a time");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 30, "nobody comes twice");
    }
}

async fn users_and_groups_list_by_name(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people = [world.person("Zoe"), world.person("anna"), world.person("Bert")];
    let teams = [world.team("Sales"), world.team("admins"), world.team("sales")];
    world.import(&people, &teams).await;
    let users = store.list_users(world.org(), None, &PageRequest::first(2)).await.unwrap();
    assert_eq!(users.items.iter().map(|user| user.user_name.as_str()).collect::<Vec<_>>(), ["anna", "Bert"]);
    let users = store.list_users(world.org(), None, &PageRequest::after(users.next.unwrap(), 2)).await.unwrap();
    assert_eq!((users.items[0].user_name.as_str(), users.items.len(), users.next), ("Zoe", 1, None));
    let groups = store.list_groups(world.org(), None, &PageRequest::first(2)).await.unwrap();
    assert_eq!(groups.items, [teams[1].0.clone(), teams[0].0.clone()]);
    let groups = store.list_groups(world.org(), None, &PageRequest::after(groups.next.unwrap(), 2)).await.unwrap();
    assert_eq!(groups.items, [teams[2].0.clone()]);
    let groups = store.list_groups(world.org(), Some("SAL"), &all()).await.unwrap();
    assert_eq!(groups.items.len(), 2);
    let changed = GroupRow { description: Some("All of sales".to_owned()), updated_at: at(9), ..teams[0].0.clone() };
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(9)).await.unwrap();
    tx.identities().update_groups(vec![changed.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.get_group(world.org(), changed.id).await.unwrap(), Some(changed));
}

async fn members_are_written_as_differences(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let team = world.team("staff");
    world.import(&[], std::slice::from_ref(&team)).await;
    let keys: Vec<String> = (0..200).map(|number| dn_key(&format!("user{number:03}"))).collect();
    assert_eq!(replace(&world, team.0.id, &keys).await, 200);
    assert_eq!(replace(&world, team.0.id, &keys).await, 0);
    let mut twice = keys[5..].to_vec();
    twice.push(dn_key("new"));
    twice.push(dn_key("new"));
    assert_eq!(replace(&world, team.0.id, &twice).await, 6);
    let members = store.list_group_members(world.org(), team.0.id, &all()).await.unwrap().items;
    assert_eq!(members.len(), 196);
    assert!(members.iter().all(|member| member.identity.is_none()));
    assert_eq!(replace(&world, team.0.id, &[]).await, 196);
}

async fn members_without_a_user_are_not_outside_of_the_scope(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let teams = [world.team("all"), world.team("staff")];
    world.import(&[world.person("anna")], &teams).await;
    let nobody = |name: &str| account_of(AccountKind::User, name, None);
    let gone = nobody("gone");
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    // Of two entries with one DN, the one with a user is meant if the other waits for the user's name: it was made anew.
    let anew = NewAccount { conflict: Some("anna".to_owned()), ..nobody("anna") };
    let twins = vec![
        nobody("bert"),
        nobody("cleo"),
        NewAccount { external_key: ExternalKey::from_text("x"), ..anew },
        gone.clone(),
    ];
    tx.insert_accounts(twins).await.unwrap();
    tx.mark_missing(JobId::new(), &[gone.id]).await.unwrap();
    tx.commit().await.unwrap();
    replace(&world, teams[0].0.id, &["anna", "bert", "cleo", "outside", "gone"].map(dn_key)).await;
    replace(&world, teams[1].0.id, &["bert", "late"].map(dn_key)).await;
    let stats = resolve(&world, MemberForm::Dn).await;
    assert_eq!(stats, MemberStats { resolved: 1, unresolved: 3, shared: 0, without_user: 3 });
    let unresolved = store.unresolved_members(world.org(), world.directory.id, 10).await.unwrap();
    let mut keys: Vec<_> = unresolved.into_iter().map(|member| member.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["gone", "late", "outside"].map(dn_key));
}

async fn members_are_resolved_nested_and_unresolved(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people = [world.person("anna"), world.person("bert")];
    let teams = [world.team("all"), world.team("staff")];
    world.import(&people, &teams).await;
    let (everyone, staff) = (teams[0].0.id, teams[1].0.id);
    replace(&world, everyone, &[dn_key("staff"), dn_key("bert"), dn_key("outside")]).await;
    replace(&world, staff, &[dn_key("anna"), dn_key("late")]).await;
    let stats = resolve(&world, MemberForm::Dn).await;
    assert_eq!(stats, known(3, 2));
    assert_eq!(names(&world, everyone).await, ["group:staff", "user:bert"]);
    assert_eq!(names(&world, staff).await, ["user:anna"]);
    let unresolved = store.unresolved_members(world.org(), world.directory.id, 10).await.unwrap();
    let mut keys: Vec<_> = unresolved.iter().map(|member| (member.group_name.as_str(), member.key.clone())).collect();
    keys.sort_unstable();
    assert_eq!(keys, [("all", dn_key("outside")), ("staff", dn_key("late"))]);
    assert_eq!(store.unresolved_members(world.org(), world.directory.id, 1).await.unwrap().len(), 1);
    let groups = store.groups_of(world.org(), people[0].0.id.as_uuid(), &all()).await.unwrap().items;
    assert_eq!(groups, [teams[1].0.clone()]);
    let groups = store.groups_of(world.org(), staff.as_uuid(), &all()).await.unwrap().items;
    assert_eq!(groups, [teams[0].0.clone()]);

    world.import(&[world.person("late")], &[]).await;
    assert_eq!(resolve(&world, MemberForm::Dn).await, known(4, 1));
    // Members of another directory with the same names are different.
    let other = World::new(store, "two").await;
    assert_eq!(resolve(&other, MemberForm::Dn).await, MemberStats::default());
}

async fn a_renamed_account_is_found_under_its_new_name(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (person, team) = (world.person("anna"), world.team("staff"));
    world.import(std::slice::from_ref(&person), std::slice::from_ref(&team)).await;
    replace(&world, team.0.id, &[dn_key("anna"), dn_key("anna married")]).await;
    assert_eq!(resolve(&world, MemberForm::Dn).await, known(1, 1));
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(3)).await.unwrap();
    let renamed = NewAccount { dn_key: dn_key("anna married"), hash: content("renamed"), ..person.1.clone() };
    tx.update_accounts(vec![renamed]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(resolve(&world, MemberForm::Dn).await, known(1, 1));
    let unresolved = store.unresolved_members(world.org(), world.directory.id, 10).await.unwrap();
    assert_eq!(unresolved[0].key, dn_key("anna"), "nobody has the old name any more");
    assert_eq!(names(&world, team.0.id).await, ["user:anna"]);
}

async fn a_recreated_entry_replaces_the_missing_one(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (old, team) = (world.person("anna"), world.team("staff"));
    world.import(std::slice::from_ref(&old), std::slice::from_ref(&team)).await;
    replace(&world, team.0.id, &[dn_key("anna")]).await;
    resolve(&world, MemberForm::Dn).await;
    // Deleted, and created again under the same DN: another external id, another user.
    let (mut user, mut account) = world.person("anna2");
    account.dn_key = dn_key("anna");
    user.user_name = String::from("anna2");
    world.import(&[(user, account)], &[]).await;
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(3)).await.unwrap();
    tx.mark_missing(JobId::new(), &[old.1.id]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(resolve(&world, MemberForm::Dn).await, known(1, 0));
    assert_eq!(names(&world, team.0.id).await, ["user:anna2"]);
    // If nobody else has the name, the missing one is still a member.
    let team = world.team("others");
    world.import(&[world.person("bert")], std::slice::from_ref(&team)).await;
    replace(&world, team.0.id, &[dn_key("bert")]).await;
    let known = store.find_user(world.org(), "bert").await.unwrap().unwrap();
    let account = store.accounts_of(world.org(), known.id.as_uuid()).await.unwrap().remove(0);
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(4)).await.unwrap();
    tx.mark_missing(JobId::new(), &[account.id]).await.unwrap();
    tx.commit().await.unwrap();
    resolve(&world, MemberForm::Dn).await;
    assert_eq!(names(&world, team.0.id).await, ["user:bert"]);
}

async fn members_by_unique_value(database: TestDatabase) {
    let (_, world) = (&database.store, World::new(&database.store, "one").await);
    let (people, team) = ([world.person("anna"), world.person("bert")], world.team("staff"));
    world.import(&people, std::slice::from_ref(&team)).await;
    let keys = ["anna".to_owned(), "bert".to_owned(), "staff".to_owned(), "zoe".to_owned()];
    replace(&world, team.0.id, &keys).await;
    assert_eq!(resolve(&world, MemberForm::Dn).await, known(0, 4));
    assert_eq!(resolve(&world, MemberForm::UniqueValue).await, known(2, 2));
    assert_eq!(names(&world, team.0.id).await, ["user:anna", "user:bert"]);
    // From now on new accounts are found this way, too.
    world.import(&[world.person("zoe")], &[]).await;
    assert_eq!(resolve(&world, MemberForm::UniqueValue).await, known(3, 1));
    assert_eq!(resolve(&world, MemberForm::Dn).await, known(0, 4));
}

async fn ten_thousand_members_page_evenly(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let team = world.team("everyone");
    let people: Vec<_> = (0..10_000).map(|number| world.person(&format!("user{number:05}"))).collect();
    world.import(&people, std::slice::from_ref(&team)).await;
    let keys: Vec<String> = people.iter().map(|(_, account)| account.dn_key.clone()).collect();
    assert_eq!(replace(&world, team.0.id, &keys).await, 10_000);
    assert_eq!(resolve(&world, MemberForm::Dn).await, known(10_000, 0));
    let (mut seen, mut page, mut times) = (0, PageRequest::first(100), Vec::new());
    loop {
        let start = Instant::now();
        let found = store.list_group_members(world.org(), team.0.id, &page).await.unwrap();
        times.push(start.elapsed());
        assert!(found.items.iter().all(|member| member.identity.is_some()));
        seen += found.items.len();
        let Some(next) = found.next else { break };
        page = PageRequest::after(next, 100);
    }
    assert_eq!((seen, times.len()), (10_000, 100));
    // The median time of the last pages is that of the first, apart from noise.
    let median = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (first, last) = (median(&times[..50]), median(&times[50..]));
    assert!(last < first * 4 + Duration::from_millis(5), "{first:?} at the start, {last:?} at the end");
    assert_eq!(
        store.list_accounts(world.org(), world.directory.id, AccountKind::User, &all()).await.unwrap().items.len(),
        10_000
    );
}

async fn names_are_exchanged_in_one_transaction(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people = [world.person("anna"), world.person("bert")];
    world.import(&people, &[]).await;
    let [anna, bert] = people.map(|(user, _)| user);
    let exchanged = vec![
        UserRow { id: bert.id, updated_at: at(1), ..anna.clone() },
        UserRow { id: anna.id, updated_at: at(1), ..bert.clone() },
    ];
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.identities().free_names(vec![anna.id, bert.id]).await.unwrap();
    tx.identities().update_users(exchanged.clone()).await.unwrap();
    tx.commit().await.unwrap();
    for row in exchanged {
        let found = store.get_user(world.org(), row.id).await.unwrap().unwrap();
        assert_eq!((found.user_name, found.name_key), (row.user_name, row.name_key));
    }
}

async fn a_conflict_names_the_holder_wherever_it_is(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let anna = world.person("anna");
    world.import(std::slice::from_ref(&anna), &[]).await;
    let served = [AnnouncedDirectory { name: "lab".to_owned(), flavour: Flavour::OpenLdap }];
    let lab = store.announce_directories(world.org(), world.agent.id, &served, at(1)).await.unwrap().remove(0).id;
    let rival = NewAccount { conflict: Some("anna".to_owned()), ..account_of(AccountKind::User, "anna2", None) };
    let mut tx = store.begin_intake(world.org(), lab, at(1)).await.unwrap();
    tx.insert_accounts(vec![rival]).await.unwrap();
    tx.commit().await.unwrap();
    let holder = async || store.list_conflicts(world.org(), lab, &all()).await.unwrap().items.remove(0).holder_dn;
    assert_eq!(holder().await.as_deref(), Some(anna.1.dn.as_str()), "in another directory");
    let here = account_of(AccountKind::User, "anna3", Some(anna.0.id.as_uuid()));
    let mut tx = store.begin_intake(world.org(), lab, at(2)).await.unwrap();
    tx.insert_accounts(vec![here.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(holder().await, Some(here.dn), "rather in the same directory");
    let listed = store.list_conflicts(world.org(), lab, &all()).await.unwrap().items.remove(0);
    assert_eq!(store.get_conflict(world.org(), listed.account.id).await.unwrap(), Some(listed.clone()));
    assert_eq!(store.get_conflict(world.org(), anna.1.id).await.unwrap(), None, "it has none");
    let other = World::new(store, "other").await;
    assert_eq!(store.get_conflict(other.org(), listed.account.id).await.unwrap(), None, "another organization's");
}
