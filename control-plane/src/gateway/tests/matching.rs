//! Which user an account belongs to: names that wait, people who leave and return, recreated entries, two directories.

use postern_store::{
    AccountId, DirectoryId, JobState, Member, MemberIdentity, OrganizationChange, PageRequest, UserRow,
};
use serde_json::Value;

use super::agent::{Session, Site, TestAgent, hello};
use super::chunks::{Chunk, Written, written};
use super::soon;
use postern_engine::intake::resolve::{self, Choice};

/// An agent that serves two directories, with queries for the tests.
pub(super) struct World {
    pub(super) site: Site,
    pub(super) agent: TestAgent,
    pub(super) session: Session,
}

impl World {
    pub(super) async fn new() -> Self {
        let site = Site::start().await;
        let agent = site.enroll(&site.token(&[]).await).await.unwrap();
        let mut session = agent.connect(hello(&["corp", "lab"])).await.unwrap();
        soon(session.welcome()).await;
        Self { site, agent, session }
    }

    /// Imports these entries and approves what is held.
    pub(super) async fn import(&mut self, directory: &str, entries: &[Written<'_>]) -> Value {
        self.import_chunks(directory, &written(entries)).await
    }

    /// Like [`Self::import`], with these chunks.
    pub(super) async fn import_chunks(&mut self, directory: &str, chunks: &[Chunk]) -> Value {
        let job = self.site.import_of(directory, &self.agent, &mut self.session, chunks).await;
        let ended = async {
            loop {
                let found = self.site.store().get_job(self.site.organization, job).await.unwrap().unwrap();
                match found.state {
                    JobState::Succeeded => return found.result.unwrap(),
                    JobState::Held => {
                        let now = self.site.now();
                        let _ = self.site.store().approve_job(self.site.organization, job, "test", now).await;
                    }
                    state => assert!(!state.is_final(), "{found:?}"),
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        soon(ended).await
    }

    /// The organization's users, by name.
    pub(super) async fn users(&self) -> Vec<UserRow> {
        self.site.store().list_users(self.site.organization, None, &PageRequest::first(100)).await.unwrap().items
    }

    /// The names of a group's members.
    pub(super) async fn members(&self, name: &str) -> Vec<String> {
        let (store, organization, page) = (self.site.store(), self.site.organization, PageRequest::first(100));
        let groups = store.list_groups(organization, None, &page).await.unwrap().items;
        let group = groups.iter().find(|group| group.display_name == name).unwrap();
        let members = store.list_group_members(organization, group.id, &page).await.unwrap().items;
        let name = |member: Member| match member.identity {
            Some(MemberIdentity::User { user_name, .. }) => Some(user_name),
            _ => None,
        };
        members.into_iter().filter_map(name).collect()
    }

    pub(super) async fn user(&self, name: &str) -> UserRow {
        let found = self.site.store().find_user(self.site.organization, name).await.unwrap();
        found.unwrap_or_else(|| panic!("there is no user {name}"))
    }

    pub(super) async fn directory(&self, name: &str) -> DirectoryId {
        self.site.store().find_directory(self.site.organization, name).await.unwrap().unwrap().id
    }

    /// The accounts that wait for a name.
    pub(super) async fn waiting(&self, directory: &str) -> Vec<AccountId> {
        let directory = self.directory(directory).await;
        let page = PageRequest::first(100);
        let found = self.site.store().list_conflicts(self.site.organization, directory, &page).await.unwrap();
        found.items.into_iter().map(|conflict| conflict.account.id).collect()
    }

    pub(super) async fn decide(&self, account: AccountId, choice: Choice) -> Result<UserRow, resolve::Error> {
        let (store, organization) = (self.site.store(), self.site.organization);
        let user = resolve::run(store, organization, account, (choice, "test"), self.site.now()).await?;
        Ok(store.get_user(organization, user.unwrap()).await.unwrap().unwrap())
    }
}

pub(super) const fn user<'w>(id: &'w str, login: &'w str, attributes: &'w [(&'w str, &'w str)]) -> Written<'w> {
    Written { id, dn: id, login: Some(login), enabled: true, attributes, members: None }
}

pub(super) fn named<'w>(id: &'w str, login: &'w str) -> Written<'w> {
    user(id, login, &[])
}

pub(super) fn group<'w>(
    id: &'w str,
    dn: &'w str,
    name: &'w [(&'w str, &'w str)],
    members: &'w [&'w str],
) -> Written<'w> {
    Written { id, dn, login: None, enabled: true, attributes: name, members: Some(members) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_new_name_is_taken_gets_all_else_and_goes_on_waiting() {
    let mut world = World::new().await;
    let anna = named("cn=1", "anna");
    world.import("corp", &[anna, user("cn=2", "bert", &[("mail", "old@x"), ("title", "before")])]).await;
    let before = world.user("bert").await;
    let result = world.import("corp", &[anna, user("cn=2", "anna", &[("mail", "old@x"), ("title", "before")])]).await;
    assert_eq!(result["conflicts"], 1, "{result}");
    // Later changes, while the login still waits.
    let changed = [("mail", "new@x"), ("title", "after")];
    let disabled = Written { enabled: false, ..user("cn=2", "anna", &changed) };
    let result = world.import("corp", &[anna, disabled]).await;
    assert_eq!(result["conflicts"], 1, "{result}");
    let after = world.user("bert").await;
    assert_eq!((after.id, after.email.as_deref()), (before.id, Some("new@x")));
    assert!(after.attributes.contains("after") && !after.active, "{after:?}");
    assert_eq!(world.users().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_gives_the_name_up_to_a_user_who_takes_it() {
    let mut world = World::new().await;
    let others = [named("cn=8", "xaver"), named("cn=9", "yves")];
    let with = |some: &[Written<'static>]| [some, &others].concat();
    world.import("corp", &with(&[named("cn=1", "anna"), named("cn=2", "bert")])).await;
    let (anna, bert) = (world.user("anna").await, world.user("bert").await);
    world.import("corp", &with(&[named("cn=2", "bert")])).await;
    let result = world.import("corp", &with(&[named("cn=2", "anna")])).await;
    assert_eq!((&result["conflicts"], world.user("anna").await.id), (&0.into(), bert.id), "{result}");
    let result = world.import("corp", &with(&[named("cn=2", "anna"), named("cn=3", "bert")])).await;
    assert_eq!(result["conflicts"], 0, "{result}");
    let newcomer = world.user("bert").await;
    assert!(newcomer.id != bert.id && newcomer.id != anna.id, "{newcomer:?}");
    // The returning account has the same user, and waits for the name.
    let back = [named("cn=1", "anna"), named("cn=2", "anna"), named("cn=3", "bert")];
    let result = world.import("corp", &with(&back)).await;
    assert_eq!(result["conflicts"], 1, "{result}");
    let accounts = world.site.store().accounts_of(world.site.organization, anna.id.as_uuid()).await.unwrap();
    assert!(accounts.len() == 1 && accounts[0].missing_since.is_none(), "{accounts:?}");
    assert_eq!(world.user("anna").await.id, bert.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_and_who_takes_the_name_are_settled_in_one_import_with_the_newcomer_behind() {
    let mut world = World::new().await;
    let others = [named("cn=8", "xaver"), named("cn=9", "yves")];
    let with = |some: &[Written<'static>]| [some, &others].concat();
    world.import("corp", &with(&[named("cn=1", "anna"), named("cn=2", "bert"), named("cn=3", "carl")])).await;
    let (bert, carl) = (world.user("bert").await, world.user("carl").await);
    // Anna leaves; Bert becomes Anna, Carl becomes Bert, and a new account becomes Carl and comes first.
    let after = [named("cn=4", "carl"), named("cn=3", "bert"), named("cn=2", "anna")];
    let result = world.import("corp", &with(&after)).await;
    assert_eq!(result["conflicts"], 0, "{result}");
    assert_eq!(world.user("anna").await.id, bert.id);
    assert_eq!(world.user("bert").await.id, carl.id);
    assert!(![bert.id, carl.id].contains(&world.user("carl").await.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_loaded_anew_keeps_the_ids_of_users_and_groups() {
    let mut world = World::new().await;
    let name: &[(&str, &str)] = &[("cn", "g")];
    let members: &[&str] = &["uid=anna"];
    let load = |id: &'static str, group_id: &'static str| {
        [Written { dn: "uid=anna", ..named(id, "anna") }, group(group_id, "cn=g", name, members)]
    };
    world.import("corp", &load("cn=1", "cn=g1")).await;
    let anna = world.user("anna").await;
    let groups = async |world: &World| {
        world.site.store().list_groups(world.site.organization, None, &PageRequest::first(10)).await.unwrap().items
    };
    let before = groups(&world).await;
    let result = world.import("corp", &load("cn=2", "cn=g2")).await;
    assert_eq!((&result["conflicts"], &result["taken_over"]), (&0.into(), &2.into()), "{result}");
    assert_eq!(world.user("anna").await.id, anna.id);
    let after = groups(&world).await;
    assert_eq!((after.len(), after[0].id), (1, before[0].id));
    assert_eq!((&result["members_resolved"], &result["members_unresolved"]), (&1.into(), &0.into()), "{result}");
    let store = world.site.store();
    let of_anna = store.groups_of(world.site.organization, anna.id.as_uuid(), &PageRequest::first(10)).await.unwrap();
    assert_eq!(of_anna.items.iter().map(|group| group.id).collect::<Vec<_>>(), [before[0].id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_a_gap_inherits_nothing_until_an_administrator_decides() {
    for choice in [Choice::Link, Choice::CreateUser] {
        let mut world = World::new().await;
        let others = [named("cn=8", "xaver"), named("cn=9", "yves")];
        let with = |some: &[Written<'static>]| [some, &others].concat();
        world.import("corp", &with(&[user("cn=1", "anna", &[("mail", "left@x")])])).await;
        let leaver = world.user("anna").await;
        world.import("corp", &with(&[])).await;
        let newcomer = user("cn=2", "anna", &[("mail", "new@x")]);
        let result = world.import("corp", &with(&[newcomer])).await;
        assert_eq!(result["conflicts"], 1, "{result}");
        assert_eq!(result["conflict_samples"][0]["holder"], "gone", "{result}");
        assert_eq!(world.user("anna").await.email.as_deref(), Some("left@x"), "nothing is inherited");
        let waiting = world.waiting("corp").await;
        let decided = world.decide(waiting[0], choice).await.unwrap();
        assert_eq!(decided.id == leaver.id, choice == Choice::Link);
        assert_eq!((decided.user_name.as_str(), decided.email.as_deref()), ("anna", Some("new@x")));
        assert!(matches!(world.decide(waiting[0], choice).await, Err(resolve::Error::NoConflict)), "decided once");
        // The leaver's own entry comes back alongside the new one.
        let result = world.import("corp", &with(&[newcomer, user("cn=1", "anna", &[("mail", "left@x")])])).await;
        assert_eq!(result["conflicts"], 1, "{result}");
        let back = world.waiting("corp").await;
        let account = world.site.store().get_account(world.site.organization, back[0]).await.unwrap().unwrap();
        let own = account.identity.map(postern_store::UserId::from_uuid);
        assert_eq!(own, (choice == Choice::CreateUser).then_some(leaver.id), "its own user, unless that passed on");
        if choice == Choice::Link {
            assert!(matches!(world.decide(back[0], choice).await, Err(resolve::Error::Present { .. })));
            assert!(matches!(world.decide(back[0], Choice::CreateUser).await, Err(resolve::Error::Present { .. })));
        } else {
            assert!(matches!(world.decide(back[0], choice).await, Err(resolve::Error::HasUser)));
        }
    }
}

const A: &[(&str, &str)] = &[("givenName", "JoA"), ("mail", "jo.a@lab.test")];
const B: &[(&str, &str)] = &[("givenName", "JoB"), ("mail", "jo.b@lab.test"), ("title", "only in b")];

#[tokio::test(flavor = "multi_thread")]
async fn the_first_directory_has_the_profile_and_it_falls_back_when_that_account_leaves() {
    let mut world = World::new().await;
    let others = [named("cn=8", "xaver"), named("cn=9", "yves")];
    let with = |some: &[Written<'static>]| [some, &others].concat();
    let given = async |world: &World| world.user("jo").await.given_name.unwrap();
    world.import("corp", &with(&[user("cn=a", "jo", A)])).await;
    let jo = world.user("jo").await;
    let result = world.import("lab", &[user("cn=b", "jo", B), named("cn=c", "bo")]).await;
    assert_eq!((&result["joined"], &result["conflicts"]), (&1.into(), &0.into()), "{result}");
    let sample = &result["joined_samples"][0];
    assert_eq!((&sample["user_name"], &sample["directories"]), (&"jo".into(), &"corp".into()), "{result}");
    assert_eq!(given(&world).await, "JoA");
    let changed: &[(&str, &str)] = &[("givenName", "JoB2"), ("mail", "jo.b@lab.test")];
    let result = world.import("lab", &[user("cn=b", "joanna", changed), named("cn=c", "bo")]).await;
    assert_eq!((&result["joined"], &result["conflicts"]), (&0.into(), &0.into()), "reported once: {result}");
    assert_eq!((given(&world).await.as_str(), world.user("jo").await.id), ("JoA", jo.id));
    // The account of the first directory leaves.
    world.import("corp", &others).await;
    let after = world.user("joanna").await;
    assert_eq!((after.id, after.given_name.as_deref()), (jo.id, Some("JoB2")));
    // And comes back.
    world.import("corp", &with(&[user("cn=a", "jo", A)])).await;
    assert_eq!((given(&world).await.as_str(), world.user("jo").await.id), ("JoA", jo.id));
}

pub(super) async fn join_users(world: &World, joins: bool) {
    let change = OrganizationChange { joins_users: Some(joins), ..OrganizationChange::default() };
    world.site.store().change_organization(world.site.organization, change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_can_be_refused() {
    let mut world = World::new().await;
    world.import("corp", &[user("cn=a", "jo", A)]).await;
    join_users(&world, false).await;
    let entries = [user("cn=b", "jo", B), named("cn=c", "bo")];
    let result = world.import("lab", &entries).await;
    assert_eq!((&result["joined"], &result["conflicts"]), (&0.into(), &1.into()), "{result}");
    let waiting = world.waiting("lab").await;
    let refused = world.decide(waiting[0], Choice::CreateUser).await;
    assert!(matches!(refused, Err(resolve::Error::PresentElsewhere)), "{refused:?}");
    let linked = world.decide(waiting[0], Choice::Link).await.unwrap();
    assert_eq!((linked.user_name.as_str(), linked.given_name.as_deref()), ("jo", Some("JoA")));
    let result = world.import("lab", &entries).await;
    assert_eq!((&result["joined"], &result["conflicts"]), (&1.into(), &0.into()), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_over_a_user_who_has_left_another_directory() {
    for joins in [true, false] {
        let mut world = World::new().await;
        join_users(&world, joins).await;
        world.import("corp", &[user("cn=a", "jo", A), named("cn=z", "zoe")]).await;
        let before = world.user("jo").await;
        world.import("corp", &[named("cn=z", "zoe")]).await;
        let result = world.import("lab", &[user("cn=b", "jo", B)]).await;
        assert_eq!((&result["joined"], &result["conflicts"]), (&0.into(), &1.into()), "{result}");
        let after = world.user("jo").await;
        assert_eq!((after.id, after.given_name, after.active), (before.id, before.given_name, false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_without_a_login_is_reported_and_keeps_the_name_that_it_had() {
    let mut world = World::new().await;
    let anna = |login: Option<&'static str>| Written {
        login,
        ..user("cn=1", "", &[("cn", "Anna A"), ("mail", "anna@x"), ("uid", "other")])
    };
    world.import("corp", &[anna(Some("anna@x")), named("cn=9", "zoe")]).await;
    let before = world.user("anna@x").await;
    for login in [None, Some(" ")] {
        let bert = Written { login, ..user("cn=2", "", &[("cn", "bert")]) };
        let staff = group("g", "cn=staff", &[("cn", "staff")], &["cn=1", "cn=2", "cn=7"]);
        let result = world.import("corp", &[anna(login), bert, named("cn=9", "zoe"), staff]).await;
        assert_eq!(result["without_login"], 2, "{result}");
        // Anna keeps her user, Bert has none, and the third name belongs to no account.
        let members = ["members_resolved", "members_without_user", "members_unresolved"].map(|key| &result[key]);
        assert_eq!(members, [1, 1, 1], "{result}");
        assert_eq!(result["members_unresolved_samples"].as_array().unwrap().len(), 1, "{result}");
        let samples = result["without_login_samples"].to_string();
        assert!(samples.contains("cn=1") && samples.contains("anna@x") && samples.contains("cn=2"), "{samples}");
        assert_eq!(world.user("anna@x").await.id, before.id);
        assert_eq!(world.users().await.len(), 2, "nobody is named by another attribute");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_several_logins_renames_nobody() {
    let mut world = World::new().await;
    world.import("corp", &[user("cn=1", "main", &[("uid", "main|alias")])]).await;
    let before = world.user("main").await;
    world.import("corp", &[user("cn=1", "alias", &[("uid", "alias|main")])]).await;
    assert_eq!(world.user("main").await.id, before.id);
    world.import("corp", &[user("cn=1", "alias", &[("uid", "alias")])]).await;
    assert_eq!(world.user("alias").await.id, before.id, "the name that is gone is given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_moves_stays_a_member_and_so_does_everybody_if_the_import_fails() {
    let mut world = World::new().await;
    let staff = [("cn", "staff")];
    let anna = Written { dn: "uid=anna,ou=north", ..named("1", "anna") };
    world.import("corp", &[anna, group("g", "cn=staff", &staff, &["uid=anna,ou=north"])]).await;
    let moved = Written { dn: "uid=anna,ou=south", ..anna };
    let chunks = written(&[moved, group("g", "cn=staff", &staff, &["uid=anna,ou=south"])]);
    let job = world.site.start_job("corp", "import").await;
    let command = soon(world.session.command()).await;
    world.agent.deliver(&command, &chunks, |summary| summary.users += 1).await.unwrap();
    assert_eq!(world.members("staff").await, ["anna"], "nothing of it counts");
    world.site.store().request_cancel(world.site.organization, job, world.site.now()).await.unwrap();
    let result = world.import_chunks("corp", &chunks).await;
    assert_eq!((world.members("staff").await, &result["members_unresolved"]), (vec!["anna".to_owned()], &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_in_two_spellings_is_one_user() {
    let mut world = World::new().await;
    world.import("corp", &[named("1", "j\u{f6}rg")]).await;
    let before = world.user("J\u{d6}RG").await;
    world.import("corp", &[named("1", "jo\u{308}rg")]).await;
    assert_eq!(world.user("j\u{f6}rg").await.id, before.id);
    let result = world.import("lab", &[named("2", "JO\u{308}RG")]).await;
    assert_eq!((&result["joined"], world.users().await.len()), (&1.into(), 1), "{result}");
}
