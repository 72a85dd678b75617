//! An attribute that is configured as external id but is not unique.

use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_proto::v1;
use postern_store::{Job, JobState, PageRequest};
use serde_json::Value;

use super::agent::{Site, hello};
use super::chunks::{Chunk, Written, people, together, written};
use super::company::Line;
use super::matching::{self, World, named};
use super::soon;

/// More shared ids than an import may have.
const IDS: usize = 50_001;

/// This many entries with these ids, in an organizational unit of their own.
fn entries(unit: &str) -> Vec<Chunk> {
    let numbers: Vec<usize> = (0..IDS).collect();
    let chunk = |numbers: &[usize]| {
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        for number in numbers {
            let dn = format!("cn={number},ou={unit}");
            let mut entry = writer.entry(Kind::Group, &number.to_string(), &dn, None);
            entry.switch(Switch::On);
            entry.finish();
        }
        let digest = writer.digest();
        Chunk { users: 0, groups: numbers.len() as u64, digest, payload: writer.finish() }
    };
    numbers.chunks(5_000).map(chunk).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_ids_are_shared_by_too_many_entries_fails_and_marks_nobody() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    let job = site.import(&agent, &mut session, &people(&[("a", "anna"), ("b", "bert")])).await;
    site.wait_for(job, JobState::Succeeded).await;
    // Anna does not come, and Bert comes.
    let chunks = [people(&[("b", "bert")]), entries("one"), entries("two")].concat();
    let job = site.import(&agent, &mut session, &chunks).await;
    let failed = site.wait_for(job, JobState::Failed).await;
    let error = failed.error.unwrap();
    assert_eq!(error["code"], "external_ids_not_unique", "{error}");
    let users = site.store().list_users(site.organization, None, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(users.len(), 2, "{users:?}");
    assert!(users.iter().all(|user| user.active), "{users:?}");
    let corp = site.store().find_directory(site.organization, "corp").await.unwrap().unwrap();
    let present =
        site.store().count_present(site.organization, corp.id, postern_store::AccountKind::User).await.unwrap();
    assert_eq!(present, 2, "nobody is missing");
}

fn user<'w>(id: &'w str, dn: &'w str, login: &'w str) -> Written<'w> {
    Written { id, dn, login: Some(login), enabled: true, attributes: &[], members: None }
}

fn group<'w>(id: &'w str, dn: &'w str, attributes: &'w [(&'w str, &'w str)], members: &'w [&'w str]) -> Written<'w> {
    Written { id, dn, login: None, enabled: true, attributes, members: Some(members) }
}

const ANNA: &str = "uid=anna,ou=people,dc=x";
const BERT: &str = "uid=bert,ou=people,dc=x";

