//! Every call of every service with every role: a refused call changes nothing, ends no session and wakes nobody.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use postern_runtime::clock::SystemClock;
use postern_store::{AnnouncedDirectory, DatabaseUrl, NewAgent, NewEnrollmentToken, Store, Wake};
use serde_json::json;
use uuid::Uuid;

use super::audit::AuditFilter;
use super::change_groups::GroupChange;
use super::change_users::Disabling;
use super::consequences::Planned;
use super::jobs::JobRequest;
use super::mapping_preview::PreviewRequest;
use super::members::MemberChanges;
use super::organization::RuleChange;
use super::plans::PlanRequest;
use super::provisioning_report::ReportRequest;
use super::schedules::{ScheduleChange, ScheduleRequest};
use super::terms::Terms;
use super::{Actor, Door, Error, Gate, Result, Right, Search, Services, Who};
use crate::identity::mapping::rules::RuleOf;
use crate::identity::match_rules::MatchRule;
use crate::identity::profile::ProfileChange;
use crate::intake::resolve::Choice;
use crate::provisioning::settings::{Leaving, Settings};
use crate::records::{
    AgentId, ApiTokenId, AttributeDefinition, AttributeType, DirectoryChange, Flavour, IdentityFilter, OperationFilter,
    OperationId, OrganizationId, PageRequest, PlanId, Role, UserFilter,
};

const PAGE: PageRequest = PageRequest::first(100);

#[derive(Default)]
struct ClosedGate(Mutex<Vec<AgentId>>);

impl Gate for ClosedGate {
    fn door(&self) -> Door {
        Door { address: "gateway.example:8443".to_owned(), ca_sha256: [7; 32] }
    }

    fn cut(&self, agent: AgentId) {
        self.0.lock().unwrap().push(agent);
    }
}

struct Site {
    services: Services,
    store: Store,
    gate: Arc<ClosedGate>,
    organization: OrganizationId,
    _folder: tempfile::TempDir,
}

type Call = for<'a> fn(&'a Services, &'a Actor) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

macro_rules! calls {
    ($($right:ident $least:ident $name:literal |$services:ident, $actor:ident| $call:expr;)+) => {
        &[$((
            $name,
            Right::$right,
            Role::$least,
            |$services, $actor| Box::pin(async move { $call.await.map(drop) }),
        ),)+]
    };
}

