//! New accounts find their users by the rules of their directory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use postern_engine::identity::match_rules::MatchRule;
use postern_engine::identity::profile::ProfileChange;
use postern_engine::intake::resolve::{self, Choice};
use postern_engine::services::change_users::Disabling;
use postern_engine::services::conflicts::ConflictDetail;
use postern_engine::services::{Actor, Services};
use postern_store::{AccountId, OrganizationChange, UserId};

use super::chunks::Written;
use super::matching::{World, named, user};
use crate::api::tests::ClosedGate;

const MAIL: &[(&str, &str)] = &[("mail", "anna@x.example"), ("employeeNumber", "7")];
const SAME: &[(&str, &str)] = &[("mail", " Anna@X.example"), ("mobile", "5")];
const OTHER: &[(&str, &str)] = &[("mail", "other@x.example")];

impl World {
    /// Sets the rules of the directory `lab`: fields, each with an expression.
    async fn rules(&self, rules: &[(&str, Option<&str>)]) {
        let services = self.services();
        let rule = |(field, expression): &(&str, Option<&str>)| MatchRule {
            field: (*field).to_owned(),
            expression: expression.map(str::to_owned),
        };
        let rules = rules.iter().map(rule).collect();
        let actor = Actor::machine(self.site.organization);
        services.change_matchings(&actor).unwrap().save("lab", Some(rules), None).await.unwrap();
    }

    pub(super) fn services(&self) -> Services {
        Services::new(self.site.store().clone(), self.site.clock(), Arc::<ClosedGate>::default())
    }

    /// The users of the accounts with these DNs.
    async fn owners(&self, dns: &[&str]) -> Vec<Option<UserId>> {
        let directory = self.directory("lab").await;
        let kind = postern_store::AccountKind::User;
        let page = postern_store::PageRequest::first(100);
        let all = self.site.store().list_accounts(self.site.organization, directory, kind, &page).await.unwrap().items;
        let owner = |dn: &&str| all.iter().find(|account| account.dn == **dn).unwrap().identity.map(UserId::from_uuid);
        dns.iter().map(owner).collect()
    }

    async fn settle(&self, account: AccountId, choice: Choice) -> Result<Option<UserId>, resolve::Error> {
        let (store, organization) = (self.site.store(), self.site.organization);
        resolve::run(store, organization, account, (choice, "test"), self.site.now()).await
    }
}

