//! What a held import still applies: users who are switched off, and members who have left.

use std::ops::Range;

use postern_proto::chunk::{ChunkWriter, Kind, MemberForm};
use postern_store::{JobState, PageRequest};

use super::chunks::Chunk;
use super::company::{Line, Person, changed, company, delivered};

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
    // Unchanged since before the held import, and still read again.
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

/// Twelve groups, with a description or without. The first has these members.
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
    site.store().reject_job(site.organization, job, "test", None, site.now()).await.unwrap();
    let job = site.import(&line.agent, &mut line.session, &groups(&people, true, 0..5)).await;
    site.wait_for(job, JobState::Succeeded).await;
    assert_eq!(members().await, (5, known()), "what comes back is written again");
}

async fn members_of(line: &Line, name: &str) -> usize {
    let (store, organization) = (line.site.store(), line.site.organization);
    let groups = store.list_groups(organization, None, &PageRequest::first(20)).await.unwrap().items;
    let group = groups.iter().find(|group| group.display_name == name).unwrap();
    let members = store.list_group_members(organization, group.id, &PageRequest::first(100)).await.unwrap().items;
    members.iter().filter(|member| member.identity.is_some()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_group_gets_no_new_members_and_loses_none_who_is_moved() {
    let mut line = Line::start().await;
    let people = company(40);
    let job = line.site.import(&line.agent, &mut line.session, &groups(&people, true, 0..5)).await;
    line.site.wait_for(job, JobState::Succeeded).await;
    // Member 4 is moved, 0 to 3 leave, 5 and 6 are new.
    let moved = changed(&people, 5, |person| person.container = "ou=moved");
    let job = line.site.import(&line.agent, &mut line.session, &groups(&moved, false, 4..7)).await;
    line.site.wait_for(job, JobState::Held).await;
    assert_eq!(members_of(&line, "g0").await, 1, "four have left, and the two new ones wait for the decision");
    assert_eq!(members_of(&line, "g1").await, 2, "both members of it are moved");
    line.site.store().approve_job(line.site.organization, job, "test", line.site.now()).await.unwrap();
    line.site.wait_for(job, JobState::Succeeded).await;
    assert_eq!((members_of(&line, "g0").await, members_of(&line, "g1").await), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_whose_new_names_are_held_stay_members_under_their_former_ones() {
    let mut line = Line::start().await;
    let people = company(40);
    line.done(&people, 30).await;
    let renamed = changed(&people, 20, |person| {
        person.login = Some(format!("other{}", person.number));
        person.container = "ou=moved";
    });
    for _ in 0..2 {
        let job = line.held(&renamed, 30, "renamed", 20).await;
        assert_eq!(members_of(&line, "staff").await, 30, "nobody has left");
        line.reject(&job).await;
    }
    let job = line.held(&renamed, 30, "renamed", 20).await;
    line.approve(&job).await;
    assert_eq!(members_of(&line, "staff").await, 30);
    assert_eq!(line.count(|user| user.user_name.starts_with("other")).await, 20);
    let result = line.done(&renamed, 30).await;
    assert_eq!(result["updated"], 0, "{result}");
}
