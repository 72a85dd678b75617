//! Values of any length: an index holds only a part of a long one, and the entry is still stored.

use std::fmt::Write as _;

use crate::support::world::{World, all, at, content, enroll};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, AnnouncedDirectory, DirectoryChange, ExternalKey, Flavour, JobFilter, MemberStats, NewJob, Page,
    PageRequest, fold,
};

conformance! {
    a_page_of_large_accounts_is_short_and_none_is_skipped,
    a_page_of_large_users_groups_or_conflicts_is_short_and_none_is_skipped,
    a_page_of_large_jobs_agents_or_directories_is_short_and_none_is_skipped,
    long_values_are_stored_in_every_indexed_column,
    long_names_that_begin_alike_are_two,
    long_members_of_a_group_page_and_resolve,
    accounts_of_long_external_ids_page,
}

/// Around the limit of a B-tree row in PostgreSQL, above a page, and above 64 KiB.
const SIZES: [usize; 4] = [500, 3_000, 5_000, 70_000];

/// Text that does not compress, so that an index sees its full length.
fn random(name: &str, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 2 * 16);
    for round in 0.. {
        if text.len() >= bytes {
            break;
        }
        for byte in content(&format!("{name} {round}")) {
            write!(text, "{byte:02x}").unwrap();
        }
    }
    text.truncate(bytes);
    text
}

async fn long_values_are_stored_in_every_indexed_column(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    for bytes in SIZES {
        let long = |what: &str| random(&format!("{what}{bytes}"), bytes);
        let (mut user, mut account) = world.person(&format!("user{bytes}"));
        user.user_name = long("Name");
        user.name_key = fold(&user.user_name);
        user.display_name = Some(long("display"));
        user.email = Some(long("email"));
        account.external_key = ExternalKey::from_text(&long("external"));
        account.dn = format!("uid={},dc=corp", long("dn"));
        account.dn_key = account.dn.clone();
        account.unique_value = Some(user.user_name.clone());
        account.conflict = Some(user.name_key.clone());
        let (mut group, group_account) = world.team(&format!("group{bytes}"));
        group.display_name = long("group");
        world.import(&[(user.clone(), account.clone())], &[(group.clone(), group_account)]).await;

        let found = store.find_user(world.org(), &user.user_name).await.unwrap().unwrap();
        assert_eq!((&found.user_name, &found.display_name), (&user.user_name, &user.display_name), "nothing is cut");
        for value in [&user.user_name, user.display_name.as_ref().unwrap(), user.email.as_ref().unwrap()] {
            let by_prefix = store.list_users(world.org(), Some(&value[..400]), &all()).await.unwrap().items;
            assert_eq!(by_prefix.iter().map(|user| user.id).collect::<Vec<_>>(), [user.id], "{bytes}");
        }
        let groups = store.list_groups(world.org(), Some(&group.display_name[..400]), &all()).await.unwrap().items;
        assert_eq!(groups, [group]);
        let accounts = store.list_accounts(world.org(), world.directory.id, AccountKind::User, &all()).await.unwrap();
        assert!(accounts.items.iter().any(|one| one.external_key == account.external_key && one.dn == account.dn));
        assert!(!store.list_conflicts(world.org(), world.directory.id, &all()).await.unwrap().items.is_empty());
    }
    let mut page = PageRequest::first(1);
    let mut seen = 0;
    while let Some(next) = store.list_users(world.org(), None, &page).await.unwrap().next {
        seen += 1;
        page = PageRequest::after(next, 1);
    }
    assert_eq!(seen + 1, SIZES.len(), "a page goes on behind a long name");
}

async fn long_names_that_begin_alike_are_two(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let same = random("same", 5_000);
    let people = ["a", "b"].map(|end| {
        let (mut user, account) = world.person(&format!("user {end}"));
        user.user_name = format!("{same}{end}");
        user.name_key = fold(&user.user_name);
        (user, account)
    });
    world.import(&people, &[]).await;
    for (user, _) in &people {
        assert_eq!(store.find_user(world.org(), &user.user_name.to_uppercase()).await.unwrap().unwrap().id, user.id);
    }
}