fn with(some: &[Written<'static>]) -> Vec<Written<'static>> {
    [some, &[named("cn=8", "xaver"), named("cn=9", "yves")]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_finds_its_user_by_the_first_rule_that_finds_somebody() {
    let cases: [&[(&str, Option<&str>)]; 4] = [
        &[("email", None)],
        &[("attributes.employee_number", Some("mobile")), ("email", None)],
        &[("attributes.employee_number", Some("'00' + mobile == '005' ? '7' : null"))],
        &[("user_name", Some("replace(lower(mail), '@x.example', '')"))],
    ];
    for rules in cases {
        let mut world = World::new().await;
        world.import("corp", &with(&[user("cn=1", "anna", MAIL)])).await;
        world.rules(rules).await;
        let anna = world.user("anna").await;
        let result = world.import("lab", &with(&[user("cn=a", "a.berg", SAME), user("cn=b", "bert", OTHER)])).await;
        assert_eq!((&result["conflicts"], &result["joined"]), (&2.into(), &1.into()), "{rules:?}: {result}");
        assert_eq!(world.owners(&["cn=a"]).await, [Some(anna.id)], "{rules:?}");
        let now = world.user("anna").await;
        assert_eq!((now.id, now.email.as_deref()), (anna.id, Some("anna@x.example")), "corp comes first");
        assert!(now.attributes.contains("mobile_number"), "lab fills what corp leaves open");
        assert_ne!(world.user("bert").await.id, anna.id);
        // xaver and yves are in both directories, and no rule finds them by their login.
        assert_eq!(world.owners(&["cn=8", "cn=9"]).await, [None, None]);
        let again = world.import("lab", &with(&[user("cn=a", "a.berg", OTHER), user("cn=b", "bert", OTHER)])).await;
        assert_eq!(world.owners(&["cn=a"]).await, [Some(anna.id)], "a link stays: {again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_matches_several_or_is_matched_by_several_waits_for_an_administrator() {
    let mut world = World::new().await;
    let twins = [user("cn=1", "anna", MAIL), user("cn=2", "ada", MAIL), user("cn=3", "carl", OTHER)];
    world.import("corp", &with(&twins)).await;
    world.rules(&[("email", None), ("user_name", None)]).await;
    let carl = world.user("carl").await;
    // One matches two users. Two match one user.
    let lab = [user("cn=a", "a.berg", SAME), user("cn=b", "b.one", OTHER), user("cn=c", "c.two", OTHER)];
    let result = world.import("lab", &with(&lab)).await;
    assert_eq!(result["conflicts"], 3, "{result}");
    assert_eq!(world.owners(&["cn=a", "cn=b", "cn=c"]).await, [None, None, None]);
    let (services, actor) = (world.services(), Actor::machine(world.site.organization));
    let conflicts = services.conflicts(&actor).unwrap();
    let names = |shown: &ConflictDetail| -> BTreeSet<String> {
        shown.candidates.iter().map(|(user, _)| user.user_name.clone()).collect()
    };
    let page = postern_store::PageRequest::first(10);
    let listed = conflicts.list(conflicts.filter(None).await.unwrap(), &page).await.unwrap().page.items;
    let listed = listed.iter().map(|one| (one.wanted.as_ref().unwrap().user_name.as_str(), names(one)));
    let carl_alone = BTreeSet::from(["carl".to_owned()]);
    let several = BTreeSet::from(["ada".to_owned(), "anna".to_owned()]);
    let all = [("a.berg", several.clone()), ("b.one", carl_alone.clone()), ("c.two", carl_alone)];
    assert_eq!(listed.collect::<BTreeMap<_, _>>(), BTreeMap::from(all));
    let shown = conflicts.get("a.berg").await.unwrap();
    assert_eq!(names(&shown), several);
    assert_eq!(shown.wanted.as_ref().unwrap().user_name, "a.berg");
    let account = shown.conflict.account.id;
    let several = world.settle(account, Choice::Link).await;
    assert!(matches!(several, Err(resolve::Error::Several)), "{several:?}");
    let stranger = world.settle(account, Choice::LinkTo(carl.id)).await;
    assert!(matches!(stranger, Err(resolve::Error::NoCandidate)), "{stranger:?}");
    let ada = world.user("ada").await.id;
    assert_eq!(world.settle(account, Choice::LinkTo(ada)).await.unwrap(), Some(ada));
    let other = conflicts.get("b.one").await.unwrap().conflict.account.id;
    let made = world.settle(other, Choice::CreateUser).await.unwrap().unwrap();
    assert_eq!(world.user("b.one").await.id, made);
    // The address is that of two users now: the last account goes on waiting.
    world.import("lab", &with(&lab)).await;
    assert_eq!(world.owners(&["cn=a", "cn=b", "cn=c"]).await, [Some(ada), Some(made), None]);
    let last = conflicts.get("c.two").await.unwrap().conflict.account.id;
    assert_eq!(world.settle(last, Choice::LinkTo(carl.id)).await.unwrap(), Some(carl.id));
    assert_eq!(world.waiting("lab").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_value_and_a_value_of_the_own_directory_match_nobody() {
    let mut world = World::new().await;
    let blank: &[(&str, &str)] = &[("mail", " ")];
    world.import("corp", &with(&[user("cn=1", "anna", blank), user("cn=2", "carl", &[])])).await;
    world.rules(&[("email", None), ("user_name", None)]).await;
    let shared: &[(&str, &str)] = &[("mail", "desk@x.example")];
    let lab = [user("cn=a", "ada", blank), user("cn=b", "bert", &[]), user("cn=c", "cleo", shared)];
    let result = world.import("lab", &with(&lab)).await;
    assert_eq!((&result["conflicts"], &result["joined"]), (&0.into(), &2.into()), "xaver and yves: {result}");
    let dora = user("cn=d", "dora", shared);
    let result = world.import("lab", &with(&[lab[0], lab[1], lab[2], dora])).await;
    assert_eq!(result["conflicts"], 0, "{result}");
    assert_ne!(world.user("dora").await.id, world.user("cleo").await.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_give_nobody_the_user_of_somebody_who_left_or_where_joining_is_refused() {
    let mut world = World::new().await;
    world.import("corp", &with(&[user("cn=1", "anna", MAIL), user("cn=2", "carl", OTHER)])).await;
    world.import("corp", &with(&[user("cn=2", "carl", OTHER)])).await;
    world.rules(&[("email", None), ("user_name", None)]).await;
    let anna = world.user("anna").await;
    world.import("lab", &with(&[user("cn=a", "a.berg", SAME)])).await;
    assert_eq!((world.owners(&["cn=a"]).await, world.waiting("lab").await.len()), (vec![None], 1));
    assert!(!world.user("anna").await.active);
    let refuse = OrganizationChange { joins_users: Some(false), ..OrganizationChange::default() };
    world.site.store().change_organization(world.site.organization, refuse).await.unwrap();
    world.import("lab", &with(&[user("cn=a", "a.berg", SAME), user("cn=b", "c.sturm", OTHER)])).await;
    assert_eq!((world.owners(&["cn=a", "cn=b"]).await, world.waiting("lab").await.len()), (vec![None, None], 2));
    // An administrator decides that it is the same person.
    let conflicts = world.site.store();
    let account = conflicts.accounts_in_conflict(world.site.organization, "a.berg").await.unwrap()[0].id;
    let linked = world.settle(AccountId::from_uuid(account), Choice::Link).await.unwrap();
    assert_eq!(linked, Some(anna.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_account_is_not_asked_about_again_until_an_administrator_wants_it() {
    let mut world = World::new().await;
    let corp = [user("cn=1", "anna", MAIL), user("cn=2", "ada", MAIL)];
    world.import("corp", &with(&corp)).await;
    world.rules(&[("email", None), ("user_name", None)]).await;
    world.import("lab", &with(&[user("cn=a", "a.berg", SAME)])).await;
    let account = world.waiting("lab").await[0];
    assert_eq!(world.settle(account, Choice::Ignore).await.unwrap(), None);
    for attributes in [SAME, MAIL] {
        let result = world.import("lab", &with(&[user("cn=a", "a.berg", attributes)])).await;
        assert_eq!((&result["conflicts"], world.owners(&["cn=a"]).await), (&0.into(), vec![None]), "{result}");
    }
    let (services, actor) = (world.services(), Actor::machine(world.site.organization));
    let conflicts = services.conflicts(&actor).unwrap();
    let page = postern_store::PageRequest::first(10);
    let ignored = conflicts.ignored(conflicts.filter(None).await.unwrap(), &page).await.unwrap().items;
    assert_eq!(ignored.iter().map(|one| (one.account.id, one.by.as_str())).collect::<Vec<_>>(), [(account, "test")]);
    assert!(matches!(world.settle(account, Choice::Link).await, Err(resolve::Error::NoConflict)));
    assert_eq!(world.settle(account, Choice::AskAgain).await.unwrap(), None);
    assert_eq!(world.waiting("lab").await, [account]);
    // One of the two gets another address: the next import links the account by itself.
    world.import("corp", &with(&[corp[0], user("cn=2", "ada", OTHER)])).await;
    world.import("lab", &with(&[user("cn=a", "a.berg", MAIL)])).await;
    assert_eq!(world.owners(&["cn=a"]).await, [Some(world.user("anna").await.id)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_of_the_organization_is_linked_by_a_rule_and_stays_disabled() {
    for rules in [&[("user_name", None)][..], &[("email", None)], &[]] {
        let mut world = World::new().await;
        let (services, actor) = (world.services(), Actor::machine(world.site.organization));
        let own = ProfileChange {
            user_name: Some("anna".to_owned()),
            email: Some(Some("anna@x.example".to_owned())),
            ..ProfileChange::default()
        };
        let users = services.change_users(&actor).unwrap();
        let anna = users.create(own).await.unwrap().row.id;
        users.disable("anna", Disabling::default(), None).await.unwrap();
        if !rules.is_empty() {
            world.rules(rules).await;
        }
        world.import("lab", &with(&[user("cn=a", "anna", MAIL)])).await;
        let linked = (!rules.is_empty()).then_some(anna);
        assert_eq!(world.owners(&["cn=a"]).await, [linked], "{rules:?}");
        assert!(!world.user("anna").await.active, "no import lifts it");
    }
}