async fn import(line: &mut Line, entries: &[Written<'_>], state: JobState) -> Job {
    let job = line.site.import(&line.agent, &mut line.session, &written(entries)).await;
    line.site.wait_for(job, state).await
}

/// The names of all active users.
async fn names(line: &Line) -> Vec<String> {
    let users = line.users().await.into_iter().filter(|user| user.active);
    let mut names: Vec<String> = users.map(|user| user.user_name).collect();
    names.sort();
    names
}

/// Anna is known. Bert comes with her id and is left out.
async fn anna_and_bert_share_an_id() -> Line {
    let mut line = Line::start().await;
    let (anna, bert) = (user("1", ANNA, "anna"), user("1", BERT, "bert"));
    let cleo = user("2", "uid=cleo,dc=x", "cleo");
    import(&mut line, &[anna, cleo], JobState::Succeeded).await;
    let result = import(&mut line, &[anna, bert, cleo], JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["duplicates"], 1, "{result}");
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_id_was_shared_passes_to_another_person_only_by_decision() {
    let mut line = anna_and_bert_share_an_id().await;
    let before = line.users().await;
    let (bert, cleo) = (user("1", BERT, "bert"), user("2", "uid=cleo,dc=x", "cleo"));
    // An import that fails in between does not clear the record.
    let failing = line.site.start_job("corp", "import").await;
    let command = soon(line.session.command()).await;
    let refused = line.agent.deliver(&command, &written(&[bert, cleo]), |summary| summary.users += 1).await;
    assert!(matches!(refused, Ok(v1::chunk_ack::Kind::SummaryRefused(_))), "{refused:?}");
    line.site.store().request_cancel(line.site.organization, failing, line.site.now()).await.unwrap();
    for _ in 0..2 {
        let job = import(&mut line, &[bert, cleo], JobState::Held).await;
        let hold = job.hold.as_ref().unwrap();
        let reasons = hold["reasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 1, "{hold}");
        assert_eq!((&reasons[0]["kind"], &reasons[0]["count"]), (&"reassigned".into(), &1.into()), "{hold}");
        let person = &reasons[0]["people"][0];
        assert_eq!((&person["dn"], &person["former_dn"]), (&BERT.into(), &ANNA.into()), "{hold}");
        assert_eq!(names(&line).await, ["anna", "cleo"]);
        line.reject(&job).await;
        assert_eq!(names(&line).await, ["anna", "cleo"], "nothing of it is applied");
    }
    let job = import(&mut line, &[bert, cleo], JobState::Held).await;
    line.approve(&job).await;
    assert_eq!(names(&line).await, ["bert", "cleo"]);
    assert_eq!(line.users().await.iter().filter(|user| before.iter().any(|known| known.id == user.id)).count(), 2);
    // Decided: the account is Bert's, and he may be renamed like others.
    let dora = user("1", "uid=dora,dc=x", "dora");
    import(&mut line, &[dora, cleo], JobState::Succeeded).await;
    assert_eq!(names(&line).await, ["cleo", "dora"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_shared_from_the_first_import_on_passes_to_the_other_entry_only_by_decision() {
    let cleo = user("2", "uid=cleo,dc=x", "cleo");
    for (anna, bert) in
        [(user("1", ANNA, "anna"), user("1", BERT, "bert")), (user("1", BERT, "bert"), user("1", ANNA, "anna"))]
    {
        let mut line = Line::start().await;
        let known = import(&mut line, &[anna, bert, cleo], JobState::Succeeded).await.result.unwrap();
        assert_eq!(known["duplicates"], 1, "{known}");
        let before = names(&line).await;
        let other = if before.contains(&"anna".to_owned()) { user("1", BERT, "bert") } else { user("1", ANNA, "anna") };
        let job = import(&mut line, &[other, cleo], JobState::Held).await;
        assert_eq!(job.hold.as_ref().unwrap()["reasons"][0]["kind"], "reassigned");
        assert_eq!(names(&line).await, before, "nothing has passed");
        line.reject(&job).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_comes_once_as_it_was_is_not_suspected_any_longer() {
    let cleo = user("2", "uid=cleo,dc=x", "cleo");
    for mended in [user("1", ANNA, "anna"), user("1", ANNA, "annabel"), user("1", "uid=anna,ou=moved,dc=x", "Anna")] {
        let mut line = anna_and_bert_share_an_id().await;
        import(&mut line, &[mended, cleo], JobState::Succeeded).await;
        import(&mut line, &[user("1", "uid=anne,dc=x", "anne"), cleo], JobState::Succeeded).await;
        assert_eq!(names(&line).await, ["anne", "cleo"], "an everyday change");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_id_was_shared_is_not_taken_while_it_is_missing() {
    let mut line = anna_and_bert_share_an_id().await;
    let cleo = user("2", "uid=cleo,dc=x", "cleo");
    import(&mut line, &[cleo], JobState::Succeeded).await;
    let job = import(&mut line, &[user("1", BERT, "bert"), cleo], JobState::Held).await;
    assert_eq!(job.hold.as_ref().unwrap()["reasons"][0]["kind"], "reassigned");
    assert_eq!(names(&line).await, ["cleo"]);
    line.reject(&job).await;
    import(&mut line, &[user("1", ANNA, "anna"), cleo], JobState::Succeeded).await;
    assert_eq!(names(&line).await, ["anna", "cleo"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_entry_takes_nothing_from_an_account_while_it_waits_for_the_decision() {
    let mut line = anna_and_bert_share_an_id().await;
    let cleo = user("2", "uid=cleo,dc=x", "cleo");
    let bert = Written { enabled: false, ..user("1", BERT, "bert") };
    let team = group("9", "cn=team,dc=x", &[("cn", "team")], &[BERT]);
    let job = import(&mut line, &[bert, cleo, team], JobState::Held).await;
    assert_eq!(names(&line).await, ["anna", "cleo"], "Bert is switched off, and not Anna");
    assert_eq!(members(&line, "team").await, 0, "Bert is a member, and not Anna");
    line.approve(&job).await;
    assert_eq!(names(&line).await, ["cleo"]);
    assert_eq!(members(&line, "team").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_kept_aside_is_mapped_with_the_binary_attributes_of_its_site() {
    let mut line = Line::start().await;
    let names = vec!["uid".to_owned(), "badgekey".to_owned()];
    let listed = v1::chunk::Listed { users: names, binary: vec!["badgeKey".to_owned()], ..Default::default() };
    line.agent.listed = Some(listed);
    let at = |dn| Written { attributes: &[("uid", "anna"), ("badgekey", "text")], ..user("1", dn, "anna") };
    import(&mut line, &[at(ANNA)], JobState::Succeeded).await;
    import(&mut line, &[at("uid=anna,ou=moved,dc=x")], JobState::Succeeded).await;
    let job = import(&mut line, &[at("uid=anna,ou=moved,dc=x")], JobState::Succeeded).await;
    let result = job.result.as_ref().unwrap();
    assert_eq!((&result["updated"], &result["unchanged"]), (&0.into(), &1.into()), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_in_one_chunk_do_not_hide_that_many_are_switched_off() {
    for twins_first in [false, true] {
        let mut line = Line::start().await;
        let at = |id: &'static str, dn: &'static str, login| user(id, dn, login);
        let people = [
            at("1", "uid=a,dc=x", "a"),
            at("2", "uid=b,dc=x", "b"),
            at("3", "uid=c,dc=x", "c"),
            at("4", "uid=d,dc=x", "d"),
        ];
        import(&mut line, &people, JobState::Succeeded).await;
        let off = people.map(|person| Written { enabled: false, ..person });
        let twins = [
            at("1", "uid=e,dc=x", "e"),
            at("2", "uid=f,dc=x", "f"),
            at("3", "uid=g,dc=x", "g"),
            at("4", "uid=h,dc=x", "h"),
        ];
        let twins = twins.map(|person| Written { enabled: false, ..person });
        let entries = if twins_first { [twins, off].concat() } else { [off, twins].concat() };
        let job = line.site.import(&line.agent, &mut line.session, &[together(&entries)]).await;
        let job = line.site.wait_for(job, JobState::Held).await;
        let reason = &job.hold.as_ref().unwrap()["reasons"][0];
        assert_eq!((&reason["kind"], &reason["count"]), (&"deactivated".into(), &4.into()), "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_id_was_shared_gets_the_members_of_another_only_by_decision() {
    let admins = group("7", "cn=admins,dc=x", &[("cn", "admins")], &[ANNA]);
    let guests = group("7", "cn=guests,dc=x", &[("cn", "guests")], &[ANNA, BERT]);
    let people = [user("1", ANNA, "anna"), user("2", BERT, "bert")];
    let with = |groups: &[Written<'static>]| [people.as_slice(), groups].concat();
    for missing_between in [false, true] {
        let mut line = Line::start().await;
        import(&mut line, &with(&[admins]), JobState::Succeeded).await;
        import(&mut line, &with(&[admins, guests]), JobState::Succeeded).await;
        if missing_between {
            let other = group("8", "cn=other,dc=x", &[("cn", "other")], &[]);
            import(&mut line, &with(&[other]), JobState::Succeeded).await;
        }
        let job = import(&mut line, &with(&[guests]), JobState::Held).await;
        assert_eq!(job.hold.as_ref().unwrap()["reasons"][0]["kind"], "reassigned", "{job:?}");
        let as_before = usize::from(!missing_between);
        assert_eq!(members(&line, "admins").await, as_before);
        line.approve(&job).await;
        assert_eq!(members(&line, "guests").await, 2);
    }
}

async fn members(line: &Line, name: &str) -> usize {
    let (store, organization) = (line.site.store(), line.site.organization);
    let groups = store.list_groups(organization, None, &PageRequest::first(20)).await.unwrap().items;
    let Some(group) = groups.iter().find(|group| group.display_name == name) else { return 0 };
    let members = store.list_group_members(organization, group.id, &PageRequest::first(100)).await.unwrap().items;
    members.iter().filter(|member| member.identity.is_some()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_entries_of_one_external_id_are_both_named_and_nobody_is_overwritten() {
    let mut world = World::new().await;
    let anna = Written { dn: "uid=anna", ..named("7", "anna") };
    let bert = Written { dn: "uid=bert", ..named("7", "bert") };
    let zoe = named("9", "zoe");
    let named_both = |result: &Value| {
        assert_eq!((&result["duplicates"], &result["shared_external_ids"]), (&1.into(), &1.into()), "{result}");
        let sample = &result["duplicate_samples"][0];
        assert_eq!(
            (sample["external_id"].as_str(), sample["dns"].to_string().as_str()),
            (Some("7"), r#"["uid=anna","uid=bert"]"#),
            "{result}"
        );
    };
    // At the first import, the entry that comes first is the known one from then on.
    named_both(&world.import("corp", &[anna, bert, zoe]).await);
    let corp = world.site.store().find_directory(world.site.organization, "corp").await.unwrap().unwrap();
    let problem = corp.import_problem.unwrap();
    assert!(problem.contains("such as uid=anna and uid=bert"), "{problem}");
    let before = world.user("anna").await;
    // Before and after her, in one chunk and in two.
    let orders = [[anna, bert, zoe], [bert, anna, zoe], [bert, zoe, anna], [anna, zoe, bert]];
    for entries in orders {
        for chunks in [vec![together(&entries)], written(&entries)] {
            let job = world.import_chunks("corp", &chunks).await;
            named_both(&job);
            assert_eq!((&job["updated"], world.user("anna").await.id), (&0.into(), before.id), "{job}");
            assert_eq!(world.users().await.len(), 2, "{:?}", world.users().await);
        }
    }
    let in_one = world.import_chunks("lab", &[together(&[anna, bert, zoe])]).await;
    assert_eq!(in_one["duplicates"], 1, "{in_one}");
    // Anna still changes, and Bert's change is his own.
    let changed = Written { dn: "uid=anna", ..matching::user("7", "anna", &[("title", "Chief")]) };
    let off = Written { enabled: false, ..bert };
    let result = world.import("corp", &[off, changed, zoe]).await;
    named_both(&result);
    assert_eq!((&result["updated"], &result["came_again"]), (&1.into(), &0.into()), "Anna alone: {result}");
    for chunks in [vec![together(&[off, anna, zoe])], vec![together(&[changed, off, zoe])]] {
        let result = world.import_chunks("corp", &chunks).await;
        assert_eq!(
            (&result["updated"], &result["unchanged"], &result["came_again"]),
            (&1.into(), &1.into(), &0.into())
        );
    }
    let anna_now = world.user("anna").await;
    assert!(anna_now.active && anna_now.attributes.contains("Chief"), "{anna_now:?}");
    // The fault is repaired.
    world.import("corp", &[changed, zoe]).await;
    // A renamed entry is one entry, also if base DNs overlap and it comes twice.
    let renamed = Written { dn: "uid=anne", ..named("7", "anne") };
    let result = world.import_chunks("corp", &[written(&[renamed]), written(&[zoe, renamed])].concat()).await;
    assert_eq!((&result["duplicates"], world.user("anne").await.id), (&0.into(), before.id), "{result}");
    let counted = ["came_again", "renamed", "updated", "unchanged"].map(|figure| &result[figure]);
    assert_eq!(counted, [1, 1, 1, 1], "each entry counts once: {result}");
}