async fn long_members_of_a_group_page_and_resolve(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (person, team) = (world.person("anna"), world.team("staff"));
    let same = random("same", 5_000);
    let mut long = world.person("long");
    long.1.dn_key = format!("uid={same}7,dc=corp");
    world.import(&[person, long.clone()], std::slice::from_ref(&team)).await;
    let names: Vec<String> = (0..400).map(|number| format!("uid={same}{number},dc=corp")).collect();
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    assert_eq!(tx.replace_members(vec![(team.0.id, names.clone())]).await.unwrap(), 400);
    assert_eq!(tx.replace_members(vec![(team.0.id, names.clone())]).await.unwrap(), 0, "known by the same key");
    tx.commit().await.unwrap();
    let stats = store.count_members(world.org(), world.directory.id).await.unwrap();
    assert_eq!(stats, MemberStats { resolved: 1, unresolved: 399, ..MemberStats::default() });
    let (mut seen, mut resolved, mut page) = (0, 0, PageRequest::first(7));
    loop {
        let found = store.list_group_members(world.org(), team.0.id, &page).await.unwrap();
        seen += found.items.len();
        resolved += found.items.iter().filter(|member| member.identity.is_some()).count();
        let Some(next) = found.next else { break };
        page = PageRequest::after(next, 7);
    }
    assert_eq!((seen, resolved), (400, 1));
    let groups = store.groups_of(world.org(), long.0.id.as_uuid(), &all()).await.unwrap().items;
    assert_eq!(groups, [team.0]);
}

async fn accounts_of_long_external_ids_page(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let same = random("same", 4_000);
    let mut people: Vec<_> = (0..9).map(|number| world.person(&format!("user{number}"))).collect();
    for (number, (_, account)) in people.iter_mut().enumerate() {
        account.external_key = ExternalKey::from_text(&format!("{same}{number}"));
    }
    world.import(&people, &[]).await;
    let entries: Vec<_> = people.iter().map(|(_, one)| (one.external_key.clone(), one.hash)).collect();
    let compared = store.compare_accounts(world.org(), world.directory.id, AccountKind::User, &entries).await.unwrap();
    assert!(compared.iter().all(|one| *one == postern_store::Comparison::Unchanged), "{compared:?}");
    let (mut seen, mut page) = (Vec::new(), PageRequest::first(2));
    loop {
        let found = store.list_accounts(world.org(), world.directory.id, AccountKind::User, &page).await.unwrap();
        seen.extend(found.items.into_iter().map(|account| account.id));
        let Some(next) = found.next else { break };
        page = PageRequest::after(next, 2);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 9);
}

