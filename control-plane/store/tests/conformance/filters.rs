//! Lists of users by group, last change and source, in every combination, page by page.

use std::collections::BTreeSet;

use crate::support::world::{World, account_of, at, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, FilterBounds, GroupId, IdentityFilter, IdentityId, NewAccount, PageRequest, Switch, UserFilter,
    UserRow, UserSource,
};

conformance! {
    each_filter_finds_its_users_page_by_page,
    accounts_that_do_not_show_their_switch_are_listed,
    deleted_users_are_found_by_name,
}

/// Bounds by which the list is read and checked, and no filter is taken for one that selects few.
const LIST: FilterBounds = FilterBounds { few: 0, looked_at: usize::MAX };
/// Bounds by which pages are short.
const SHORT: FilterBounds = FilterBounds { few: 0, looked_at: 3 };

/// The names of all users that a filter finds, page by page. Pages are full, unless they may look at few users only.
async fn pages(
    world: &World,
    query: Option<&str>,
    filter: &UserFilter,
    limit: u32,
    bounds: FilterBounds,
) -> Vec<String> {
    let (mut names, mut page) = (Vec::new(), PageRequest::first(limit));
    for _ in 0..2_000 {
        let part = world.store.filter_users_within(world.org(), query, filter, &page, bounds).await.unwrap();
        let count = part.items.len();
        names.extend(part.items.into_iter().map(|user| user.user_name));
        let Some(next) = part.next else { return names };
        assert!(count == limit as usize || (count < limit as usize && bounds.looked_at == SHORT.looked_at), "{count}");
        page = PageRequest::after(next, limit);
    }
    panic!("the list does not end");
}

/// The names of all users that a filter finds. They are in the order of the list without filters, whichever way they are found.
async fn found(world: &World, query: Option<&str>, filter: &UserFilter, limit: u32) -> BTreeSet<String> {
    let few = pages(world, query, filter, limit, FilterBounds::default()).await;
    for bounds in [LIST, SHORT] {
        assert_eq!(pages(world, query, filter, limit, bounds).await, few, "{bounds:?}");
    }
    let all = world.store.list_users(world.org(), query, &PageRequest::first(1_000)).await.unwrap();
    let set: BTreeSet<String> = few.iter().cloned().collect();
    let in_order: Vec<String> =
        all.items.into_iter().map(|user| user.user_name).filter(|name| set.contains(name)).collect();
    assert_eq!(few, in_order);
    set
}

/// Sixty people of a directory, one after the other, and ten of the organization's own.
struct Crowd {
    names: Vec<String>,
    /// A third of them, added by the organization.
    staff: GroupId,
    /// A quarter of the directory's, as the directory says.
    crew: GroupId,
}

impl Crowd {
    async fn come(world: &World) -> Self {
        let mut people: Vec<(UserRow, NewAccount)> =
            (0..60).map(|number| world.person(&format!("person{number:02}"))).collect();
        for (number, (user, _)) in people.iter_mut().enumerate() {
            user.active = usize::is_multiple_of(number, 2);
            // A search finds them in other orders by display name and by address.
            user.display_name = (number % 4 == 1).then(|| format!("Person1 {}", 60 - number));
            user.email = match number % 4 {
                2 => Some(format!("person1x{}@corp.example", 60 - number)),
                3 => Some(format!("{}@corp.example", user.user_name)),
                _ => None,
            };
        }
        // Each came at another time.
        for (second, (user, account)) in (0..).zip(&people) {
            let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(second)).await.unwrap();
            tx.identities().insert_users(vec![user.clone()]).await.unwrap();
            tx.insert_accounts(vec![account.clone()]).await.unwrap();
            tx.commit().await.unwrap();
        }
        let (crew, account) = world.team("crew");
        let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(0)).await.unwrap();
        // One has a second account in the directory.
        let second = account_of(AccountKind::User, "second", Some(people[5].0.id.as_uuid()));
        tx.insert_accounts(vec![second, account]).await.unwrap();
        tx.identities().insert_groups(vec![crew.clone()]).await.unwrap();
        let named = (0..60).step_by(4).map(|number| dn_key(&format!("person{number:02}"))).collect();
        tx.replace_members(vec![(crew.id, named)]).await.unwrap();
        tx.commit().await.unwrap();
        let own: Vec<UserRow> = (0..10).map(|number| world.person(&format!("own{number}")).0).collect();
        let staff = world.team("staff").0;
        let mut tx = world.store.begin_identities(world.org(), at(0)).await.unwrap();
        tx.insert_own_users(own.iter().map(|user| (user.clone(), "{}".to_owned())).collect()).await.unwrap();
        tx.insert_groups(vec![staff.clone()]).await.unwrap();
        let all: Vec<&UserRow> = people.iter().map(|(user, _)| user).chain(&own).collect();
        let members = all.iter().step_by(3).map(|user| (staff.id, IdentityId::User(user.id)));
        tx.add_members(&members.collect::<Vec<_>>()).await.unwrap();
        tx.commit().await.unwrap();
        Self { names: all.iter().map(|user| user.user_name.clone()).collect(), staff: staff.id, crew: crew.id }
    }

    /// The names of those with these numbers.
    fn names(&self, wanted: impl Fn(usize) -> bool) -> BTreeSet<String> {
        self.names.iter().enumerate().filter(|(number, _)| wanted(*number)).map(|(_, name)| name.clone()).collect()
    }
}

fn is_on(number: usize) -> bool {
    number >= 60 || number.is_multiple_of(2)
}

