//! Organizations with agents and directories, and entries for them, for the stories.

use jiff::{SignedDuration, Timestamp};
use postern_store::{
    AccountId, AccountKind, Agent, AgentId, AnnouncedDirectory, Directory, ExternalKey, Flavour, GroupId, GroupRow,
    IdentityId, Job, NewAccount, NewAgent, NewEnrollmentToken, NewJob, Operation, OperationId, OperationState,
    Organization, OrganizationId, PageRequest, ReplicaId, Store, Switch, UserId, UserRow, fold,
};
use serde_json::json;
use uuid::Uuid;

/// The time this many seconds into the story.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

/// A hash that stands for a secret.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// An organization with one agent that serves one directory.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) organization: Organization,
    pub(crate) agent: Agent,
    pub(crate) directory: Directory,
    pub(crate) replica: ReplicaId,
}

impl World {
    /// An organization of this name with the directory `corp`.
    pub(crate) async fn new(store: &Store, name: &str) -> Self {
        let organization = store.create_organization(name, at(0)).await.expect("an organization");
        let agent = enroll(store, organization.id, name).await;
        let served = [AnnouncedDirectory { name: "corp".to_owned(), flavour: Flavour::OpenLdap }];
        let directories = store.announce_directories(organization.id, agent.id, &served, at(0)).await;
        let directory = directories.expect("a directory").remove(0);
        let agent = store.agent_by_id(agent.id).await.expect("the agent").expect("an agent");
        Self { store: store.clone(), organization, agent, directory, replica: ReplicaId::new() }
    }

    /// The organization's id.
    pub(crate) fn org(&self) -> OrganizationId {
        self.organization.id
    }

    /// A job that may wait for an hour.
    pub(crate) fn job(&self, kind: &str) -> NewJob {
        NewJob {
            organization: self.org(),
            kind: kind.to_owned(),
            exclusive: kind == "import",
            directory: self.directory.id,
            input: json!({}),
            deadline: at(3_600),
            created_by: "ada".to_owned(),
            idempotency_key: None,
        }
    }

    /// A new job.
    pub(crate) async fn create(&self, kind: &str) -> Job {
        self.store.create_job(self.job(kind), at(0)).await.expect("a job")
    }

    /// Claims all jobs of the directory, for a minute.
    pub(crate) async fn claim(&self) -> Vec<Job> {
        let directories = [self.directory.id];
        self.store.claim(self.replica, &directories, at(60), at(0), 10).await.expect("a claim")
    }

    /// An operation that makes an account.
    pub(crate) fn operation(&self, identity: IdentityId, state: OperationState) -> Operation {
        Operation {
            id: OperationId::new(),
            organization: self.org(),
            target: self.directory.id.into(),
            identity,
            name: "anna".to_owned(),
            account: None,
            place: 0,
            action: "create".to_owned(),
            content: Some(json!({ "x": 1 })),
            changes: json!({}),
            cause: "user.created".to_owned(),
            actor: Some("owner".to_owned()),
            state,
            generation: u32::from(state == OperationState::Sent),
            created_at: at(1),
            sent_at: None,
            ended_at: None,
            elapsed_ms: None,
            answer: None,
            approved_by: None,
            plan: None,
        }
    }

    /// A user of this name as imported from the directory, with the account.
    pub(crate) fn person(&self, name: &str) -> (UserRow, NewAccount) {
        let id = UserId::new();
        let user = UserRow {
            id,
            organization: self.org(),
            user_name: name.to_owned(),
            name_key: fold(name),
            given_name: Some("Given".to_owned()),
            family_name: None,
            display_name: Some(format!("Display {name}")),
            email: Some(format!("{name}@corp.example")),
            active: true,
            attributes: "{}".to_owned(),
            created_at: at(0),
            updated_at: at(0),
            missing_since: None,
        };
        let account = account_of(AccountKind::User, name, Some(id.as_uuid()));
        (user, account)
    }

    /// A group of this name as imported from the directory, with the account.
    pub(crate) fn team(&self, name: &str) -> (GroupRow, NewAccount) {
        let id = GroupId::new();
        let group = GroupRow {
            id,
            organization: self.org(),
            display_name: name.to_owned(),
            description: None,
            created_at: at(0),
            updated_at: at(0),
            missing_since: None,
        };
        (group, account_of(AccountKind::Group, name, Some(id.as_uuid())))
    }

    /// Imports these users and groups in one transaction.
    pub(crate) async fn import(&self, people: &[(UserRow, NewAccount)], teams: &[(GroupRow, NewAccount)]) {
        let mut tx = self.store.begin_intake(self.org(), self.directory.id, at(0)).await.expect("a transaction");
        tx.identities().insert_users(people.iter().map(|(user, _)| user.clone()).collect()).await.expect("users");
        tx.identities().insert_groups(teams.iter().map(|(group, _)| group.clone()).collect()).await.expect("groups");
        let accounts = people.iter().map(|(_, account)| account).chain(teams.iter().map(|(_, account)| account));
        tx.insert_accounts(accounts.cloned().collect()).await.expect("accounts");
        tx.commit().await.expect("a commit");
    }
}

/// An account of an entry of this name.
pub(crate) fn account_of(kind: AccountKind, name: &str, identity: Option<Uuid>) -> NewAccount {
    NewAccount {
        id: AccountId::new(),
        kind,
        external_key: ExternalKey::from_text(&external_id(name)),
        dn: format!("uid={name},dc=Corp"),
        dn_key: dn_key(name),
        unique_value: Some(name.to_owned()),
        attributes: format!(r#"{{"uid":["{name}"]}}"#),
        hash: content(name),
        identity,
        conflict: None,
        switch: Switch::On,
    }
}

/// An agent that enrolls with its own token, which names no directory.
pub(crate) async fn enroll(store: &Store, organization: OrganizationId, name: &str) -> Agent {
    let secret = format!("{organization} {name}");
    let unbound = NewEnrollmentToken { directories: Vec::new(), ..enrollment(&secret) };
    store.create_enrollment_token(organization, unbound, at(0)).await.expect("a token");
    store.enroll_agent(hash(&secret), agent(name), at(0)).await.expect("an agent")
}

/// An enrollment token that is valid for an hour.
pub(crate) fn enrollment(secret: &str) -> NewEnrollmentToken {
    NewEnrollmentToken {
        hash: hash(secret),
        directories: vec!["corp".to_owned()],
        expires_at: at(3_600),
        created_by: "ada".to_owned(),
    }
}

/// An agent that wants to enroll.
pub(crate) fn agent(name: &str) -> NewAgent {
    NewAgent {
        id: AgentId::new(),
        name: name.to_owned(),
        version: Some("1.2.3".to_owned()),
        serial: "0a".to_owned(),
        not_after: at(0) + SignedDuration::from_hours(24 * 7),
    }
}

/// The external id of an entry, a UUID made of its name.
pub(crate) fn external_id(name: &str) -> String {
    uuid::Builder::from_random_bytes(content(name)).into_uuid().to_string()
}

/// The content hash of an entry.
pub(crate) fn content(name: &str) -> [u8; 16] {
    let mut start = [0; 16];
    start.copy_from_slice(&hash(name)[..16]);
    start
}

/// The normalized DN of an entry.
pub(crate) fn dn_key(name: &str) -> String {
    format!("uid={},dc=corp", fold(name))
}

/// A page with all items.
pub(crate) fn all() -> PageRequest {
    PageRequest::first(10_000)
}