async fn a_page_of_large_accounts_is_short_and_none_is_skipped(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let attributes = format!(r#"{{"description":["{}"]}}"#, "x".repeat(3 << 20));
    let large = |number: u32| {
        let (user, account) = world.person(&format!("user{number}"));
        (user, postern_store::NewAccount { attributes: attributes.clone(), ..account })
    };
    let people: Vec<_> = (0..7).map(large).collect();
    world.import(&people, &[]).await;
    let (mut page, mut seen) = (PageRequest::first(1_000), Vec::new());
    loop {
        let kind = AccountKind::User;
        let found = world.store.list_accounts(world.org(), world.directory.id, kind, &page).await.unwrap();
        assert!((1..=2).contains(&found.items.len()), "{} of three mebibytes each", found.items.len());
        seen.extend(found.items.into_iter().map(|account| account.id));
        match found.next {
            Some(next) => page = PageRequest::after(next, 1_000),
            None => break,
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 7);
}

/// A list with one large item.
#[derive(Clone, Copy, Debug)]
enum Large {
    Users,
    FoundUsers,
    Groups,
    Conflicts,
    Jobs,
    Agents,
    Directories,
}

/// How many items a page has, and where the next one begins.
async fn page_of(world: &World, list: Large, page: &PageRequest) -> (usize, Option<String>) {
    fn parts<T>(page: Page<T>) -> (usize, Option<String>) {
        (page.items.len(), page.next)
    }
    let (store, org) = (&world.store, world.org());
    match list {
        Large::Users => parts(store.list_users(org, None, page).await.unwrap()),
        Large::FoundUsers => parts(store.list_users(org, Some("display"), page).await.unwrap()),
        Large::Groups => parts(store.list_groups(org, None, page).await.unwrap()),
        Large::Conflicts => parts(store.list_conflicts(org, world.directory.id, page).await.unwrap()),
        Large::Jobs => parts(store.list_jobs(org, &JobFilter::default(), page).await.unwrap()),
        Large::Agents => parts(store.list_agents(org, page).await.unwrap()),
        Large::Directories => parts(store.list_directories(org, page).await.unwrap()),
    }
}

/// How many items each page of a list has.
async fn sizes_of_pages(world: &World, list: Large) -> Vec<usize> {
    let (mut page, mut sizes) = (PageRequest::first(1_000), Vec::new());
    loop {
        let (size, next) = page_of(world, list, &page).await;
        sizes.push(size);
        match next {
            Some(next) => page = PageRequest::after(next, 1_000),
            None => return sizes,
        }
    }
}

async fn a_page_of_large_users_groups_or_conflicts_is_short_and_none_is_skipped(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let text = format!(r#"{{"description":["{}"]}}"#, "x".repeat(3 << 20));
    let person = |number: u32| {
        let (user, account) = world.person(&format!("user{number}"));
        let user = postern_store::UserRow { attributes: text.clone(), ..user };
        let conflict = Some(format!("user{}", number + 1));
        (user, postern_store::NewAccount { attributes: text.clone(), conflict, ..account })
    };
    let team = |number: u32| {
        let (group, account) = world.team(&format!("group{number}"));
        (postern_store::GroupRow { description: Some(text.clone()), ..group }, account)
    };
    world.import(&(0..5).map(person).collect::<Vec<_>>(), &(0..5).map(team).collect::<Vec<_>>()).await;
    for list in [Large::Users, Large::FoundUsers, Large::Groups, Large::Conflicts] {
        let sizes = sizes_of_pages(&world, list).await;
        assert_eq!(sizes.iter().sum::<usize>(), 5, "{list:?} {sizes:?}");
        assert!(sizes.iter().all(|size| *size <= 2), "{list:?} {sizes:?} of three mebibytes each");
    }
}

async fn a_page_of_large_jobs_agents_or_directories_is_short_and_none_is_skipped(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let text = "x".repeat(3 << 20);
    let names: Vec<String> = (0..4).map(|number| format!("more{number}")).collect();
    let served: Vec<_> =
        names.iter().map(|name| AnnouncedDirectory { name: name.clone(), flavour: Flavour::OpenLdap }).collect();
    let mut directories = store.announce_directories(world.org(), world.agent.id, &served, at(0)).await.unwrap();
    directories.push(world.directory.clone());
    for directory in directories {
        let change = DirectoryChange { display_name: Some(text.clone()), ..DirectoryChange::default() };
        store.update_directory(world.org(), directory.id, change).await.unwrap();
    }
    let mut agents = vec![world.agent.clone()];
    for name in &names {
        agents.push(enroll(store, world.org(), name).await);
    }
    for agent in agents {
        store.note_agent_error(agent.id, &text, at(1)).await.unwrap();
    }
    for _ in 0..5 {
        let new = NewJob { input: serde_json::json!({ "text": text }), ..world.job("test_connection") };
        store.create_job(new, at(0)).await.unwrap();
    }
    for list in [Large::Jobs, Large::Agents, Large::Directories] {
        let sizes = sizes_of_pages(&world, list).await;
        assert_eq!(sizes.iter().sum::<usize>(), 5, "{list:?} {sizes:?}");
        assert!(sizes.iter().all(|size| *size <= 2), "{list:?} {sizes:?} of three mebibytes each");
    }
}
