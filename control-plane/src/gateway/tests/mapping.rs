//! The rules of a directory, from saving them to the user of an import.

use std::sync::Arc;

use postern_engine::identity::mapping::rules::{Rule, RuleOf};
use postern_engine::identity::profile::ProfileChange;
use postern_engine::services::mapping::Standing;
use postern_engine::services::mapping_preview::PreviewRequest;
use postern_engine::services::terms::Terms;
use postern_engine::services::{self, Actor, Services};
use postern_proto::chunk::{ChunkWriter, Kind, MemberForm};
use postern_proto::v1;
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_store::{AccountKind, AttributeDefinition, AttributeType, JobState, MappingProgress, UserRow};
use serde_json::{Value, json};

use super::agent::raw_outcome;
use super::company::{Line, changed, company};
use super::soon;
use crate::api::tests::ClosedGate;

impl Line {
    /// Saves rules as the machine's administrator.
    async fn save(&self, rules: Value) -> services::Result<Standing> {
        let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
        let services = Services::new(self.site.store().clone(), self.site.clock(), Arc::<ClosedGate>::default());
        let actor = Actor::machine(self.site.organization);
        services.change_mappings(&actor)?.save("corp", Terms::default(), &rules).await
    }

    /// Waits until the stored accounts are mapped by the rules of today.
    pub(super) async fn mapped(&self) -> MappingProgress {
        let (store, organization) = (self.site.store(), self.site.organization);
        let directory = store.find_directory(organization, "corp").await.unwrap().unwrap().id;
        soon(async {
            loop {
                let progress = store.mapping_progress(organization, directory).await.unwrap().unwrap();
                if progress.done {
                    return progress;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    async fn user(&self, name: &str) -> UserRow {
        self.site.store().find_user(self.site.organization, name).await.unwrap().unwrap()
    }
}

fn further(user: &UserRow) -> Value {
    serde_json::from_str(&user.attributes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_fill_what_they_name_and_the_default_mapping_fills_the_rest() {
    let mut line = Line::start().await;
    line.save(json!([
        {"target": "family_name", "expression": "upper(cn)"},
        {"target": "email", "expression": "null"},
        {"target": "attributes.cost_center", "expression": "join([title, login], '-')"},
        {"of": "groups", "target": "description", "expression": "'Group ' + cn"},
    ]))
    .await
    .unwrap();
    line.done(&company(4), 4).await;
    let user = line.user("user01").await;
    assert_eq!(user.family_name.as_deref(), Some("USER01X"));
    assert_eq!((user.email.as_deref(), user.display_name.as_deref()), (None, Some("Person 1")));
    assert_eq!(further(&user), json!({"title": "Clerk", "cost_center": "Clerk-user01"}));
    let page = postern_store::PageRequest::first(10);
    let groups = line.site.store().list_groups(line.site.organization, None, &page).await.unwrap().items;
    assert_eq!(groups[0].description.as_deref(), Some("Group staff"));
    let again = line.done(&company(4), 4).await;
    assert_eq!((&again["updated"], &again["unchanged"]), (&0.into(), &5.into()), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rules_map_every_stored_account_anew_without_an_import() {
    let mut line = Line::start().await;
    line.done(&company(4), 4).await;
    for (title, wanted) in [("upper(title)", "CLERK"), ("lower(title)", "clerk")] {
        line.save(json!([
            {"target": "attributes.title", "expression": title},
            {"of": "groups", "target": "display_name", "expression": "cn + ' of ' + '4'"},
        ]))
        .await
        .unwrap();
        line.mapped().await;
        assert_eq!(further(&line.user("user03").await)["title"], wanted);
        let page = postern_store::PageRequest::first(10);
        let groups = line.site.store().list_groups(line.site.organization, None, &page).await.unwrap().items;
        assert_eq!(groups[0].display_name, "staff of 4");
        let import = line.done(&company(4), 4).await;
        assert_eq!((&import["updated"], &import["unchanged"]), (&0.into(), &5.into()), "{import}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rules_pass_over_accounts_that_provisioning_has_made() {
    let mut line = Line::start().await;
    line.done(&company(4), 4).await;
    let (store, organization) = (line.site.store(), line.site.organization);
    let directory = store.find_directory(organization, "corp").await.unwrap().unwrap().id;
    let own = line.user("user01").await;
    let account = store.present_accounts_of(organization, &[own.id]).await.unwrap().remove(0);
    let mut tx = store.begin_intake(organization, directory, line.site.clock().now()).await.unwrap();
    assert!(tx.make_outbound(AccountKind::User, &account.external_key, own.id.as_uuid()).await.unwrap());
    tx.commit().await.unwrap();
    line.save(json!([{"target": "display_name", "expression": "upper(cn)"}])).await.unwrap();
    line.mapped().await;
    assert_eq!(line.user("user01").await.display_name, own.display_name, "the organization says what its user is");
    let imported = line.user("user02").await.display_name.unwrap();
    assert_eq!(imported, imported.to_uppercase());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_fails_on_one_user_keeps_the_last_good_value_and_stops_nobody() {
    let mut line = Line::start().await;
    line.save(json!([
        {"target": "attributes.title", "expression": "title == 'Boss' ? title + 1 : upper(title)"},
        {"target": "given_name", "expression": "lower(title)"},
    ]))
    .await
    .unwrap();
    let first = line.done(&company(30), 4).await;
    assert_eq!(first["rule_failures"], 0, "{first}");
    let promoted = changed(&company(30), 25, |person| person.title = "Boss");
    let result = line.done(&promoted, 4).await;
    assert_eq!((&result["rule_failures"], &result["updated"]), (&25.into(), &25.into()), "{result}");
    let samples = result["rule_failure_samples"].as_array().unwrap();
    assert_eq!(samples.len(), 20);
    assert_eq!(samples[0]["rule"], "attributes.title");
    assert_eq!((&samples[0]["dn"], &samples[0]["value"]), (&"uid=user00,ou=people,dc=x".into(), &"title=Boss".into()));
    for (name, given) in [("user00", "boss"), ("user29", "clerk")] {
        let user = line.user(name).await;
        assert_eq!(further(&user)["title"], "CLERK", "the last good value");
        assert_eq!(user.given_name.as_deref(), Some(given), "the other rule");
    }
    let newcomers = changed(&company(32), 32, |person| person.title = "Boss");
    let result = line.done(&newcomers, 4).await;
    assert_eq!(result["rule_failures"], 7, "{result}");
    assert_eq!(further(&line.user("user31").await)["title"], "Boss", "a newcomer has what the default mapping gives");
}

#[tokio::test(flavor = "multi_thread")]
async fn mapping_anew_keeps_last_good_values_and_what_imports_have_decided() {
    let mut line = Line::start().await;
    let people = changed(&company(4), 1, |person| person.locked = true);
    line.done(&people, 4).await;
    line.save(json!([
        {"target": "family_name", "expression": "login == 'user01' ? title.x : cn"},
        {"target": "email", "expression": "upper(mail)"},
    ]))
    .await
    .unwrap();
    let progress = line.mapped().await;
    assert_eq!((progress.failures, progress.changed, progress.finished_at.is_some()), (1, 4, true));
    let sample = &progress.samples[0];
    assert_eq!((&sample["rule"], &sample["dn"]), (&"family_name".into(), &"uid=user01,ou=people,dc=x".into()));
    let users = line.users().await;
    assert_eq!(users.iter().filter(|user| user.active).count(), 3);
    let names: Vec<_> = users.iter().map(|user| user.family_name.as_deref()).collect();
    assert_eq!(names, [Some("user00x"), None, Some("user02x"), Some("user03x")]);
    assert!(users.iter().all(|user| user.email.as_ref().is_some_and(|mail| mail.ends_with("@X.EXAMPLE"))));
    assert_eq!(line.members().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_do_not_compile_are_refused_with_rule_and_position_and_change_nothing() {
    let mut line = Line::start().await;
    let refused = line
        .save(json!([
            {"target": "email", "expression": "mail"},
            {"target": "family_name", "expression": "lower(sn"},
            {"target": "user_name", "expression": "mail"},
            {"target": "email", "expression": "sn"},
        ]))
        .await
        .unwrap_err()
        .to_string();
    for part in ["rule 2 (family_name): at character 9", "rule 3 (user_name)", "rule 4 (email): another rule"] {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
    line.done(&changed(&company(4), 1, |person| person.title = "Boss"), 4).await;
    assert_eq!(further(&line.user("user00").await)["title"], "Boss");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whom_an_account_joins_keeps_what_a_failing_rule_would_fill() {
    let mut line = Line::start().await;
    let services = Services::new(line.site.store().clone(), line.site.clock(), Arc::<ClosedGate>::default());
    let actor = Actor::machine(line.site.organization);
    let attributes = [("title".to_owned(), Some(json!("Manager")))].into();
    let profile = ProfileChange { user_name: Some("user02".to_owned()), attributes, ..ProfileChange::default() };
    services.change_users(&actor).unwrap().create(profile).await.unwrap();
    line.save(json!([{"target": "attributes.title", "expression": "title + 1"}])).await.unwrap();
    let result = line.done(&company(4), 4).await;
    assert_eq!(result["rule_failures"], 4, "{result}");
    let titles: Vec<Value> = line.users().await.iter().map(|user| further(user)["title"].clone()).collect();
    assert_eq!(titles, ["Clerk", "Clerk", "Manager", "Clerk"], "newcomers have what the default mapping gives");
}

impl Line {
    async fn define(&self, name: &str, kind: AttributeType, change: impl FnOnce(&mut AttributeDefinition)) {
        let mut defined =
            AttributeDefinition { name: name.to_owned(), kind, required: false, unique: false, sensitive: false };
        change(&mut defined);
        self.site.store().define_attribute(self.site.organization, &defined, self.site.now()).await.unwrap();
    }

    /// A further attribute of all users, by name.
    async fn all(&self, attribute: &str) -> Vec<Value> {
        self.users().await.iter().map(|user| further(user)[attribute].clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_from_a_directory_are_checked_against_what_the_organization_has_defined() {
    let mut line = Line::start().await;
    line.define("level", AttributeType::Integer, |defined| defined.sensitive = true).await;
    line.define("tags", AttributeType::StringList, |_| ()).await;
    line.define("title", AttributeType::String, |defined| defined.required = true).await;
    line.save(json!([
        {"target": "attributes.level", "expression": "title == 'Boss' ? 'seven' : '7'"},
        {"target": "attributes.tags", "expression": "[title, login]"},
    ]))
    .await
    .unwrap();
    let first = line.done(&company(3), 3).await;
    assert_eq!(first["rule_failures"], 0, "{first}");
    assert_eq!(line.all("level").await, [json!(7), json!(7), json!(7)]);
    assert_eq!(line.all("tags").await[1], json!(["Clerk", "user01"]));
    let promoted = changed(&company(3), 1, |person| person.title = "Boss");
    let result = line.done(&promoted, 3).await;
    assert_eq!((&result["rule_failures"], &result["updated"]), (&1.into(), &1.into()), "{result}");
    let sample = &result["rule_failure_samples"][0];
    assert_eq!((&sample["rule"], &sample["value"]), (&"attributes.level".into(), &"***".into()), "{sample}");
    assert!(sample["error"].as_str().unwrap().contains("whole number"), "{sample}");
    assert_eq!(line.all("level").await[0], 7, "the last good value");
    assert_eq!(line.all("tags").await[0], json!(["Boss", "user00"]), "the other values are taken");
    // The default mapping is checked as well: a title is required.
    let untitled = changed(&company(3), 2, |person| person.title = " ");
    let result = line.done(&untitled, 3).await;
    assert_eq!(result["rule_failures"], 2, "{result}");
    assert_eq!(line.all("title").await, ["Boss", "Clerk", "Clerk"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_value_goes_to_one_user_and_the_others_keep_theirs_until_it_is_free() {
    let mut line = Line::start().await;
    line.define("badge", AttributeType::String, |defined| defined.unique = true).await;
    let rule = |expression: &str| json!([{"target": "attributes.badge", "expression": expression}]);
    line.save(rule("title == 'Boss' ? 'b1' : cn")).await.unwrap();
    line.done(&company(3), 3).await;
    assert_eq!(line.all("badge").await, ["user00x", "user01x", "user02x"]);
    let two = changed(&company(3), 2, |person| person.title = "Boss");
    let result = line.done(&two, 3).await;
    assert_eq!(result["rule_failures"], 1, "{result}");
    assert!(result["rule_failure_samples"][0]["error"].as_str().unwrap().contains("another user"), "{result}");
    let badges = line.all("badge").await;
    let (got, kept) = if badges[0] == "b1" { (0, 1) } else { (1, 0) };
    assert_eq!((&badges[got], &badges[kept]), (&"b1".into(), &format!("user0{kept}x").into()));
    // It is tried and counted again, although the entry is the same.
    let again = line.done(&two, 3).await;
    assert_eq!((&again["rule_failures"], &again["updated"]), (&1.into(), &1.into()), "{again}");
    let mut one = two.clone();
    one[got].title = "Clerk";
    line.done(&one, 3).await;
    let last = line.done(&one, 3).await;
    assert_eq!(last["rule_failures"], 0, "{last}");
    assert_eq!(line.all("badge").await[kept], "b1", "it is free by now");
    // Mapping anew is no way around.
    line.save(rule("'b1'")).await.unwrap();
    assert_eq!(line.mapped().await.failures, 2);
    let badges = line.all("badge").await;
    assert_eq!(badges.iter().filter(|badge| **badge == "b1").count(), 1, "{badges:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_preview_reads_the_entry_by_a_look_up_and_changes_nobody() {
    let mut line = Line::start().await;
    line.done(&company(2), 2).await;
    let services = Services::new(line.site.store().clone(), line.site.clock(), Arc::<ClosedGate>::default());
    let actor = Actor::machine(line.site.organization);
    let rules = serde_json::from_value(json!([{"target": "email", "expression": "upper(mail)"}])).unwrap();
    let request = PreviewRequest { of: RuleOf::Users, named: "user01".to_owned(), rules: Some(rules), live: true };
    let preview = async { services.preview_mappings(&actor).unwrap().preview("corp", request.clone()).await };
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    let id = uuid::Uuid::from_u128(1 + (9 << 64)).to_string();
    let mut entry = writer.entry(Kind::User, &id, "uid=user01,ou=people,dc=x", Some("user01"));
    entry.attribute("mail", [b"new@x.example".as_slice()]);
    entry.finish();
    let found = v1::LookupUserResult { user: writer.finish(), groups: Vec::new().into() };
    let answer = async |line: &mut Line, result: v1::outcome::Result| {
        let command = loop {
            match line.session.next().await {
                Some(FromControl::Command(command)) => break command,
                Some(_) => {}
                None => panic!("the session has ended"),
            }
        };
        let asked = v1::LookupUser { unique_value: "user01".to_owned() };
        assert_eq!(command.kind, Some(v1::command::Kind::LookupUser(asked)));
        line.session.send(raw_outcome(&command, result)).await;
    };
    let answered = answer(&mut line, v1::outcome::Result::LookupUser(found));
    let (seen, ()) = soon(Box::pin(async { tokio::join!(preview, answered) })).await;
    let seen = seen.unwrap();
    assert_eq!(seen.after["email"], "NEW@X.EXAMPLE");
    assert_eq!(seen.before.unwrap()["email"], "user01@x.example", "the user whom the account has");
    let job = line.site.store().get_job(line.site.organization, seen.job.unwrap()).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(line.user("user01").await.email.as_deref(), Some("user01@x.example"));
    let preview = async { services.preview_mappings(&actor).unwrap().preview("corp", request.clone()).await };
    let gone = v1::CommandError {
        code: v1::ErrorCode::NotFound.into(),
        message: "no such entry".to_owned(),
        ..v1::CommandError::default()
    };
    let answered = answer(&mut line, v1::outcome::Result::Error(gone));
    let (refused, ()) = soon(Box::pin(async { tokio::join!(preview, answered) })).await;
    assert!(refused.unwrap_err().to_string().contains("no such entry"));
}
