//! What holds an import beside missing accounts: changes that are harmless one by one and a fault when they are many.

use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_proto::v1;
use postern_store::{Job, JobId, JobState, PageRequest, UserRow};
use serde_json::Value;

use super::agent::{Session, Site, TestAgent, hello};
use super::chunks::Chunk;
use super::soon;

/// Somebody in the directory.
#[derive(Clone)]
struct Person {
    number: usize,
    login: Option<String>,
    mail: bool,
    locked: bool,
    title: &'static str,
    container: &'static str,
}

fn person(number: usize) -> Person {
    let login = Some(format!("user{number:02}"));
    Person { number, login, mail: true, locked: false, title: "Clerk", container: "ou=people" }
}

fn company(count: usize) -> Vec<Person> {
    (0..count).map(person).collect()
}

/// These people, and a group of the first of them.
fn delivered(people: &[Person], members: usize) -> Vec<Chunk> {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    let dn = |person: &Person| format!("uid=user{:02},{},dc=x", person.number, person.container);
    for person in people {
        let id = uuid::Uuid::from_u128(person.number as u128 + (9 << 64)).to_string();
        let mut entry = writer.entry(Kind::User, &id, &dn(person), person.login.as_deref());
        if let Some(login) = &person.login {
            entry.attribute("uid", [login.as_bytes()]);
        }
        entry.attribute("displayName", [format!("Person {}", person.number).as_bytes()]);
        entry.attribute("title", [person.title.as_bytes()]);
        entry.attribute("cn", [format!("user{:02}x", person.number).as_bytes()]);
        if person.mail {
            entry.attribute("mail", [format!("user{:02}@x.example", person.number).as_bytes()]);
        }
        entry.switch(if person.locked { Switch::Off } else { Switch::On });
        entry.finish();
    }
    let mut entry = writer.entry(Kind::Group, "staff", "cn=staff,dc=x", None);
    entry.attribute("cn", [b"staff".as_slice()]);
    people.iter().take(members).for_each(|person| entry.member(dn(person).as_bytes()));
    entry.finish();
    let digest = writer.digest();
    vec![Chunk { users: people.len() as u64, groups: 1, digest, payload: writer.finish() }]
}

struct Line {
    site: Site,
    agent: TestAgent,
    session: Session,
}

impl Line {
    async fn start() -> Self {
        let site = Site::start().await;
        let agent = site.enroll(&site.token(&[]).await).await.unwrap();
        let mut session = agent.connect(hello(&["corp"])).await.unwrap();
        soon(session.welcome()).await;
        Self { site, agent, session }
    }

    async fn import(&mut self, people: &[Person], members: usize) -> JobId {
        self.site.import(&self.agent, &mut self.session, &delivered(people, members)).await
    }

    async fn done(&mut self, people: &[Person], members: usize) -> Value {
        let job = self.import(people, members).await;
        self.site.wait_for(job, JobState::Succeeded).await.result.unwrap()
    }

