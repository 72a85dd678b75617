//! What a small change writes to a large database, and that it is correct. The bytes are measured on `SQLite`: the log
//! of a new connection contains each page that a transaction has changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::world::{World, at, content, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{DatabaseUrl, GroupId, IdentityId, Intake, NewAccount, PageRequest, Store, UserRow};

conformance! {
    members_that_come_and_go_are_listed_exactly,
}

/// People in the directory, and in its large group.
const PEOPLE: usize = 10_000;
/// Users that change.
const CHANGED: usize = 100;
/// Changed users in one transaction. An import with few changes among many entries has such chunks.
const TOGETHER: usize = 10;

/// A database with people.
struct Site {
    path: PathBuf,
    url: DatabaseUrl,
    world: World,
    people: Vec<(UserRow, NewAccount)>,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postern.db");
        let url = DatabaseUrl::sqlite(&path);
        let store = TestDatabase::open(url.clone()).await.store;
        let world = World::new(&store, "one").await;
        let people: Vec<_> = (0..PEOPLE).map(|number| person(&world, number)).collect();
        for chunk in people.chunks(1_000) {
            world.import(chunk, &[]).await;
        }
        store.close().await;
        Self { path, url, world, people, _folder: folder }
    }

    /// Opens the database, with an empty log.
    async fn open(&self) -> Store {
        let store = Store::open(&self.url).await.unwrap();
        assert_eq!(logged(&self.path), 0, "nothing is written by opening it");
        store
    }

    async fn begin(&self, store: &Store) -> Intake {
        store.begin_intake(self.world.org(), self.world.directory.id, at(1)).await.unwrap()
    }

    /// Closes the database and returns the bytes in its log.
    async fn close(&self, store: Store) -> usize {
        let written = logged(&self.path);
        store.close().await;
        written
    }
}

