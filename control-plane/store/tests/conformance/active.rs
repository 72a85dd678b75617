//! Which users are active, and which are missing.

use crate::support::world::{World, account_of, all, at, content, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, AnnouncedDirectory, Comparison, Flavour, IdentityFilter, JobId, NewAccount, OrganizationChange,
    PageRequest, Store, Switch, UserId, UserRow,
};

conformance! {
    any_directory_that_says_off_keeps_the_user_off,
    an_account_that_was_on_when_it_went_missing_has_no_vote,
    who_is_not_counted_stays_inactive_and_is_read_again,
    what_is_unknown_keeps_the_last_known_state_and_makes_nobody_active,
    a_time_that_has_come_turns_a_user_off_without_an_import,
    a_missing_user_becomes_inactive_by_the_rule_of_the_organization,
    a_switch_is_lowered_by_itself_and_the_entry_read_again,
    a_deleted_directory_has_no_vote,
    who_goes_missing_or_comes_back_is_updated,
    a_group_that_is_gone_has_no_members,
    lists_can_be_narrowed_to_the_active_and_the_missing,
}

const DAY: i64 = 24 * 60 * 60;

async fn user(store: &Store, world: &World, id: UserId) -> UserRow {
    store.get_user(world.org(), id).await.unwrap().expect("the user")
}

/// A further directory of the same organization.
async fn second(world: &World) -> postern_store::DirectoryId {
    let announced = AnnouncedDirectory { name: "lab".to_owned(), flavour: Flavour::Ds389 };
    let served = world.store.announce_directories(world.org(), world.agent.id, &[announced], at(0)).await.unwrap();
    served[0].id
}