/// Name, right, least role, and call.
const TABLE: &[(&str, Right, Role, Call)] = calls! {
    ReadPeople Helpdesk "users.list" |s, a| s.users(a)?.list(&Search::default(), &UserFilter::default(), &PAGE);
    ReadPeople Helpdesk "users.get" |s, a| s.users(a)?.get("anna");
    ReadPeople Helpdesk "users.deleted" |s, a| s.users(a)?.deleted(&PAGE);
    ChangePeople Operator "users.create" |s, a| s.change_users(a)?.create(named(a.role.as_str()));
    ChangePeople Operator "users.change" |s, a| s.change_users(a)?.change(a.role.as_str(), titled(), None);
    ChangePeople Operator "users.disable" |s, a|
        s.change_users(a)?.disable(a.role.as_str(), Disabling::default(), None);
    ChangePeople Operator "users.enable" |s, a| s.change_users(a)?.enable(a.role.as_str(), None);
    ChangePeople Operator "users.delete" |s, a| s.change_users(a)?.delete(a.role.as_str(), None);
    ChangePeople Operator "users.restore" |s, a| s.change_users(a)?.restore(&ApiTokenId::new().to_string(), None);
    ChangePeople Operator "users.bulk" |s, a| s.bulk_users(a)?.write(vec![line("bulk")], false);
    ChangePeople Operator "users.merge" |s, a| s.merge_users(a)?.merge("bulk", a.role.as_str(), None, true);
    ChangePeople Operator "users.split" |s, a| s.merge_users(a)?.split("bulk", (&[], "x"), None, true);
    ReadPeople Helpdesk "groups.list" |s, a| s.groups(a)?.list(&Search::default(), IdentityFilter::default(), &PAGE);
    ReadPeople Helpdesk "groups.get" |s, a| s.groups(a)?.get("staff");
    ReadPeople Helpdesk "groups.find" |s, a| s.groups(a)?.find("staff");
    ReadPeople Helpdesk "groups.of_user" |s, a| s.groups(a)?.of_user("anna", true, &PAGE);
    ReadPeople Helpdesk "groups.deleted" |s, a| s.groups(a)?.deleted(&PAGE);
    ChangePeople Operator "groups.create" |s, a| s.change_groups(a)?.create(called(a.role.as_str()));
    ChangePeople Operator "groups.change" |s, a| s.change_groups(a)?.change(a.role.as_str(), described(), None);
    ChangePeople Operator "groups.add_member" |s, a|
        s.change_groups(a)?.add_member(a.role.as_str(), &Uuid::nil().to_string());
    ChangePeople Operator "groups.remove_member" |s, a|
        s.change_groups(a)?.remove_member(a.role.as_str(), &Uuid::nil().to_string());
    ChangePeople Operator "groups.change_members" |s, a| s.change_groups(a)?.change_members(a.role.as_str(), nobody());
    ChangePeople Operator "groups.delete" |s, a| s.change_groups(a)?.delete(a.role.as_str(), None, true);
    ChangePeople Operator "groups.restore" |s, a| s.change_groups(a)?.restore(&ApiTokenId::new().to_string(), None);
    ReadPeople Helpdesk "accounts.filter" |s, a| s.accounts(a)?.filter(Some("corp"), None, None, false);
    ReadPeople Helpdesk "accounts.get" |s, a| s.accounts(a)?.get("anna");
    ReadPeople Helpdesk "conflicts.filter" |s, a| s.conflicts(a)?.filter(Some("corp"));
    ReadPeople Helpdesk "conflicts.get" |s, a| s.conflicts(a)?.get("anna");
    DecideConflicts Operator "conflicts.decide" |s, a| s.decide_conflicts(a)?.decide("anna", Choice::Link);
    ReadDirectories Auditor "directories.list" |s, a| s.directories(a)?.list(&PAGE);
    ReadDirectories Auditor "directories.get" |s, a| s.directories(a)?.get("corp");
    ReadDirectories Auditor "directory_order.get" |s, a| s.directory_order(a)?.get();
    ChangeOrganization Owner "directory_order.effect" |s, a| s.change_directory_order(a)?.effect(&["hq".to_owned()]);
    ChangeOrganization Owner "directory_order.set" |s, a| s.change_directory_order(a)?.set(&["hq".to_owned()], Terms::default());
    ReadDirectories Auditor "matching.get" |s, a| s.matchings(a)?.get("corp");
    ChangeOrganization Owner "matching.save" |s, a| s.change_matchings(a)?.save("corp", Some(vec![by_email()]), None);
    ReadDirectories Auditor "mapping.get" |s, a| s.mappings(a)?.get("corp");
    ReadDirectories Auditor "mapping.versions" |s, a| s.mappings(a)?.versions("corp");
    ChangeDirectories Operator "mapping.preview" |s, a| s.preview_mappings(a)?.preview("corp", preview("nobody"));
    ChangeDirectories Operator "mapping.effect" |s, a| s.preview_mappings(a)?.effect("corp", &[]);
    ChangeDirectories Operator "mapping.save" |s, a| s.change_mappings(a)?.save("corp", Terms::default(), &[]);
    ReadDirectories Auditor "outbound.get" |s, a| s.outbound_mappings(a)?.get("corp");
    ReadDirectories Auditor "outbound.versions" |s, a| s.outbound_mappings(a)?.versions("corp");
    ChangeDirectories Operator "outbound.save" |s, a| s.change_outbound_mappings(a)?.save("corp", Terms::default(), &[]);
    ChangeDirectories Operator "outbound.restore" |s, a| s.change_outbound_mappings(a)?.restore("corp", 1, Terms::default());
    ChangeDirectories Operator "outbound.preview" |s, a| s.preview_outbound_mappings(a)?.preview("corp", (RuleOf::Users, "nobody"), None);
    ChangeDirectories Operator "mapping.restore" |s, a| s.change_mappings(a)?.restore("corp", 1, Terms::default());
    ReadDirectories Auditor "provisioning.get" |s, a| s.provisioning(a)?.get("corp");
    ReadDirectories Auditor "provisioning.failing" |s, a| s.provisioning(a)?.failing("corp", &PAGE);
    ReadDirectories Auditor "provisioning.consequences" |s, a|
        s.consequences(a)?.of(&Planned::DeleteUser("anna".to_owned()));
    ChangeProvisioning Owner "provisioning.save" |s, a|
        s.change_provisioning(a)?.save("corp", Settings { leaving: Leaving::Keep, ..Settings::default() }, false, None);
    RunJobs Operator "provisioning.compare" |s, a| s.run_provisioning(a)?.compare("corp");
    RunJobs Operator "plans.make" |s, a| s.run_plans(a)?.make("corp", &PlanRequest::default());
    ReadReports Auditor "plans.list" |s, a| s.plans(a)?.list("corp", &PAGE);
    ReadReports Auditor "plans.get" |s, a| s.plans(a)?.get("corp", PlanId::new());
    ReadReports Auditor "plans.operations" |s, a| s.plans(a)?.operations("corp", PlanId::new(), &PAGE);
    RunJobs Operator "plans.apply" |s, a| s.run_plans(a)?.apply("corp", PlanId::new());
    RunJobs Operator "plans.discard" |s, a| s.run_plans(a)?.discard("corp", PlanId::new());
    RunJobs Operator "provisioning.decide" |s, a| s.run_provisioning(a)?.decide("corp", None, true);
    ChangePeople Operator "provisioning.link" |s, a|
        s.link_accounts(a)?.link("bulk", "corp", &Uuid::nil().to_string());
    ReadReports Auditor "explanations.user" |s, a| s.explanations(a)?.user("bulk", "corp");
    RunJobs Operator "provisioning.user" |s, a| s.run_provisioning(a)?.provision_user("bulk", "corp");
    ChangeProvisioning Owner "provisioning.remove" |s, a| s.change_provisioning(a)?.remove("corp");
    SetPasswords Helpdesk "passwords.keys" |s, a| s.passwords(a)?.keys("corp");
    SetPasswords Helpdesk "passwords.set" |s, a| s.passwords(a)?.set("bulk", &sealed());
    SetPasswords Helpdesk "passwords.unlock" |s, a| s.passwords(a)?.unlock("bulk", "corp");
    SetPasswords Helpdesk "passwords.get" |s, a| s.passwords(a)?.get(OperationId::new());
    ReadReports Auditor "report.filter" |s, a| s.provisioning_report(a)?.filter(&ReportRequest::default());
    ReadReports Auditor "report.list" |s, a| s.provisioning_report(a)?.list(&OperationFilter::default(), &PAGE);
    ReadReports Auditor "report.get" |s, a| s.provisioning_report(a)?.get(OperationId::new());
    ReadAgents Auditor "agents.list" |s, a| s.agents(a)?.list(&PAGE);
    ReadAgents Auditor "agents.get" |s, a| s.agents(a)?.get("site-1");
    AllowDirectories Operator "agents.allow" |s, a| s.allow_directories(a)?.allow("site-1", "lab");
    ReadEnrollmentTokens Auditor "enrollment_tokens.list" |s, a| s.enrollment_tokens(a)?.list(&PAGE);
    ReadEnrollmentTokens Auditor "enrollment_tokens.get" |s, a| s.enrollment_tokens(a)?.get("0000");
    ChangeEnrollmentTokens Operator "enrollment_tokens.create" |s, a|
        s.change_enrollment_tokens(a)?.create(Vec::new(), None);
    ChangeEnrollmentTokens Operator "enrollment_tokens.revoke" |s, a| s.change_enrollment_tokens(a)?.revoke("0000");
    ReadJobs Auditor "jobs.filter" |s, a| s.jobs(a)?.filter(Some("corp"), None, None);
    ReadJobs Auditor "jobs.get" |s, a| s.jobs(a)?.get("0000");
    ReadJobs Auditor "jobs.preview" |s, a| s.jobs(a)?.preview("0000", None, &PAGE);
    RunJobs Operator "jobs.start" |s, a| s.run_jobs(a)?.start(JobRequest {
        kind: "import".to_owned(),
        directory: "corp".to_owned(),
        input: json!({}),
        deadline: None,
        timeout_seconds: None,
        idempotency_key: None,
    });
    RunJobs Operator "jobs.cancel" |s, a| s.run_jobs(a)?.cancel("0000");
    RunJobs Operator "jobs.approve" |s, a| s.run_jobs(a)?.approve("0000");
    RunJobs Operator "jobs.reject" |s, a| s.run_jobs(a)?.reject("0000", "");
    ReadJobs Auditor "schedules.list" |s, a| s.schedules(a)?.list(&PAGE);
    ReadJobs Auditor "schedules.get" |s, a| s.schedules(a)?.get("nightly");
    RunJobs Operator "schedules.create" |s, a| s.change_schedules(a)?.create(nightly());
    RunJobs Operator "schedules.change" |s, a| s.change_schedules(a)?.change("nightly", ScheduleChange {
        jitter_seconds: Some(60),
        ..ScheduleChange::default()
    });
    RunJobs Operator "schedules.pause" |s, a| s.change_schedules(a)?.pause("nightly");
    RunJobs Operator "schedules.resume" |s, a| s.change_schedules(a)?.resume("nightly");
    RunJobs Operator "schedules.delete" |s, a| s.change_schedules(a)?.delete("nightly");
    ReadTokens Auditor "api_tokens.list" |s, a| s.api_tokens(a)?.list(&PAGE);
    ReadTokens Auditor "api_tokens.get" |s, a| s.api_tokens(a)?.get("first");
    ReadOwnToken Helpdesk "own_token.get" |s, a| s.own_token(a)?.get(ApiTokenId::new());
    ChangeTokens Owner "api_tokens.create" |s, a| s.change_api_tokens(a)?.create("ci", Role::Owner, None);
    ChangeTokens Owner "api_tokens.revoke" |s, a| s.change_api_tokens(a)?.revoke("ci");
    ReadPeople Helpdesk "attributes.list" |s, a| s.attributes(a)?.list();
    ChangeOrganization Owner "attributes.define" |s, a| s.change_attributes(a)?.define(AttributeDefinition {
        name: "badge".to_owned(),
        kind: AttributeType::String,
        required: false,
        unique: true,
        sensitive: false,
    });
    ChangeOrganization Owner "attributes.forget" |s, a| s.change_attributes(a)?.forget("badge");
    ReadAudit Auditor "audit.list" |s, a| s.audit(a)?.list(&AuditFilter::default(), &PAGE);
    ReadAudit Auditor "audit.verify" |s, a| s.audit(a)?.verify(None);
    ReadOrganization Auditor "rules.get" |s, a| s.rules(a)?.get();
    ChangeOrganization Owner "rules.change" |s, a| s.change_rules(a)?.change(RuleChange {
        job_retention_days: Some(1),
        ..RuleChange::default()
    });
    ChangeDirectories Operator "directories.change" |s, a| s.change_directories(a)?.change("corp", DirectoryChange {
        disabled: Some(true),
        ..DirectoryChange::default()
    });
    ChangeDirectories Operator "directories.delete" |s, a| s.change_directories(a)?.delete("corp");
    RevokeAgents Owner "agents.revoke" |s, a| s.revoke_agents(a)?.revoke("site-1");
};

