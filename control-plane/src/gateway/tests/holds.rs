//! What holds an import besides missing accounts: changes that are harmless one by one, and a fault in great number.

use std::time::Duration;

use jiff::Timestamp;
use postern_proto::v1;
use postern_runtime::clock::{Clock, ManualClock};
use postern_store::JobState;

use super::agent::raw_outcome;
use super::company::{Line, Person, changed, company, delivered};
use super::soon;

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
    // The same number from a container in which others stay is an ordinary change.
    let result = line.done(&[&people[..6], &people[10..]].concat(), 96).await;
    assert_eq!(result["missing"], 4, "{result}");
}

/// The next delivery of a job that was sent to the agent already.
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
    // The same number again, but the approval was for other data.
    again(&mut line, None, &changed(&people, 21, |person| person.locked = true)).await.unwrap();
    let job = line.site.wait_for(job.id, JobState::Held).await;
    assert_eq!(job.hold.as_ref().unwrap()["reasons"][0]["count"], 21, "{job:?}");
    clock.advance(Duration::from_hours(5));
    store.approve_job(organization, job.id, "test", line.site.now()).await.unwrap();
    // Repaired meanwhile: nothing is left to decide.
    again(&mut line, None, &people).await.unwrap();
    let result = line.site.wait_for(job.id, JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["became_inactive"], 0, "{result}");
    assert_eq!(line.count(|user| user.active).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_whose_accounts_are_about_to_expire_wait_for_approval() {
    let clock = ManualClock::new(Timestamp::now());
    let mut line = Line::start_at(&clock).await;
    let day = |days: i64| Some(u64::try_from(clock.now().as_second() + days * 86_400).unwrap());
    let mut people = company(40);
    people[39].expires = day(1);
    line.done(&people, 40).await;
    // An expiry in a year is not near.
    let year = changed(&people, 20, |person| person.expires = day(365));
    line.done(&year, 40).await;
    // Twenty of them had an expiry, ten had none.
    let tomorrow = changed(&year, 30, |person| person.expires = day(1));
    let job = line.held(&tomorrow, 40, "deactivated", 30).await;
    let hold = job.hold.as_ref().unwrap();
    assert!(hold["reason"].as_str().unwrap().contains("30 of them within 30 days"), "{hold}");
    assert_eq!(hold["already_inactive"], 0, "{hold}");
    line.reject(&job).await;
    clock.advance(Duration::from_hours(48));
    line.site.store().deactivate_due(clock.now()).await.unwrap();
    assert_eq!(line.count(|user| user.active).await, 39, "only the user whose expiry was known before");
    // A few may expire.
    let few = changed(&year, 3, |person| person.expires = day(1));
    let result = line.done(&few, 40).await;
    assert_eq!((&result["became_inactive"], &result["ends_soon"]), (&0.into(), &3.into()), "{result}");
    assert_eq!(line.count(|user| user.active).await, 39, "they are active until then");
    // A later expiry deactivates nobody.
    let later = changed(&year, 40, |person| person.expires = day(400));
    line.done(&later, 40).await;
}