    /// An import that is held for this alone.
    async fn held(&mut self, people: &[Person], members: usize, kind: &str, count: u64) -> Job {
        let job = self.import(people, members).await;
        let job = self.site.wait_for(job, JobState::Held).await;
        let reasons = job.hold.as_ref().unwrap()["reasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert_eq!((&reasons[0]["kind"], &reasons[0]["count"]), (&kind.into(), &count.into()), "{reasons:?}");
        assert!(reasons[0]["people"][0]["dn"].is_string(), "{reasons:?}");
        job
    }

    async fn users(&self) -> Vec<UserRow> {
        let page = PageRequest::first(1_000);
        self.site.store().list_users(self.site.organization, None, &page).await.unwrap().items
    }

    async fn count(&self, is: impl Fn(&UserRow) -> bool) -> usize {
        self.users().await.iter().filter(|user| is(user)).count()
    }

    async fn members(&self) -> usize {
        let (store, organization) = (self.site.store(), self.site.organization);
        let groups = store.list_groups(organization, None, &PageRequest::first(10)).await.unwrap().items;
        let group = groups.first().unwrap();
        let page = PageRequest::first(1_000);
        store.list_group_members(organization, group.id, &page).await.unwrap().items.len()
    }

    async fn approve(&self, job: &Job) -> Value {
        let store = self.site.store();
        store.approve_job(self.site.organization, job.id, "test", self.site.now()).await.unwrap();
        self.site.wait_for(job.id, JobState::Succeeded).await.result.unwrap()
    }

    async fn reject(&self, job: &Job) {
        let store = self.site.store();
        store.reject_job(self.site.organization, job.id, "test", self.site.now()).await.unwrap();
    }
}

fn changed(people: &[Person], many: usize, change: impl Fn(&mut Person)) -> Vec<Person> {
    let mut people = people.to_vec();
    people.iter_mut().take(many).for_each(change);
    people
}

#[tokio::test(flavor = "multi_thread")]
async fn many_users_who_would_become_active_wait_for_approval() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&changed(&people, 20, |person| person.locked = true), 40).await;
    let job = line.held(&people, 40, "activated", 20).await;
    assert_eq!(line.count(|user| user.active).await, 20, "nobody is active before the decision");
    assert_eq!(job.hold.as_ref().unwrap()["reasons"][0]["people"][0]["display_name"], "Person 0");
    let result = line.approve(&job).await;
    assert_eq!((&result["became_active"], &result["updated"]), (&20.into(), &20.into()), "{result}");
    assert_eq!(line.count(|user| user.active).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_users_who_would_become_inactive_stay_active_after_a_rejection() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 40).await;
    let locked = changed(&people, 20, |person| person.locked = true);
    for _ in 0..2 {
        let job = line.held(&locked, 40, "deactivated", 20).await;
        line.reject(&job).await;
        assert_eq!(line.count(|user| user.active).await, 40);
    }
    let result = line.done(&people, 40).await;
    assert_eq!(result["updated"], 0, "nothing of a rejected import stays: {result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_renamed_logins_are_held() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 40).await;
    let renamed = changed(&people, 20, |person| person.login = Some(format!("other{}", person.number)));
    let job = line.held(&renamed, 40, "renamed", 20).await;
    assert_eq!(line.count(|user| user.user_name.starts_with("user")).await, 40);
    line.approve(&job).await;
    assert_eq!(line.count(|user| user.user_name.starts_with("other")).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_that_vanishes_from_nearly_everybody_stays_until_somebody_approves() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 40).await;
    let hidden = changed(&people, 36, |person| person.mail = false);
    let job = line.held(&hidden, 40, "vanished", 36).await;
    assert_eq!(job.hold.as_ref().unwrap()["reasons"][0]["attribute"], "mail");
    assert_eq!(line.count(|user| user.email.is_some()).await, 40);
    line.approve(&job).await;
    assert_eq!(line.count(|user| user.email.is_some()).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_that_the_site_takes_off_its_list_goes_without_approval_and_a_listed_one_does_not() {
    let mut line = Line::start().await;
    let people = company(40);
    let groups = vec!["cn".to_owned()];
    let listed = |users: &[&str]| {
        let users = users.iter().map(|name| (*name).to_owned()).collect();
        Some(v1::chunk::Listed { users, groups: groups.clone() })
    };
    line.agent.listed = listed(&["uid", "displayName", "title", "cn", "MAIL"]);
    line.done(&people, 40).await;
    let without = changed(&people, 40, |person| person.mail = false);
    let job = line.held(&without, 40, "vanished", 40).await;
    assert_eq!(line.count(|user| user.email.is_some()).await, 40, "listed, so the directory hides it");
    line.reject(&job).await;
    line.agent.listed = listed(&["uid", "displayName", "title", "cn"]);
    let result = line.done(&without, 40).await;
    assert_eq!(result["updated"], 40, "{result}");
    assert_eq!(line.count(|user| user.email.is_some()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_attributes_beyond_its_limit_ends_the_delivery() {
    let mut line = Line::start().await;
    let users = vec!["x".to_owned(); postern_proto::limits::MAX_LISTED_ATTRIBUTES + 1];
    line.agent.listed = Some(v1::chunk::Listed { users, groups: Vec::new() });
    line.site.start_job("corp", "import").await;
    let command = soon(line.session.command()).await;
    let refused = line.agent.deliver(&command, &delivered(&company(4), 4), |_| {}).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_attribute_that_nobody_can_read_any_more_renames_nobody() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 40).await;
    let job = line.import(&changed(&people, 40, |person| person.login = None), 40).await;
    let job = line.site.wait_for(job, JobState::Held).await;
    let hold = job.hold.as_ref().unwrap();
    let named =
        |attribute: &str| hold["reasons"].as_array().unwrap().iter().any(|reason| reason["attribute"] == attribute);
    assert!(named("(login)") && named("uid"), "{hold}");
    assert_eq!(line.count(|user| user.user_name.starts_with("user")).await, 40);
    line.reject(&job).await;
    assert_eq!(line.count(|user| user.user_name.starts_with("user")).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_who_vanish_in_great_number_stay_members() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 40).await;
    let job = line.held(&people, 0, "removed", 40).await;
    assert_eq!(line.members().await, 40);
    line.reject(&job).await;
    assert_eq!(line.members().await, 40);
    line.done(&people, 38).await;
    assert_eq!(line.members().await, 38, "two of forty are no reason");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_changes_of_every_kind_are_applied_by_the_import_itself() {
    let mut line = Line::start().await;
    let mut people = company(40);
    line.done(&people, 40).await;
    people[0].locked = true;
    people[1].login = Some("renamed".to_owned());
    people[2].mail = false;
    let result = line.done(&people, 39).await;
    let counts = ["became_inactive", "renamed", "members_removed"].map(|count| result[count].as_u64().unwrap());
    assert_eq!((counts, &result["updated"]), ([1, 1, 1], &4.into()), "{result}");
    assert_eq!(result["attributes_gone"]["user mail"], 1, "{result}");
    assert_eq!(line.count(|user| user.active).await, 39);
    assert_eq!(line.count(|user| user.user_name == "renamed").await, 1);
    assert_eq!(line.count(|user| user.email.is_some()).await, 39);
    let again = line.done(&people, 39).await;
    assert_eq!(again["updated"], 0, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_question_does_not_wait_for_the_decision() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 40).await;
    let mut hidden = changed(&people, 30, |person| person.mail = false);
    hidden[35].locked = true;
    hidden[36].title = "Chief";
    line.held(&hidden, 40, "vanished", 30).await;
    assert_eq!(line.count(|user| user.active).await, 39, "one who left is inactive at once");
    assert_eq!(line.count(|user| user.attributes.contains("Chief")).await, 1);
    assert_eq!(line.count(|user| user.email.is_some()).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_small_directory_half_of_the_accounts_hold_an_import() {
    let mut line = Line::start().await;
    let people = company(8);
    line.done(&people, 0).await;
    let job = line.held(&people[..1], 0, "missing", 7).await;
    assert!(job.hold.unwrap()["reason"].as_str().unwrap().contains("7 of 9"), "the group counts too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_empty_all_at_once_holds_an_import_however_few_are_in_it() {
    let mut line = Line::start().await;
    let people = changed(&company(100), 4, |person| person.container = "ou=north,ou=people");
    line.done(&people, 100).await;
    let job = line.held(&people[4..], 96, "missing", 4).await;
    let hold = job.hold.as_ref().unwrap();
    let north = "ou=north,ou=people,dc=x";
    assert!(hold["reason"].as_str().unwrap().contains(north), "{hold}");
    let container = &hold["containers"][0];
    assert_eq!((&container["dn"], &container["missing"], &container["known"]), (&north.into(), &4.into(), &4.into()));
    line.reject(&job).await;
    // As many of a container in which others stay are an everyday change.
    let result = line.done(&[&people[..6], &people[10..]].concat(), 96).await;
    assert_eq!(result["missing"], 4, "{result}");
}