fn nightly() -> ScheduleRequest {
    ScheduleRequest {
        name: "nightly".to_owned(),
        directory: "corp".to_owned(),
        kind: "import".to_owned(),
        input: json!({}),
        timing: serde_json::from_value(json!({"repeat": "daily", "at": "02:30"})).unwrap(),
        time_zone: None,
        jitter_seconds: None,
        missed_runs: None,
        paused: false,
    }
}

fn by_email() -> MatchRule {
    MatchRule { field: "email".to_owned(), expression: None }
}

/// Each role may what the lesser ones may, but an auditor only looks.
fn may(role: Role, right: Right, least: Role) -> bool {
    role >= least && (role, right) != (Role::Auditor, Right::SetPasswords)
}

fn sealed() -> super::passwords::NewPassword {
    super::passwords::NewPassword { target: "corp".to_owned(), sealed: Vec::new(), must_change: false }
}

fn line(name: &str) -> super::bulk_users::Line {
    super::bulk_users::Line { profile: named(name), ..Default::default() }
}

fn named(name: &str) -> ProfileChange {
    ProfileChange { user_name: Some(name.to_owned()), ..ProfileChange::default() }
}

fn titled() -> ProfileChange {
    ProfileChange { display_name: Some(Some("x".to_owned())), ..ProfileChange::default() }
}