/// A person of a directory: the attributes take about half a kilobyte.
fn person(world: &World, number: usize) -> (UserRow, NewAccount) {
    let (mut user, mut account) = world.person(&format!("person{number:05}"));
    account.attributes = attributes(number, "Engineer");
    user.attributes = format!(r#"{{"title":"Engineer","number":"{number}"}}"#);
    account.dn = format!("uid={},ou=people,dc=corp,dc=example", user.user_name);
    (user, account)
}

fn attributes(number: usize, title: &str) -> String {
    format!(
        r#"{{"uid":["person{number:05}"],"cn":["Given Person {number:05}"],"title":["{title}"],"description":["{}"]}}"#,
        "x".repeat(400)
    )
}

fn logged(path: &Path) -> usize {
    let log = path.with_extension("db-wal");
    std::fs::metadata(log).map_or(0, |log| usize::try_from(log.len()).unwrap())
}

/// Most bytes for a user whose title changes.
const USER_BYTES: usize = 40 * 1024;
/// Most bytes for a member that joins or leaves.
const MEMBER_BYTES: usize = 36 * 1024;
/// The same for a user who names a group: a page or two of the group's rows, of their index and of the index of names,
/// any of which may split, and one of the groups.
const NAMED_MEMBER_BYTES: usize = 56 * 1024;

#[tokio::test]
async fn a_changed_user_writes_little() {
    let site = Site::new().await;
    let store = site.open().await;
    let changed: Vec<_> = site.people.iter().enumerate().step_by(PEOPLE / CHANGED).collect();
    for chunk in changed.chunks(TOGETHER) {
        let mut tx = site.begin(&store).await;
        let (mut users, mut accounts) = (Vec::new(), Vec::new());
        for (number, (user, account)) in chunk {
            users.push(UserRow { attributes: r#"{"title":"Director"}"#.to_owned(), ..user.clone() });
            let hash = content(&format!("{number} Director"));
            accounts.push(NewAccount { attributes: attributes(*number, "Director"), hash, ..account.clone() });
        }
        let ids: Vec<_> = users.iter().map(|user| user.id).collect();
        tx.identities().update_users(users).await.unwrap();
        tx.update_accounts(accounts).await.unwrap();
        tx.identities().settle_users(&ids).await.unwrap();
        tx.commit().await.unwrap();
    }
    let each = site.close(store).await / CHANGED;
    println!("{each} bytes for each of {CHANGED} changed users");
    assert!(each <= USER_BYTES, "{each} bytes for each of {CHANGED} changed users");
}

#[tokio::test]
async fn a_member_that_joins_or_leaves_a_large_group_writes_little() {
    let site = Site::new().await;
    let team = site.world.team("everybody");
    let group = team.0.id;
    let store = site.open().await;
    let world = World { store: store.clone(), ..site.world.clone() };
    world.import(&[], &[team]).await;
    let mut names: Vec<String> = (0..PEOPLE).map(|number| dn_key(&format!("person{number:05}"))).collect();
    let mut tx = site.begin(&store).await;
    tx.replace_members(vec![(group, names.clone())]).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    for turn in ["joins", "leaves"] {
        if turn == "joins" {
            names.push(dn_key("person05000a"));
        } else {
            names.retain(|name| *name != dn_key("person02500"));
        }
        let store = site.open().await;
        let mut tx = site.begin(&store).await;
        assert_eq!(tx.replace_members(vec![(group, names.clone())]).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let written = site.close(store).await;
        println!("{written} bytes for a member that {turn}");
        assert!(written <= MEMBER_BYTES, "{written} bytes for a member that {turn}");
    }
}

/// The names listed by pages of this size.
async fn listed(world: &World, group: GroupId, limit: u32) -> Vec<String> {
    let (mut names, mut page) = (Vec::new(), PageRequest::first(limit));
    loop {
        let found = world.store.list_group_members(world.org(), group, &page).await.unwrap();
        assert!(found.next.is_none() || found.items.len() == limit as usize, "only the last page is short");
        names.extend(found.items.into_iter().filter_map(|member| member.key));
        let Some(next) = found.next else { return names };
        page = PageRequest::after(next, limit);
    }
}

/// Whether a number is in this turn's share of all numbers.
fn drawn(turn: usize, number: usize, percent: u8) -> bool {
    u16::from(content(&format!("{turn} {number}"))[0]) * 100 < u16::from(percent) * 256
}

async fn members_that_come_and_go_are_listed_exactly(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let (team, other) = (world.team("staff"), world.team("others"));
    let (group, beside) = (team.0.id, other.0.id);
    world.import(&[], &[team, other]).await;
    let name = |number: usize| format!("uid={number:05},dc=corp");
    let mut wanted = BTreeSet::new();
    // Of 1,000 names, these percentages first join and then leave.
    let turns = [(40, 0), (1, 0), (0, 1), (60, 5), (0, 97), (3, 3), (100, 0), (0, 60), (30, 100), (10, 0)];
    for (turn, (join, leave)) in turns.into_iter().enumerate() {
        let before: BTreeSet<String> = wanted.clone();
        wanted.extend((0..1_000).filter(|number| drawn(turn, *number, join)).map(name));
        wanted.retain(|name| !drawn(turn + 100, name[4..9].parse().unwrap(), leave));
        let changes = before.symmetric_difference(&wanted).count() as u64;
        let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
        let names: Vec<String> = wanted.iter().rev().cloned().collect();
        let first: Vec<String> = wanted.iter().take(1).cloned().collect();
        let known = world.store.list_group_members(world.org(), beside, &PageRequest::first(9)).await.unwrap().items;
        let known: BTreeSet<String> = known.into_iter().filter_map(|member| member.key).collect();
        let beside_changes = known.symmetric_difference(&first.iter().cloned().collect()).count() as u64;
        let written = tx.replace_members(vec![(group, names), (beside, first.clone())]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(written, changes + beside_changes, "turn {turn}");
        let wanted: Vec<String> = wanted.iter().cloned().collect();
        for limit in [61, 500] {
            assert_eq!(listed(&world, group, limit).await, wanted, "turn {turn}");
        }
        assert_eq!(listed(&world, beside, 7).await, first, "turn {turn}");
        let total = world.store.total_group_members(world.org(), group).await.unwrap();
        assert_eq!((total.count, total.more), (wanted.len() as u64, false), "turn {turn}");
        let stats = world.store.count_members(world.org(), world.directory.id).await.unwrap();
        assert_eq!(stats.unresolved, (wanted.len() + first.len()) as u64, "turn {turn}");
    }
}

#[tokio::test]
async fn an_own_member_of_a_large_group_that_joins_or_leaves_writes_little() {
    let site = Site::new().await;
    let team = site.world.team("everybody").0;
    let store = site.open().await;
    let member = |user: &UserRow| (team.id, IdentityId::User(user.id));
    let begin = async |store: &Store| store.begin_identities(site.world.org(), at(1)).await.unwrap();
    let mut tx = begin(&store).await;
    tx.insert_groups(vec![team.clone()]).await.unwrap();
    let all: Vec<_> = site.people.iter().skip(1).map(|(user, _)| member(user)).collect();
    assert_eq!(tx.add_members(&all).await.unwrap(), all.len() as u64);
    tx.commit().await.unwrap();
    store.close().await;
    for turn in ["joins", "leaves"] {
        let store = site.open().await;
        let mut tx = begin(&store).await;
        assert!(tx.locked_group(team.id).await.unwrap().is_some());
        let user = &site.people[if turn == "joins" { 0 } else { PEOPLE / 2 }].0;
        let known = tx.known_members(team.id, &[user.id.as_uuid()]).await.unwrap();
        assert_eq!((known.identities.len(), known.own.len()), (1, usize::from(turn == "leaves")));
        let changed = match turn {
            "joins" => tx.add_members(&[member(user)]).await.unwrap(),
            _ => tx.remove_members(&[member(user)]).await.unwrap(),
        };
        assert_eq!(changed, 1);
        tx.commit().await.unwrap();
        let written = site.close(store).await;
        println!("{written} bytes for an own member that {turn}");
        assert!(written <= MEMBER_BYTES, "{written} bytes for an own member that {turn}");
    }
}

#[tokio::test]
async fn a_user_who_names_a_large_group_or_no_longer_does_writes_little() {
    let site = Site::new().await;
    let team = site.world.team("everybody");
    let group = team.0.id;
    let store = site.open().await;
    let world = World { store: store.clone(), ..site.world.clone() };
    world.import(&[], &[team]).await;
    let member = |number: usize| (group, site.people[number].1.external_key.clone());
    let all: Vec<_> = (1..PEOPLE).map(member).collect();
    let mut tx = site.begin(&store).await;
    tx.change_named_members(&all, &[]).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    for (turn, joined, left) in [("joins", vec![member(0)], vec![]), ("leaves", vec![], vec![member(PEOPLE / 2)])] {
        let store = site.open().await;
        let mut tx = site.begin(&store).await;
        tx.change_named_members(&joined, &left).await.unwrap();
        tx.commit().await.unwrap();
        let written = site.close(store).await;
        println!("{written} bytes for a user that {turn} a group by naming it");
        assert!(written <= NAMED_MEMBER_BYTES, "{written} bytes for a user that {turn}");
    }
}
