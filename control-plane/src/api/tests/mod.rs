//! The API as its callers see it, in process over a store in a temporary folder.

mod attribute_values;
mod audit;
mod bulk_users;
mod changes_of_nothing;
mod conflicts;
mod directory_order;
mod events;
mod idempotency;
mod isolation;
mod lists;
mod logged;
mod mapping;
mod merged_users;
mod names;
mod own_groups;
mod own_users;
mod passwords;
mod plans;
mod problems;
mod roles;
mod schedules;
mod schema;
mod shares;
mod slow_requests;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use postern_runtime::clock::{Clock as _, ManualClock, SharedClock};
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::Supervisor;
use postern_store::{
    AccountId, AccountKind, AgentId, AnnouncedDirectory, DatabaseUrl, DirectoryId, ExternalKey, Flavour, GroupId,
    GroupRow, NewAccount, NewAgent, NewApiToken, NewEnrollmentToken, OrganizationId, Role, Store, Switch, UserId,
    UserRow,
};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Api, Metrics};
use postern_engine::secrets;
use postern_engine::services::{Door, Gate, Services};

/// A gate that nobody stands behind. It remembers whose session it was asked to cut.
#[derive(Default)]
pub(crate) struct ClosedGate {
    pub(crate) cut: Mutex<Vec<AgentId>>,
}

impl Gate for ClosedGate {
    fn door(&self) -> Door {
        Door { address: "gateway.example:8443".to_owned(), ca_sha256: [7; 32] }
    }

    fn cut(&self, agent: AgentId) {
        self.cut.lock().unwrap().push(agent);
    }
}

/// A control plane without agents.
pub(crate) struct Site {
    pub(crate) api: Api,
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
    pub(crate) router: Router,
    pub(crate) gate: Arc<ClosedGate>,
    _folder: tempfile::TempDir,
}

/// An organization and a token of each role.
pub(crate) struct Organization {
    pub(crate) id: OrganizationId,
    pub(crate) owner: String,
    operator: String,
    auditor: String,
    helpdesk: String,
}