fn called(name: &str) -> GroupChange {
    GroupChange { display_name: Some(name.to_owned()), description: None }
}

fn described() -> GroupChange {
    GroupChange { display_name: None, description: Some(Some("x".to_owned())) }
}

fn nobody() -> MemberChanges {
    MemberChanges { add: vec![Uuid::nil().to_string()], remove: Vec::new() }
}

/// What the calls of the table do that changes something.
const LOGGED: &[&str] = &[
    "agent.directory_allowed",
    "agent.revoked",
    "attribute.defined",
    "attribute.removed",
    "directories.ordered",
    "directory.changed",
    "directory.deleted",
    "enrollment_token.created",
    "group.changed",
    "group.created",
    "group.deleted",
    "job.created",
    "mapping.saved",
    "matching.saved",
    "organization.changed",
    "outbound_mapping.saved",
    "plan.created",
    "provisioning.changed",
    "provisioning.compared",
    "provisioning.removed",
    "schedule.changed",
    "schedule.created",
    "schedule.deleted",
    "schedule.paused",
    "schedule.resumed",
    "token.created",
    "user.changed",
    "user.created",
    "user.deleted",
    "user.disabled",
    "user.enabled",
    "user.provisioned",
];

fn preview(named: &str) -> PreviewRequest {
    PreviewRequest { of: RuleOf::Users, named: named.to_owned(), rules: None, live: false }
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::sqlite(&folder.path().join("postern.db"))).await.unwrap();
        let now = Timestamp::now();
        let organization = store.create_organization("acme", now).await.unwrap().id;
        let (hash, end) = ([1; 32], now + SignedDuration::from_hours(1));
        let token = NewEnrollmentToken { hash, directories: Vec::new(), expires_at: end, created_by: "x".to_owned() };
        store.create_enrollment_token(organization, token, now).await.unwrap();
        let agent = NewAgent {
            id: AgentId::new(),
            name: "site-1".to_owned(),
            version: None,
            serial: "01".to_owned(),
            not_after: end,
        };
        let id = agent.id;
        store.enroll_agent(hash, agent, now).await.unwrap();
        let served =
            ["corp", "hq"].map(|name| AnnouncedDirectory { name: name.to_owned(), flavour: Flavour::OpenLdap });
        store.announce_directories(organization, id, &served, now).await.unwrap();
        let gate = Arc::<ClosedGate>::default();
        let services = Services::new(store.clone(), SystemClock::shared(), Arc::clone(&gate) as Arc<dyn Gate>);
        Self { services, store, gate, organization, _folder: folder }
    }

    fn actor(&self, role: Role) -> Actor {
        let who = Who::Token { id: ApiTokenId::new(), name: role.as_str().into() };
        Actor { organization: self.organization, who, role, address: None, probe: None }
    }

    /// All data that a call could change.
    async fn everything(&self) -> String {
        let (store, organization, mut all) = (&self.store, self.organization, String::new());
        let _ = write!(
            all,
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            store.get_organization(organization).await.unwrap(),
            store.list_agents(organization, &PAGE).await.unwrap(),
            store.list_directories(organization, &PAGE).await.unwrap(),
            store.list_api_tokens(organization, &PAGE).await.unwrap(),
            store.list_enrollment_tokens(organization, &PAGE).await.unwrap(),
            store.list_jobs(organization, &postern_store::JobFilter::default(), &PAGE).await.unwrap(),
            store.list_schedules(organization, &PAGE).await.unwrap(),
            self.logged().await,
        );
        let users = store.list_users(organization, None, &PAGE).await.unwrap();
        let _ = write!(all, " {users:?} {:?}", store.list_deleted_users(organization, &PAGE).await.unwrap());
        let groups = store.list_groups(organization, None, &PAGE).await.unwrap();
        let _ = write!(all, " {groups:?} {:?}", store.list_deleted_groups(organization, &PAGE).await.unwrap());
        all
    }

    /// What the audit log says: the role of the actor, and the action.
    async fn logged(&self) -> Vec<(String, String)> {
        let page = self.store.list_audit(self.organization, &postern_store::AuditFilter::default(), &PAGE).await;
        page.unwrap().items.into_iter().map(|entry| (entry.note.actor_name, entry.note.action)).collect()
    }
}

