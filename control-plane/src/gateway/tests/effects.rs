//! What rules and an order of directories would take away: it is counted before anything is saved, and much of it must be
//! confirmed.

use std::sync::Arc;

use postern_engine::identity::mapping::rules::Rule;
use postern_engine::intake::effect::Effect;
use postern_engine::services::mapping::Standing;
use postern_engine::services::terms::Terms;
use postern_engine::services::{self, Actor, Error, Services};
use postern_store::{AuditFilter, PageRequest};
use serde_json::json;

use super::agent::Site;
use super::chunks::Written;
use super::company::{Line, changed, company};
use super::matching::{World, user};
use crate::api::tests::ClosedGate;

fn services(site: &Site) -> Services {
    Services::new(site.store().clone(), site.clock(), Arc::<ClosedGate>::default())
}

fn email(expression: &str) -> Vec<Rule> {
    serde_json::from_value(json!([{"target": "email", "expression": expression}])).unwrap()
}

async fn effect(site: &Site, rules: &[Rule]) -> Effect {
    services(site).preview_mappings(&Actor::machine(site.organization)).unwrap().effect("corp", rules).await.unwrap()
}

async fn save(site: &Site, rules: &[Rule], confirm: Option<u64>) -> services::Result<Standing> {
    let terms = Terms { confirm, ..Terms::default() };
    services(site).change_mappings(&Actor::machine(site.organization)).unwrap().save("corp", terms, rules).await
}

/// What the newest change of this kind left in the audit log.
async fn confirmed(site: &Site, action: &str) -> serde_json::Value {
    let filter = AuditFilter { action: Some(action.to_owned()), ..AuditFilter::default() };
    let log = site.store().list_audit(site.organization, &filter, &PageRequest::first(1)).await.unwrap();
    log.items[0].note.after.as_ref().unwrap()["confirmed_losses"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_would_take_away_is_counted_for_all_accounts_and_nothing_is_written() {
    let mut line = Line::start().await;
    line.done(&company(1_100), 4).await;
    let wrong = effect(&line.site, &email("lower(mial)")).await;
    assert_eq!((wrong.users, wrong.groups, wrong.complete, wrong.changing), (1_100, 1, true, 1_100));
    assert_eq!((wrong.losing, wrong.losses.len(), wrong.needs_confirmation), (1_100, 1, true));
    assert_eq!((wrong.losses[0].field.as_str(), wrong.losses[0].known), ("email", 1_100));
    assert_eq!(wrong.unknown_attributes, ["mial"]);
    let right = effect(&line.site, &email("flags.disabled == true ? null : upper(rfc822Mailbox)")).await;
    assert_eq!((right.changing, right.losing, right.failing, right.needs_confirmation), (1_100, 0, 0, false));
    assert!(right.unknown_attributes.is_empty(), "{:?}", right.unknown_attributes);
    assert_eq!(effect(&line.site, &email("mail + 1")).await.failing, 1_100);
    let group = json!([{"of": "groups", "target": "display_name", "expression": "upper(cn)"}]);
    let group: Vec<Rule> = serde_json::from_value(group).unwrap();
    let renamed = effect(&line.site, &group).await;
    assert_eq!((renamed.losing, renamed.losses[0].field.as_str()), (1, "display_name"));
    assert!(line.users().await.iter().all(|user| user.email.is_some()), "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_take_values_from_many_are_saved_only_with_the_number_that_was_shown() {
    let mut line = Line::start().await;
    line.done(&company(20), 4).await;
    let few = "cn == 'user01x' ? null : mail";
    save(&line.site, &email(few), None).await.unwrap();
    let many = email("null");
    line.mapped().await;
    for confirm in [None, Some(18), Some(20)] {
        let Err(Error::Unconfirmed { effect, .. }) = save(&line.site, &many, confirm).await else {
            panic!("{confirm:?} was enough");
        };
        assert_eq!(effect.losing, 19, "{effect:?}");
    }
    assert_eq!(version(&line).await, 1, "nothing was saved");
    let shown = effect(&line.site, &many).await.losing;
    save(&line.site, &many, Some(shown)).await.unwrap();
    assert_eq!(confirmed(&line.site, "mapping.saved").await, shown);
    // The first version is harmless now; the second one is not.
    restore(&line, 1).await.unwrap();
    line.done(&changed(&company(20), 20, |person| person.title = "Boss"), 4).await;
    let refused = restore(&line, 2).await.unwrap_err();
    assert!(matches!(refused, Error::Unconfirmed { .. }), "{refused}");
    assert_eq!(version(&line).await, 3);
}

async fn restore(line: &Line, version: u32) -> services::Result<Standing> {
    let (services, actor) = (services(&line.site), Actor::machine(line.site.organization));
    services.change_mappings(&actor).unwrap().restore("corp", version, Terms::default()).await
}

async fn version(line: &Line) -> u32 {
    let (services, actor) = (services(&line.site), Actor::machine(line.site.organization));
    services.mappings(&actor).unwrap().get("corp").await.unwrap().saved.unwrap().version
}

const NAMES: [&str; 4] = ["anna", "bert", "cora", "dora"];
const LAB_NAMES: [&str; 4] = ["Anna", "Bert", "Cora", "Dora"];
const MAIL: &[(&str, &str)] = &[("mail", "someone@x.example")];

fn people(ids: [&'static str; 4], names: [&'static str; 4]) -> Vec<Written<'static>> {
    ids.into_iter().zip(names).map(|(id, name)| user(id, name, MAIL)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_another_directory_gives_is_not_lost() {
    let mut world = World::new().await;
    let corp = people(["cn=1", "cn=2", "cn=3", "cn=4"], NAMES);
    world.import("corp", &corp).await;
    assert_eq!(effect(&world.site, &email("null")).await.losing, 4);
    world.import("lab", &people(["cn=a", "cn=b", "cn=c", "cn=d"], NAMES)).await;
    let filled = effect(&world.site, &email("null")).await;
    assert_eq!((filled.losing, filled.needs_confirmation), (0, false), "{filled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_directories_that_renames_many_users_is_set_only_with_the_number_that_was_shown() {
    let mut world = World::new().await;
    world.import("corp", &people(["cn=1", "cn=2", "cn=3", "cn=4"], NAMES)).await;
    world.import("lab", &people(["cn=a", "cn=b", "cn=c", "cn=d"], LAB_NAMES)).await;
    let (services, actor) = (services(&world.site), Actor::machine(world.site.organization));
    let order = services.change_directory_order(&actor).unwrap();
    let first = ["lab".to_owned()];
    let shown = order.effect(&first).await.unwrap();
    assert_eq!((shown.users, shown.losing, shown.needs_confirmation), (4, 4, true), "{shown:?}");
    for confirm in [None, Some(3)] {
        let refused = order.set(&first, Terms { confirm, ..Terms::default() }).await.unwrap_err();
        assert!(refused.to_string().contains("4 of 4 users would get another user_name"), "{refused}");
    }
    assert_eq!(order.effect(&["corp".to_owned()]).await.unwrap().changing, 0, "that is the order");
    order.set(&first, Terms { confirm: Some(4), ..Terms::default() }).await.unwrap();
    assert_eq!(confirmed(&world.site, "directories.ordered").await, 4);
    world.order_is_applied().await;
    assert_eq!(world.user("anna").await.user_name, "Anna");
}
