//! What holds an import beside missing accounts: changes that are harmless one by one and a fault when they are many.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_proto::v1;
use postern_runtime::clock::{Clock, ManualClock};
use postern_store::{Job, JobId, JobState, PageRequest, UserRow};
use serde_json::Value;

use super::agent::{Session, Site, TestAgent, hello, raw_outcome};
use super::chunks::Chunk;
use super::soon;

/// Somebody in the directory.
#[derive(Clone)]
struct Person {
    number: usize,
    login: Option<String>,
    mail: bool,
    locked: bool,
    /// In seconds since 1970.
    expires: Option<u64>,
    title: &'static str,
    container: &'static str,
}

fn person(number: usize) -> Person {
    let login = Some(format!("user{number:02}"));
    Person { number, login, mail: true, locked: false, expires: None, title: "Clerk", container: "ou=people" }
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
        let on = person.expires.map_or(Switch::On, Switch::OnUntil);
        entry.switch(if person.locked { Switch::Off } else { on });
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
        Self::of(Site::start().await).await
    }

    async fn start_at(clock: &ManualClock) -> Self {
        Self::of(Site::start_at(clock.shared()).await).await
    }

    async fn of(site: Site) -> Self {
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
        Some(v1::chunk::Listed { users, groups: groups.clone(), ..v1::chunk::Listed::default() })
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
    line.agent.listed = Some(v1::chunk::Listed { users, ..v1::chunk::Listed::default() });
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

/// The next delivery of a job that was sent to the agent before.
async fn again(line: &mut Line, source: Option<v1::Source>, people: &[Person]) -> Result<(), tonic::Status> {
    let command = soon(line.session.command()).await;
    let absent = |asked: &v1::chunk_ack::LookAgain| Some(vec![v1::Sight::Absent; asked.entries.len()]);
    line.agent.deliver_from(source, &command, &delivered(people, 40), |_| {}, absent).await?;
    line.session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    soon(line.session.next()).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_a_server_that_is_behind_approves_none_of_the_changes_that_it_brings() {
    let clock = ManualClock::new(Timestamp::now());
    let mut line = Line::start_at(&clock).await;
    let from = |value: &str| {
        let mark = v1::Mark { server: "dc1".to_owned(), value: value.to_owned() };
        Some(v1::Source { server: "dc1".to_owned(), marks: vec![mark], ..v1::Source::default() })
    };
    let people = company(40);
    let job = line.site.start_job("corp", "import").await;
    again(&mut line, from("0500"), &people).await.unwrap();
    line.site.wait_for(job, JobState::Succeeded).await;
    clock.advance(Duration::from_hours(5));
    let locked = changed(&people, 20, |person| person.locked = true);
    let job = line.site.start_job("corp", "import").await;
    again(&mut line, from("0300"), &locked).await.unwrap_err();
    line.site.wait_for(job, JobState::Held).await;
    line.site.store().approve_job(line.site.organization, job, "test", line.site.now()).await.unwrap();
    again(&mut line, from("0300"), &locked).await.unwrap();
    let held = line.site.wait_for(job, JobState::Held).await;
    assert_eq!(held.hold.as_ref().unwrap()["reasons"][0]["kind"], "deactivated", "{held:?}");
    assert_eq!(line.count(|user| user.active).await, 40);
    line.approve(&held).await;
    assert_eq!(line.count(|user| user.active).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_hours_before_its_approval_is_read_anew() {
    let clock = ManualClock::new(Timestamp::now());
    let mut line = Line::start_at(&clock).await;
    let people = company(40);
    line.done(&people, 40).await;
    let locked = changed(&people, 20, |person| person.locked = true);
    let job = line.held(&locked, 40, "deactivated", 20).await;
    clock.advance(Duration::from_hours(5));
    let (store, organization) = (line.site.store().clone(), line.site.organization);
    let approved = store.approve_job(organization, job.id, "test", line.site.now()).await.unwrap();
    assert!(approved.message.as_ref().is_some_and(|message| message.contains("read again")), "{approved:?}");
    // Still so many: the decision was about another reading.
    again(&mut line, None, &changed(&people, 21, |person| person.locked = true)).await.unwrap();
    let job = line.site.wait_for(job.id, JobState::Held).await;
    assert_eq!(job.hold.as_ref().unwrap()["reasons"][0]["count"], 21, "{job:?}");
    clock.advance(Duration::from_hours(5));
    store.approve_job(organization, job.id, "test", line.site.now()).await.unwrap();
    // Mended meanwhile: there is nothing left to decide.
    again(&mut line, None, &people).await.unwrap();
    let result = line.site.wait_for(job.id, JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["became_inactive"], 0, "{result}");
    assert_eq!(line.count(|user| user.active).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_are_switched_off_do_not_stay_active_because_another_change_of_theirs_is_held() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 40).await;
    let mut hidden = changed(&people, 30, |person| person.mail = false);
    hidden[..3].iter_mut().for_each(|person| person.locked = true);
    let job = line.held(&hidden, 40, "vanished", 30).await;
    assert_eq!(line.count(|user| user.active).await, 37, "three are switched off, and nothing keeps that back");
    assert_eq!(line.count(|user| user.email.is_some()).await, 40);
    let hold = job.hold.as_ref().unwrap();
    assert_eq!(hold["already_inactive"], 3, "{hold}");
    assert!(hold["reason"].as_str().unwrap().contains("3 users are switched off in the directory"), "{hold}");
    line.reject(&job).await;
    assert_eq!(line.count(|user| user.active).await, 37);
    // Unchanged against what was known before the held import, and read again all the same.
    let result = line.done(&people, 40).await;
    assert_eq!(result["became_active"], 3, "{result}");
    assert_eq!(line.count(|user| user.active).await, 40);
    let job = line.held(&hidden, 40, "vanished", 30).await;
    let result = line.approve(&job).await;
    assert_eq!((&result["became_inactive"], &result["updated"]), (&3.into(), &30.into()), "{result}");
    assert_eq!(line.count(|user| !user.active && user.email.is_none()).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_would_become_inactive_wait_whatever_else_their_entries_lack() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 40).await;
    let locked = changed(&people, 30, |person| (person.mail, person.locked) = (false, true));
    let job = line.import(&locked, 40).await;
    let job = line.site.wait_for(job, JobState::Held).await;
    assert_eq!(job.hold.as_ref().unwrap()["already_inactive"], 0, "{job:?}");
    assert_eq!(line.count(|user| user.active).await, 40);
}

/// Twelve groups with a description, or without one. The first has these members.
fn groups(people: &[Person], described: bool, members: Range<usize>) -> Vec<Chunk> {
    let mut chunks = delivered(people, 40);
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    for number in 0..12 {
        let (id, dn) = (format!("g{number}"), format!("cn=g{number},dc=x"));
        let mut entry = writer.entry(Kind::Group, &id, &dn, None);
        entry.attribute("cn", [id.as_bytes()]);
        if described {
            entry.attribute("description", [b"a team".as_slice()]);
        }
        let members = if number == 0 { members.clone() } else { 0..2 };
        let dn = |person: &Person| format!("uid=user{:02},{},dc=x", person.number, person.container);
        people[members].iter().for_each(|person| entry.member(dn(person).as_bytes()));
        entry.finish();
    }
    chunks.push(Chunk { users: 0, groups: 12, digest: writer.digest(), payload: writer.finish() });
    chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_a_group_is_no_member_though_another_change_of_the_group_is_held() {
    let mut line = Line::start().await;
    let people = company(40);
    let site = &line.site;
    let job = site.import(&line.agent, &mut line.session, &groups(&people, true, 0..5)).await;
    site.wait_for(job, JobState::Succeeded).await;
    let members = async || {
        let store = site.store();
        let groups = store.list_groups(site.organization, None, &PageRequest::first(20)).await.unwrap().items;
        let group = groups.iter().find(|group| group.display_name == "g0").unwrap();
        let members = store.list_group_members(site.organization, group.id, &PageRequest::first(20)).await.unwrap();
        (members.items.len(), group.description.clone())
    };
    let known = || Some("a team".to_owned());
    assert_eq!(members().await, (5, known()));
    let job = site.import(&line.agent, &mut line.session, &groups(&people, false, 0..3)).await;
    let held = site.wait_for(job, JobState::Held).await;
    assert_eq!(held.hold.as_ref().unwrap()["already_removed"], 2, "{held:?}");
    assert_eq!(members().await, (3, known()));
    site.store().reject_job(site.organization, job, "test", site.now()).await.unwrap();
    let job = site.import(&line.agent, &mut line.session, &groups(&people, true, 0..5)).await;
    site.wait_for(job, JobState::Succeeded).await;
    assert_eq!(members().await, (5, known()), "what comes back is written again");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_whose_accounts_are_about_to_expire_wait_for_approval() {
    let clock = ManualClock::new(Timestamp::now());
    let mut line = Line::start_at(&clock).await;
    let day = |days: i64| Some(u64::try_from(clock.now().as_second() + days * 86_400).unwrap());
    let mut people = company(40);
    people[39].expires = day(1);
    line.done(&people, 40).await;
    // A year is no coming expiry.
    let year = changed(&people, 20, |person| person.expires = day(365));
    line.done(&year, 40).await;
    // Twenty of them had an end, ten had none.
    let tomorrow = changed(&year, 30, |person| person.expires = day(1));
    let job = line.held(&tomorrow, 40, "deactivated", 30).await;
    line.reject(&job).await;
    clock.advance(Duration::from_hours(48));
    line.site.store().deactivate_due(clock.now()).await.unwrap();
    assert_eq!(line.count(|user| user.active).await, 39, "only the one whose end was known before");
    // A few pass.
    let few = changed(&year, 3, |person| person.expires = day(1));
    let result = line.done(&few, 40).await;
    assert_eq!(result["became_inactive"], 3, "{result}");
    // A later end takes nothing away.
    let later = changed(&year, 40, |person| person.expires = day(400));
    line.done(&later, 40).await;
}