#[tokio::test]
async fn a_call_that_is_denied_changes_nothing_and_every_other_one_is_let_in() {
    let site = Site::new().await;
    let mut wakes = site.store.listen().await.unwrap();
    let before = site.everything().await;
    for (name, right, least, call) in TABLE {
        for role in Role::ALL.iter().filter(|role| !may(**role, *right, *least)) {
            match call(&site.services, &site.actor(*role)).await {
                Err(Error::Denied { needs, has }) => assert_eq!((needs, has), (*least, *role), "{name}"),
                other => panic!("{role} may call {name}: {other:?}"),
            }
            assert_eq!(site.everything().await, before, "{role} {name}");
        }
    }
    assert!(site.gate.0.lock().unwrap().is_empty(), "somebody's session was cut");
    for (name, right, least, call) in TABLE {
        for role in Role::ALL.iter().filter(|role| may(**role, *right, *least)) {
            let came = call(&site.services, &site.actor(*role)).await;
            assert!(!matches!(came, Err(Error::Denied { .. })), "{role} may not call {name}");
        }
    }
    assert_ne!(site.everything().await, before, "the calls do what they say");
    assert_eq!(site.gate.0.lock().unwrap().len(), 1, "one session is cut, by the owner");
    let logged = site.logged().await;
    let mut actions: Vec<&str> = logged.iter().map(|(_, action)| action.as_str()).collect();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(actions, LOGGED, "every change is in the audit log");
    for owners in ["token.created", "agent.revoked", "organization.changed"] {
        assert!(logged.iter().all(|(role, action)| action != owners || role == "owner"), "{logged:?}");
    }
    assert_eq!(site.store.verify_audit(site.organization, None).await.unwrap().fault, None);
    // The first wake-up is that of an allowed call.
    assert!(matches!(wakes.recv().await.unwrap(), Wake::Marked(_)));
}

#[test]
fn every_right_is_tried() {
    for right in Right::ALL {
        let row = TABLE.iter().find(|(_, tried, ..)| tried == right);
        assert!(row.is_some(), "{right:?}");
    }
}

#[tokio::test]
async fn the_administrator_of_the_machine_is_named_in_what_they_make() {
    let site = Site::new().await;
    let actor = Actor::machine(site.organization);
    let (made, _) = site.services.change_enrollment_tokens(&actor).unwrap().create(Vec::new(), None).await.unwrap();
    assert_eq!(made.created_by, "the machine's administrator");
}
