//! A company whose directory delivers its people repeatedly, for the tests of holds.

use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_runtime::clock::ManualClock;
use postern_store::{Job, JobId, JobState, PageRequest, UserRow};
use serde_json::Value;

use super::agent::{Session, Site, TestAgent, hello};
use super::chunks::Chunk;
use super::soon;

/// A person in the directory.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) number: usize,
    pub(super) login: Option<String>,
    pub(super) mail: bool,
    pub(super) locked: bool,
    /// In seconds since 1970.
    pub(super) expires: Option<u64>,
    pub(super) title: &'static str,
    pub(super) container: &'static str,
}

pub(super) fn person(number: usize) -> Person {
    let login = Some(format!("user{number:02}"));
    Person { number, login, mail: true, locked: false, expires: None, title: "Clerk", container: "ou=people" }
}

pub(super) fn company(count: usize) -> Vec<Person> {
    (0..count).map(person).collect()
}

/// These people, and a group of the first of them.
pub(super) fn delivered(people: &[Person], members: usize) -> Vec<Chunk> {
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

pub(super) struct Line {
    pub(super) site: Site,
    pub(super) agent: TestAgent,
    pub(super) session: Session,
}

impl Line {
    pub(super) async fn start() -> Self {
        Self::of(Site::start().await).await
    }

    pub(super) async fn start_at(clock: &ManualClock) -> Self {
        Self::of(Site::start_at(clock.shared()).await).await
    }

    pub(super) async fn of(site: Site) -> Self {
        let agent = site.enroll(&site.token(&[]).await).await.unwrap();
        let mut session = agent.connect(hello(&["corp"])).await.unwrap();
        soon(session.welcome()).await;
        Self { site, agent, session }
    }

    pub(super) async fn import(&mut self, people: &[Person], members: usize) -> JobId {
        self.site.import(&self.agent, &mut self.session, &delivered(people, members)).await
    }

    pub(super) async fn done(&mut self, people: &[Person], members: usize) -> Value {
        let job = self.import(people, members).await;
        self.site.wait_for(job, JobState::Succeeded).await.result.unwrap()
    }

    /// Runs an import that is held for this reason alone.
    pub(super) async fn held(&mut self, people: &[Person], members: usize, kind: &str, count: u64) -> Job {
        let job = self.import(people, members).await;
        let job = self.site.wait_for(job, JobState::Held).await;
        let reasons = job.hold.as_ref().unwrap()["reasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert_eq!((&reasons[0]["kind"], &reasons[0]["count"]), (&kind.into(), &count.into()), "{reasons:?}");
        assert!(reasons[0]["people"][0]["dn"].is_string(), "{reasons:?}");
        job
    }

    pub(super) async fn users(&self) -> Vec<UserRow> {
        let page = PageRequest::first(1_000);
        self.site.store().list_users(self.site.organization, None, &page).await.unwrap().items
    }

    pub(super) async fn count(&self, is: impl Fn(&UserRow) -> bool) -> usize {
        self.users().await.iter().filter(|user| is(user)).count()
    }

    pub(super) async fn members(&self) -> usize {
        let (store, organization) = (self.site.store(), self.site.organization);
        let groups = store.list_groups(organization, None, &PageRequest::first(10)).await.unwrap().items;
        let group = groups.first().unwrap();
        let page = PageRequest::first(1_000);
        store.list_group_members(organization, group.id, &page).await.unwrap().items.len()
    }

    pub(super) async fn approve(&self, job: &Job) -> Value {
        let store = self.site.store();
        store.approve_job(self.site.organization, job.id, "test", self.site.now()).await.unwrap();
        self.site.wait_for(job.id, JobState::Succeeded).await.result.unwrap()
    }

    pub(super) async fn reject(&self, job: &Job) {
        let store = self.site.store();
        store.reject_job(self.site.organization, job.id, "test", None, self.site.now()).await.unwrap();
    }
}

pub(super) fn changed(people: &[Person], many: usize, change: impl Fn(&mut Person)) -> Vec<Person> {
    let mut people = people.to_vec();
    people.iter_mut().take(many).for_each(change);
    people
}