/// Writes a user's account into a directory, as an import does.
async fn write(world: &World, directory: postern_store::DirectoryId, account: &NewAccount, new: bool, second: i64) {
    let mut tx = world.store.begin_intake(world.org(), directory, at(second)).await.unwrap();
    if new {
        tx.insert_accounts(vec![account.clone()]).await.unwrap();
    } else {
        tx.update_accounts(vec![account.clone()]).await.unwrap();
    }
    tx.identities().settle_users(&[UserId::from_uuid(account.identity.unwrap())]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn mark(world: &World, directory: postern_store::DirectoryId, account: &NewAccount, second: i64) {
    let mut tx = world.store.begin_intake(world.org(), directory, at(second)).await.unwrap();
    assert_eq!(tx.mark_missing(JobId::new(), &[account.id]).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

async fn any_directory_that_says_off_keeps_the_user_off(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (one, other) = (world.directory.id, second(&world).await);
    let (anna, mut here) = world.person("anna");
    world.import(&[(anna.clone(), here.clone())], &[]).await;
    // The first directory says off; the second says unknown, and comes last.
    here = NewAccount { switch: Switch::Off, hash: content("locked"), ..here };
    write(&world, one, &here, false, 1).await;
    assert!(!user(store, &world, anna.id).await.active);
    let silent = NewAccount { switch: Switch::Unknown, ..account_of(here.kind, "there", here.identity) };
    write(&world, other, &silent, true, 2).await;
    assert!(!user(store, &world, anna.id).await.active, "unknown has no vote");
    let on = NewAccount { switch: Switch::On, hash: content("on"), ..silent };
    write(&world, other, &on, false, 3).await;
    assert!(!user(store, &world, anna.id).await.active, "off outweighs on, in any order");
    here = NewAccount { switch: Switch::On, hash: content("unlocked"), ..here };
    write(&world, one, &here, false, 4).await;
    assert!(user(store, &world, anna.id).await.active);
    // Off and then missing: nobody knows better, so the user stays off, whatever the other directory changes.
    write(&world, one, &NewAccount { switch: Switch::Off, hash: content("again"), ..here.clone() }, false, 5).await;
    mark(&world, one, &here, 6).await;
    let gone = user(store, &world, anna.id).await;
    assert!(!gone.active && gone.missing_since.is_none());
    write(&world, other, &NewAccount { hash: content("changed"), ..on.clone() }, false, 7).await;
    assert!(!user(store, &world, anna.id).await.active);
    // It comes back and cannot be read: still off.
    let hidden = NewAccount { switch: Switch::Unknown, hash: content("hidden"), ..here.clone() };
    write(&world, one, &hidden, false, 8).await;
    assert!(!user(store, &world, anna.id).await.active);
    mark(&world, one, &here, 9).await;
    // An administrator decides.
    let mut tx = store.begin_identities(world.org(), at(10)).await.unwrap();
    assert_eq!(tx.forget_missing_off(anna.id).await.unwrap(), 1);
    assert_eq!(tx.forget_missing_off(anna.id).await.unwrap(), 0);
    tx.settle_users(&[anna.id]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(user(store, &world, anna.id).await.active);
}

async fn an_account_that_was_on_when_it_went_missing_has_no_vote(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (one, other) = (world.directory.id, second(&world).await);
    let (anna, here) = world.person("anna");
    let here = NewAccount { switch: Switch::OnUntil(at(50)), ..here };
    world.import(&[(anna.clone(), here.clone())], &[]).await;
    let there = NewAccount { switch: Switch::On, ..account_of(here.kind, "there", here.identity) };
    write(&world, other, &there, true, 1).await;
    mark(&world, one, &here, 2).await;
    write(&world, other, &NewAccount { hash: content("changed"), ..there.clone() }, false, 60).await;
    assert!(user(store, &world, anna.id).await.active, "its time came after it had left");
    let mut tx = store.begin_identities(world.org(), at(61)).await.unwrap();
    assert_eq!(tx.forget_missing_off(anna.id).await.unwrap(), 0);
    tx.commit().await.unwrap();
}

async fn who_is_not_counted_stays_inactive_and_is_read_again(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (directory, other) = (world.directory.id, second(&world).await);
    let people = ["free", "barred", "suspended", "left"].map(|name| world.person(name));
    let people = people.map(|(user, account)| (UserRow { active: false, ..user }, account));
    world.import(&people, &[]).await;
    let there = |place: usize| {
        let (_, here) = &people[place];
        NewAccount { switch: Switch::Off, ..account_of(here.kind, &format!("there {place}"), here.identity) }
    };
    for (place, leaves) in [(1, false), (3, true)] {
        let mut tx = store.begin_intake(world.org(), other, at(1)).await.unwrap();
        tx.insert_accounts(vec![there(place)]).await.unwrap();
        tx.commit().await.unwrap();
        if leaves {
            let account = store.accounts_of(world.org(), people[place].0.id.as_uuid()).await.unwrap();
            let account = account.iter().find(|account| account.switch == Switch::Off).unwrap().id;
            let mut tx = store.begin_intake(world.org(), other, at(2)).await.unwrap();
            tx.mark_missing(JobId::new(), &[account]).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
    let mut tx = store.begin_intake(world.org(), directory, at(3)).await.unwrap();
    let suspension = postern_store::Suspension { at: at(3), by: "ada".to_owned(), reason: None, until: None };
    tx.identities().suspend(people[2].0.id, &suspension).await.unwrap();
    tx.settle_uncounted(&people.each_ref().map(|(user, _)| user.id)).await.unwrap();
    tx.settle_uncounted(&[]).await.unwrap();
    tx.commit().await.unwrap();
    for (person, _) in &people {
        assert!(!user(store, &world, person.id).await.active, "{}", person.user_name);
    }
    let known = people.each_ref().map(|(_, account)| (account.external_key.clone(), account.hash));
    let compared = store.compare_accounts(world.org(), directory, AccountKind::User, &known).await.unwrap();
    let again: Vec<bool> = compared.iter().map(|one| matches!(one, Comparison::Known(_))).collect();
    assert_eq!(again, [true, false, false, false], "only where the entry would activate its user");
    let ids = people.each_ref().map(|(_, account)| account.id);
    let mut barred = store.barred(world.org(), &ids, at(3)).await.unwrap();
    barred.sort();
    assert!(barred.len() == 3 && !barred.contains(&ids[0]), "{barred:?}");
    assert_eq!(store.barred(world.org(), &[], at(3)).await.unwrap(), []);
    assert_eq!(store.barred(World::new(store, "two").await.org(), &ids, at(3)).await.unwrap(), []);
}

async fn what_is_unknown_keeps_the_last_known_state_and_makes_nobody_active(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let directory = world.directory.id;
    let people = [("on", Switch::On), ("off", Switch::Off)].map(|(name, switch)| {
        let (user, account) = world.person(name);
        (UserRow { active: switch == Switch::On, ..user }, NewAccount { switch, ..account })
    });
    world.import(&people, &[]).await;
    for (person, account) in &people {
        let hidden = NewAccount { switch: Switch::Unknown, hash: content("hidden"), ..account.clone() };
        write(&world, directory, &hidden, false, 1).await;
        assert_eq!(user(store, &world, person.id).await.active, person.active, "{}", person.user_name);
    }
    let kept = store.accounts_of(world.org(), people[1].0.id.as_uuid()).await.unwrap();
    assert_eq!(kept[0].switch, Switch::Off);
    // A missing user comes back unannounced.
    mark(&world, directory, &people[0].1, 2).await;
    let back = NewAccount { switch: Switch::Unknown, hash: content("back"), ..people[0].1.clone() };
    write(&world, directory, &back, false, 3).await;
    let back = user(store, &world, people[0].0.id).await;
    assert!(!back.active && back.missing_since.is_none());
}

async fn a_time_that_has_come_turns_a_user_off_without_an_import(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (anna, account) = world.person("anna");
    let account = NewAccount { switch: Switch::OnUntil(at(DAY)), ..account };
    world.import(&[(anna.clone(), account), world.person("bert")], &[]).await;
    assert_eq!(store.deactivate_due(at(DAY - 1)).await.unwrap(), 0);
    assert!(user(store, &world, anna.id).await.active);
    assert_eq!(store.deactivate_due(at(DAY)).await.unwrap(), 1);
    assert!(!user(store, &world, anna.id).await.active);
    assert_eq!(store.deactivate_due(at(DAY)).await.unwrap(), 0);
}

async fn a_missing_user_becomes_inactive_by_the_rule_of_the_organization(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let directory = world.directory.id;
    let people = ["at once", "later", "kept"].map(|name| world.person(name));
    world.import(&people, &[]).await;
    assert_eq!(store.get_organization(world.org()).await.unwrap().unwrap().missing_user_days, Some(0));
    mark(&world, directory, &people[0].1, 10).await;
    let gone = user(store, &world, people[0].0.id).await;
    assert_eq!((gone.active, gone.missing_since), (false, Some(at(10))));
    let change = OrganizationChange { missing_user_days: Some(Some(2)), ..OrganizationChange::default() };
    store.change_organization(world.org(), change).await.unwrap();
    mark(&world, directory, &people[1].1, 20).await;
    let change = OrganizationChange { missing_user_days: Some(None), ..OrganizationChange::default() };
    store.change_organization(world.org(), change).await.unwrap();
    mark(&world, directory, &people[2].1, 30).await;
    for person in &people[1..] {
        let gone = user(store, &world, person.0.id).await;
        assert!(gone.active && gone.missing_since.is_some(), "{gone:?}");
    }
    assert_eq!(store.count_deactivated(world.org(), directory, at(5)).await.unwrap(), 1);
    assert_eq!(store.count_deactivated(world.org(), directory, at(11)).await.unwrap(), 0);
    assert_eq!(store.deactivated(world.org(), directory, at(5), 20).await.unwrap().len(), 1);
    assert_eq!(store.deactivate_due(at(9 * DAY)).await.unwrap(), 0, "the rule is to keep them");
    let change = OrganizationChange { missing_user_days: Some(Some(2)), ..OrganizationChange::default() };
    store.change_organization(world.org(), change).await.unwrap();
    assert_eq!(store.deactivate_due(at(2 * DAY + 19)).await.unwrap(), 0);
    assert_eq!(store.deactivate_due(at(2 * DAY + 20)).await.unwrap(), 1);
    assert!(!user(store, &world, people[1].0.id).await.active);
    // Another organization has its own rule.
    let other = World::new(store, "two").await;
    assert_eq!(store.get_organization(other.org()).await.unwrap().unwrap().missing_user_days, Some(0));
    assert_eq!(store.count_deactivated(other.org(), directory, at(0)).await.unwrap(), 0);
    assert_eq!(store.deactivated(other.org(), directory, at(0), 20).await.unwrap(), []);
    // A returning user is what the directory says.
    let back = NewAccount { hash: content("back"), ..people[0].1.clone() };
    write(&world, directory, &back, false, 40).await;
    let back = user(store, &world, people[0].0.id).await;
    assert!(back.active && back.missing_since.is_none());
}

async fn a_switch_is_lowered_by_itself_and_the_entry_read_again(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (other, directory) = (World::new(store, "other").await, world.directory.id);
    let switches =
        [("off", Switch::Off), ("short", Switch::OnUntil(at(50))), ("hidden", Switch::Unknown), ("on", Switch::On)];
    let people = switches.map(|(name, _)| world.person(name));
    world.import(&people, &[]).await;
    let lowered: Vec<_> = people.iter().zip(switches).map(|((_, account), (_, switch))| (account.id, switch)).collect();
    let stranger = world.store.begin_intake(other.org(), other.directory.id, at(9)).await;
    let mut stranger = stranger.unwrap();
    stranger.lower_switches(&lowered).await.unwrap();
    stranger.commit().await.unwrap();
    assert!(user(store, &world, people[0].0.id).await.active, "another organization's");
    let mut tx = store.begin_intake(world.org(), directory, at(9)).await.unwrap();
    tx.lower_switches(&lowered).await.unwrap();
    tx.lower_switches(&[]).await.unwrap();
    tx.forget_contents(&[people[3].1.id]).await.unwrap();
    tx.commit().await.unwrap();
    let mut active = Vec::new();
    for (person, _) in &people {
        active.push(user(store, &world, person.id).await.active);
    }
    assert_eq!(active, [false, true, true, true]);
    let known = people.each_ref().map(|(_, account)| (account.external_key.clone(), account.hash));
    let compared = store.compare_accounts(world.org(), directory, AccountKind::User, &known).await.unwrap();
    let changed: Vec<bool> = compared.iter().map(|one| matches!(one, Comparison::Known(_))).collect();
    assert_eq!(changed, [true, true, false, true], "the same entry is written again by the next import");
    assert_eq!(store.deactivate_due(at(50)).await.unwrap(), 1);
    // It activates nobody.
    let mut tx = store.begin_intake(world.org(), directory, at(60)).await.unwrap();
    tx.lower_switches(&[(people[0].1.id, Switch::On), (people[1].1.id, Switch::On)]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!user(store, &world, people[0].0.id).await.active && !user(store, &world, people[1].0.id).await.active);
}

async fn a_deleted_directory_has_no_vote(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (one, other) = (world.directory.id, second(&world).await);
    let people = ["locked", "unknown", "alone", "left"].map(|name| world.person(name));
    world.import(&people, &[]).await;
    let there = |place: usize, switch: Switch| {
        let (_, here) = &people[place];
        NewAccount { switch, ..account_of(here.kind, &format!("there {place}"), here.identity) }
    };
    // On in the first directory; in the other off, unknown, absent, and missing.
    let accounts = [there(0, Switch::On), there(1, Switch::Unknown), there(3, Switch::On)];
    for account in &accounts {
        write(&world, other, account, true, 1).await;
    }
    let locked = NewAccount { switch: Switch::Off, hash: content("locked"), ..people[0].1.clone() };
    write(&world, one, &locked, false, 2).await;
    mark(&world, other, &accounts[2], 3).await;
    let active = async || {
        let mut active = Vec::new();
        for (person, _) in &people {
            let found = user(store, &world, person.id).await;
            active.push((found.active, found.missing_since.is_some()));
        }
        active
    };
    assert_eq!(active().await, [(false, false), (true, false), (true, false), (true, false)]);
    store.delete_directory(world.org(), one, at(4)).await.unwrap();
    let after = active().await;
    assert_eq!(after[0], (false, false), "nobody becomes active by a deletion");
    assert_eq!(after[1], (false, false), "the only one who said so is gone, and unknown is not active");
    assert_eq!(after[2], (true, false), "a user of only the deleted directory does not change");
    assert_eq!(after[3], (false, true), "the directory that is left says gone");
    // An entry that says on is read again, although it is unchanged; one that says unknown is not.
    let there = [&accounts[0], &accounts[1]].map(|account| (account.external_key.clone(), account.hash));
    let compared = store.compare_accounts(world.org(), other, AccountKind::User, &there).await.unwrap();
    assert!(matches!(compared[..], [Comparison::Known(_), Comparison::Unchanged]), "{compared:?}");
    let known = store.known_contents(world.org(), &[accounts[0].id]).await.unwrap();
    assert_eq!(
        (known[0].switch, known[0].active),
        (Switch::Unknown, Some(false)),
        "so it counts as one who becomes active"
    );
    // From now on only the other directory counts.
    let on = NewAccount { hash: content("changed"), ..accounts[0].clone() };
    write(&world, other, &on, false, 5).await;
    assert!(user(store, &world, people[0].0.id).await.active);
    // The directory is restored, and says off again.
    let announced =
        ["corp", "lab"].map(|name| AnnouncedDirectory { name: name.to_owned(), flavour: Flavour::OpenLdap });
    store.announce_directories(world.org(), world.agent.id, &announced, at(6)).await.unwrap();
    assert!(!user(store, &world, people[0].0.id).await.active);
}

async fn who_goes_missing_or_comes_back_is_updated(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (anna, here) = world.person("anna");
    world.import(&[(anna.clone(), here.clone())], &[]).await;
    mark(&world, world.directory.id, &here, 7).await;
    let gone = user(store, &world, anna.id).await;
    assert_eq!((gone.updated_at, gone.missing_since), (at(7), Some(at(7))));
    write(&world, world.directory.id, &here, false, 9).await;
    let back = user(store, &world, anna.id).await;
    assert_eq!((back.updated_at, back.missing_since), (at(9), None));
}

async fn a_group_that_is_gone_has_no_members(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (anna, teams) = (world.person("anna"), [world.team("gone"), world.team("stays")]);
    world.import(std::slice::from_ref(&anna), &teams).await;
    let members = |id| vec![(id, vec![dn_key("anna")])];
    for (team, _) in &teams {
        let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
        tx.replace_members(members(team.id)).await.unwrap();
        tx.commit().await.unwrap();
    }
    mark(&world, world.directory.id, &teams[0].1, 2).await;
    let of_anna = store.groups_of(world.org(), anna.0.id.as_uuid(), &all()).await.unwrap().items;
    assert_eq!(of_anna.iter().map(|group| group.id).collect::<Vec<_>>(), [teams[1].0.id]);
    assert!(store.list_group_members(world.org(), teams[0].0.id, &all()).await.unwrap().items.is_empty());
    assert_eq!(store.get_group(world.org(), teams[0].0.id).await.unwrap().unwrap().missing_since, Some(at(2)));
    assert_eq!(store.count_members(world.org(), world.directory.id).await.unwrap().resolved, 1);
    // When it returns, it is written with its members.
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(3)).await.unwrap();
    tx.identities().update_groups(vec![teams[0].0.clone()]).await.unwrap();
    tx.update_accounts(vec![teams[0].1.clone()]).await.unwrap();
    tx.replace_members(members(teams[0].0.id)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.groups_of(world.org(), anna.0.id.as_uuid(), &all()).await.unwrap().items.len(), 2);
    assert_eq!(store.get_group(world.org(), teams[0].0.id).await.unwrap().unwrap().missing_since, None);
}

async fn lists_can_be_narrowed_to_the_active_and_the_missing(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let mut people = ["anna", "bert", "cleo"].map(|name| world.person(name));
    people[1].0.active = false;
    people[1].1.switch = Switch::Off;
    let teams = [world.team("gone"), world.team("stays")];
    world.import(&people, &teams).await;
    mark(&world, world.directory.id, &people[2].1, 1).await;
    mark(&world, world.directory.id, &teams[0].1, 1).await;
    let of = |active, missing| IdentityFilter { active, missing };
    for (query, filter, wanted) in [
        (None, of(None, None), vec!["anna", "bert", "cleo"]),
        (None, of(Some(true), None), vec!["anna"]),
        (None, of(Some(false), None), vec!["bert", "cleo"]),
        (None, of(None, Some(true)), vec!["cleo"]),
        (None, of(Some(false), Some(false)), vec!["bert"]),
        (Some("display"), of(Some(true), None), vec!["anna"]),
        (Some("display"), of(Some(false), None), vec!["bert", "cleo"]),
        (Some("display"), of(None, Some(true)), vec!["cleo"]),
        (Some("display"), of(Some(false), Some(false)), vec!["bert"]),
        (Some("cleo@corp"), of(Some(false), Some(true)), vec!["cleo"]),
        (Some("cleo@corp"), of(None, Some(false)), vec![]),
    ] {
        let page = store.list_users_where(world.org(), query, filter, &all()).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|user| user.user_name.as_str()).collect();
        assert_eq!(names, wanted, "{query:?} {filter:?}");
        let total = store.total_users(world.org(), query, filter).await.unwrap();
        assert_eq!((total.count, total.more), (wanted.len() as u64, false), "{query:?} {filter:?}");
        // The same list, page by page, with one user on each.
        let (mut names, mut page) = (Vec::new(), PageRequest::first(1));
        loop {
            let here = store.list_users_where(world.org(), query, filter, &page).await.unwrap();
            names.extend(here.items.into_iter().map(|user| user.user_name));
            let Some(next) = here.next else { break };
            page.after = Some(next);
        }
        assert_eq!(names, wanted, "{query:?} {filter:?}, page by page");
    }
    for (missing, wanted) in [(Some(true), vec!["gone"]), (Some(false), vec!["stays"]), (None, vec!["gone", "stays"])] {
        let page = store.list_groups_where(world.org(), None, of(None, missing), &all()).await.unwrap();
        assert_eq!(page.items.iter().map(|group| group.display_name.as_str()).collect::<Vec<_>>(), wanted);
    }
}