async fn each_filter_finds_its_users_page_by_page(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let other = World::new(&database.store, "two").await;
    other.import(&[other.person("stranger")], &[]).await;
    let crowd = Crowd::come(&world).await;
    let names = |wanted: fn(usize) -> bool| crowd.names(wanted);
    let (corp, none) = (UserSource::Directory(world.directory.id), UserFilter::default());
    let active = IdentityFilter { active: Some(true), missing: None };
    for limit in [1, 7, 1_000] {
        let from_corp = UserFilter { source: Some(corp), ..none };
        assert_eq!(found(&world, None, &from_corp, limit).await, names(|number| number < 60));
        let from_own = UserFilter { source: Some(UserSource::Organization), ..none };
        assert_eq!(found(&world, None, &from_own, limit).await, names(|number| number >= 60));
        let in_staff = UserFilter { group: Some(crowd.staff), ..none };
        assert_eq!(found(&world, None, &in_staff, limit).await, names(|number| number.is_multiple_of(3)));
        let in_crew = UserFilter { group: Some(crowd.crew), ..none };
        assert_eq!(found(&world, None, &in_crew, limit).await, names(|number| number < 60 && number % 4 == 0));
        let in_active_crew = UserFilter { fields: active, source: Some(corp), ..in_crew };
        assert_eq!(
            found(&world, Some("person1"), &in_active_crew, limit).await,
            names(|number| [12, 16].contains(&number))
        );
        let changed = UserFilter { updated_after: Some(at(50)), ..none };
        assert_eq!(found(&world, None, &changed, limit).await, names(|number| (51..60).contains(&number)));
        let all =
            UserFilter { group: Some(crowd.staff), source: Some(corp), updated_after: Some(at(30)), fields: active };
        let wanted = names(|number| number.is_multiple_of(3) && (31..60).contains(&number) && is_on(number));
        assert_eq!(found(&world, None, &all, limit).await, wanted);
        let of_text = UserFilter { source: Some(corp), fields: active, ..none };
        let wanted = names(|number| number < 60 && ((10..20).contains(&number) || number % 4 == 2) && is_on(number));
        assert_eq!(found(&world, Some("Person1"), &of_text, limit).await, wanted);
        let wanted = names(|number| number < 60 && ((10..20).contains(&number) || [1, 2].contains(&(number % 4))));
        assert_eq!(found(&world, Some("Person1"), &from_corp, limit).await, wanted);
        let by_own_address = found(&world, Some("person19@"), &from_corp, limit).await;
        assert_eq!(by_own_address, names(|number| number == 19));
        assert_eq!(found(&world, Some("own"), &from_own, limit).await, names(|number| number >= 60));
    }
    let foreign = UserFilter { source: Some(UserSource::Directory(other.directory.id)), ..none };
    assert!(found(&world, None, &foreign, 10).await.is_empty(), "another organization's");
    assert!(found(&other, None, &UserFilter { group: Some(crowd.staff), ..none }, 10).await.is_empty());
    let wrong = PageRequest::after("no cursor".to_owned(), 10);
    let changed = UserFilter { updated_after: Some(at(0)), ..none };
    assert!(world.store.filter_users(world.org(), None, &changed, &wrong).await.is_err());
}

async fn accounts_that_do_not_show_their_switch_are_listed(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let mut people: Vec<_> = ["ada", "bob", "eve"].map(|name| world.person(name)).into();
    people[1].1.switch = Switch::Unknown;
    world.import(&people, &[world.team("staff")]).await;
    let unknown = async |missing| -> Vec<(String, bool, Switch)> {
        let page = PageRequest::first(10);
        let found = world.store.list_unknown_accounts(world.org(), world.directory.id, missing, &page).await.unwrap();
        found.items.into_iter().map(|account| (account.dn, account.switch_hidden, account.switch)).collect()
    };
    assert_eq!(unknown(None).await, [("uid=bob,dc=Corp".to_owned(), true, Switch::Unknown)]);
    // Ada's switch is hidden later: the last known one stays, and is listed as that.
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    let hidden = NewAccount { switch: Switch::Unknown, ..people[0].1.clone() };
    let shown = NewAccount { switch: Switch::Off, ..people[1].1.clone() };
    tx.update_accounts(vec![hidden, shown]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(unknown(None).await, [("uid=ada,dc=Corp".to_owned(), true, Switch::On)]);
    assert_eq!((unknown(Some(false)).await.len(), unknown(Some(true)).await.len()), (1, 0));
}

async fn deleted_users_are_found_by_name(database: TestDatabase) {
    let (world, other) = (World::new(&database.store, "one").await, World::new(&database.store, "two").await);
    let (ada, _) = world.person("ada");
    let mut tx = world.store.begin_identities(world.org(), at(0)).await.unwrap();
    tx.insert_own_users(vec![(ada.clone(), "{}".to_owned())]).await.unwrap();
    let user = tx.owned_user(ada.id).await.unwrap().unwrap();
    tx.delete_user(user, "root").await.unwrap();
    tx.commit().await.unwrap();
    let deleted = world.store.find_deleted_user(world.org(), "ada").await.unwrap().unwrap();
    assert_eq!((deleted.id, deleted.deleted_by.as_str()), (ada.id, "root"));
    assert!(world.store.find_deleted_user(other.org(), "ada").await.unwrap().is_none());
    assert!(world.store.find_deleted_user(world.org(), "bob").await.unwrap().is_none());
}