/// Things that an organization has.
pub(crate) struct Inhabited {
    pub(crate) agent: AgentId,
    pub(crate) directory: DirectoryId,
    pub(crate) account: AccountId,
    user: UserId,
    pub(crate) group: GroupId,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new("2026-11-22T22:00:00Z".parse().unwrap());
        Self { clock: clock.clone(), ..Self::with_clock(clock.shared()).await }
    }

    /// One whose time goes by; its `clock` does not turn anything.
    pub(crate) async fn with_clock(shared: SharedClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::sqlite(&folder.path().join("postern.db"))).await.unwrap();
        let (clock, gate) = (ManualClock::new(shared.now()), Arc::<ClosedGate>::default());
        let api = Api {
            services: Arc::new(Services::new(store.clone(), Arc::clone(&shared), Arc::clone(&gate) as Arc<dyn Gate>)),
            clock: shared,
            refusals: Arc::default(),
            shares: Arc::default(),
            metrics: Metrics::install(),
            supervisor: Supervisor::new(Shutdown::new()),
        };
        Self { router: super::router(api.clone()), api, store, clock, gate, _folder: folder }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn token(&self, organization: OrganizationId, role: Role, expires_at: Option<Timestamp>) -> String {
        let token = format!("pst_{}", secrets::draw());
        let new = NewApiToken { name: role.to_string(), hash: secrets::hash(&token), role, expires_at };
        self.store.create_api_token(organization, new, self.now()).await.unwrap();
        token
    }

    pub(crate) async fn organization(&self, name: &str) -> Organization {
        let id = self.store.create_organization(name, self.now()).await.unwrap().id;
        Organization {
            id,
            owner: self.token(id, Role::Owner, None).await,
            operator: self.token(id, Role::Operator, None).await,
            auditor: self.token(id, Role::Auditor, None).await,
            helpdesk: self.token(id, Role::Helpdesk, None).await,
        }
    }

    /// Gives an organization an agent, the directory `corp`, a user and a group in it.
    pub(crate) async fn inhabit(&self, organization: OrganizationId) -> Inhabited {
        let (store, now) = (&self.store, self.now());
        let hash = secrets::hash(&secrets::draw());
        let end = now + SignedDuration::from_hours(1);
        let token =
            NewEnrollmentToken { hash, directories: Vec::new(), expires_at: end, created_by: "owner".to_owned() };
        store.create_enrollment_token(organization, token, now).await.unwrap();
        let agent = AgentId::new();
        let new = NewAgent {
            id: agent,
            name: "site-1".to_owned(),
            version: Some("0.1.0".to_owned()),
            serial: "01".to_owned(),
            not_after: end,
        };
        store.enroll_agent(hash, new, now).await.unwrap();
        let served = [AnnouncedDirectory { name: "corp".to_owned(), flavour: Flavour::OpenLdap }];
        let directory = store.announce_directories(organization, agent, &served, now).await.unwrap()[0].id;
        let (user, group, account) = (UserId::new(), GroupId::new(), AccountId::new());
        let mut intake = store.begin_intake(organization, directory, now).await.unwrap();
        intake.identities().insert_users(vec![user_row(organization, user, "anna", now)]).await.unwrap();
        intake.identities().insert_groups(vec![group_row(organization, group, now)]).await.unwrap();
        let accounts = vec![
            account_row(account, AccountKind::User, "uid=anna,ou=people", user.as_uuid()),
            account_row(AccountId::new(), AccountKind::Group, "cn=staff,ou=groups", group.as_uuid()),
        ];
        intake.insert_accounts(accounts).await.unwrap();
        intake.commit().await.unwrap();
        Inhabited { agent, directory, account, user, group }
    }

    /// Gives the account of `anna` other attributes.
    async fn give_attributes(
        &self,
        acme: OrganizationId,
        directory: DirectoryId,
        account: AccountId,
        attributes: &str,
    ) {
        let found = self.store.get_account(acme, account).await.unwrap().unwrap();
        let mut row = account_row(account, AccountKind::User, &found.dn, found.identity.unwrap());
        attributes.clone_into(&mut row.attributes);
        let mut intake = self.store.begin_intake(acme, directory, self.now()).await.unwrap();
        intake.update_accounts(vec![row]).await.unwrap();
        intake.commit().await.unwrap();
    }

    /// How many changes the audit log has.
    async fn audit_count(&self, acme: OrganizationId) -> u64 {
        self.store.verify_audit(acme, None).await.unwrap().entries
    }

    /// An account that claims a user name which somebody else may have.
    pub(crate) async fn conflict(
        &self,
        acme: OrganizationId,
        directory: DirectoryId,
        dn: &str,
        name: &str,
    ) -> AccountId {
        let id = AccountId::new();
        let mut account = account_row(id, AccountKind::User, dn, id.as_uuid());
        (account.identity, account.conflict) = (None, Some(name.to_owned()));
        account.external_key = ExternalKey::from_text(&format!("external {dn}"));
        let mut intake = self.store.begin_intake(acme, directory, self.now()).await.unwrap();
        intake.insert_accounts(vec![account]).await.unwrap();
        intake.commit().await.unwrap();
        id
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Answer {
        self.send(request(method, path, token, body)).await
    }

    async fn call_with(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&'static str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = request(method, path, token, body);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        self.send(request).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, token, None).await
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(Method::POST, path, token, Some(body)).await
    }
}

fn request(method: Method, path: &str, token: &str, body: Option<Value>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("Authorization", format!("Bearer {token}"));
    match body {
        Some(body) => request.header("Content-Type", "application/json").body(Body::from(body.to_string())).unwrap(),
        None => request.body(Body::empty()).unwrap(),
    }
}

fn user_row(organization: OrganizationId, id: UserId, name: &str, now: Timestamp) -> UserRow {
    UserRow {
        id,
        organization,
        user_name: name.to_owned(),
        name_key: postern_store::fold(name),
        given_name: None,
        family_name: None,
        display_name: Some("Anna Lindqvist".to_owned()),
        email: Some(format!("{name}@example.com")),
        active: true,
        attributes: "{}".to_owned(),
        created_at: now,
        updated_at: now,
        missing_since: None,
    }
}

fn group_row(organization: OrganizationId, id: GroupId, now: Timestamp) -> GroupRow {
    let (display_name, description) = ("staff".to_owned(), None);
    GroupRow { id, organization, display_name, description, created_at: now, updated_at: now, missing_since: None }
}

fn account_row(id: AccountId, kind: AccountKind, dn: &str, identity: uuid::Uuid) -> NewAccount {
    NewAccount {
        id,
        kind,
        external_key: ExternalKey::from_text(&id.to_string()),
        dn: dn.to_owned(),
        dn_key: dn.to_owned(),
        unique_value: Some("anna".to_owned()),
        attributes: r#"{"cn":["Anna"],"jpegPhoto":[{"base64":"/9g="}]}"#.to_owned(),
        hash: [1; 16],
        identity: Some(identity),
        conflict: None,
        switch: Switch::On,
    }
}
