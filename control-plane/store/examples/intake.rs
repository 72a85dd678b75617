//! Measures the intake of an import on a database: the first import of many users and their accounts, then the
//! comparison of an unchanged one, then the search for missing accounts.
//!
//! `cargo run --release -p postern-store --example intake -- [USERS] [DATABASE-URL]`

use std::error::Error;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use postern_store::{
    AccountId, AccountKind, AgentId, AnnouncedDirectory, Comparison, DatabaseUrl, DirectoryId, ExternalKey, Flavour,
    NewAccount, NewAgent, NewEnrollmentToken, OrganizationId, Store, Switch, UserId, UserRow, fold,
};

/// Entries of one transaction.
const BATCH: usize = 5_000;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let users: u32 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("postern-intake-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let url = match arguments.next() {
        Some(url) => DatabaseUrl::parse(&url)?,
        None => DatabaseUrl::sqlite(&folder.join("postern.db")),
    };
    let outcome = measure(&url, users).await;
    if let Ok(file) = std::fs::metadata(folder.join("postern.db")) {
        println!("file {} MB", file.len() >> 20);
    }
    std::fs::remove_dir_all(&folder)?;
    outcome
}

async fn measure(url: &DatabaseUrl, users: u32) -> Outcome {
    let store = Store::open(url).await?;
    let (organization, directory) = prepare(&store).await?;
    let entries: Vec<Sample> = (0..users).map(|number| Sample::new(number, organization)).collect();

    let start = Meter::start();
    for batch in entries.chunks(BATCH) {
        let mut tx = store.begin_intake(organization, directory, Timestamp::now()).await?;
        let compared: Vec<_> =
            batch.iter().map(|entry| (entry.account.external_key.clone(), entry.account.hash)).collect();
        let answers = store.compare_accounts(organization, directory, AccountKind::User, &compared).await?;
        let keys: Vec<String> = batch.iter().map(|entry| entry.user.name_key.clone()).collect();
        let named = tx.users_by_name(&keys, None).await?;
        assert!(named.is_empty() && answers.iter().all(|answer| *answer == Comparison::New));
        tx.identities().insert_users(batch.iter().map(|entry| entry.user.clone()).collect()).await?;
        tx.insert_accounts(batch.iter().map(|entry| entry.account.clone()).collect()).await?;
        tx.commit().await?;
    }
    start.report("first import", users);

    let start = Meter::start();
    for batch in entries.chunks(BATCH) {
        let compared: Vec<_> =
            batch.iter().map(|entry| (entry.account.external_key.clone(), entry.account.hash)).collect();
        let answers = store.compare_accounts(organization, directory, AccountKind::User, &compared).await?;
        assert!(answers.iter().all(|answer| *answer == Comparison::Unchanged));
    }
    start.report("unchanged", users);

    let start = Meter::start();
    let unseen = store.unseen_accounts(organization, directory, AccountKind::User, |_| true).await?;
    assert_eq!((unseen.present, unseen.accounts.len()), (u64::from(users), 0));
    start.report("unseen", users);

    let start = Meter::start();
    store.count_members(organization, directory).await?;
    start.report("resolve", users);
    store.close().await;
    Ok(())
}

async fn prepare(store: &Store) -> Outcome<(OrganizationId, DirectoryId)> {
    let now = Timestamp::now();
    let organization = store.create_organization(&format!("bench-{now}"), now).await?.id;
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(organization.as_uuid().as_bytes());
    let token = NewEnrollmentToken {
        hash,
        directories: Vec::new(),
        expires_at: Timestamp::MAX,
        created_by: "bench".to_owned(),
    };
    store.create_enrollment_token(organization, token, now).await?;
    let agent = NewAgent {
        id: AgentId::new(),
        name: "bench".to_owned(),
        version: None,
        serial: "00".to_owned(),
        not_after: Timestamp::MAX,
    };
    let agent = store.enroll_agent(hash, agent, now).await?;
    let served = [AnnouncedDirectory { name: "corp".to_owned(), flavour: Flavour::OpenLdap }];
    let directories = store.announce_directories(organization, agent.id, &served, now).await?;
    Ok((organization, directories[0].id))
}

struct Sample {
    account: NewAccount,
    user: UserRow,
}

impl Sample {
    /// A user as an `OpenLDAP` server would give it, with a random external id.
    fn new(number: u32, organization: OrganizationId) -> Self {
        const GIVEN: [&str; 8] = ["Anna", "Jürgen", "Émile", "Zoë", "Mark", "Sofia", "Łukasz", "Ingrid"];
        const FAMILY: [&str; 6] = ["Müller", "Schmidt", "Garcia", "Nowak", "Berg", "Fontaine"];
        let scattered = blake3::hash(&number.to_le_bytes());
        let pick = scattered.as_bytes();
        let external = uuid::Builder::from_random_bytes(first(pick)).into_uuid();
        let (given, family) = (GIVEN[usize::from(pick[20]) % 8], FAMILY[usize::from(pick[21]) % 6]);
        let name = format!("{}.{}{number}", fold(given), fold(family));
        let (dn, display) = (format!("uid={name},ou=people,dc=corp,dc=example"), format!("{given} {family}"));
        let mail = format!("{name}@corp.example");
        let id = UserId::new();
        let attributes = format!(
            r#"{{"uid":["{name}"],"cn":["{display}"],"sn":["{family}"],"givenName":["{given}"],"displayName":["{display}"],"mail":["{mail}"],"telephoneNumber":["+49 30 {number:07}"],"title":["Engineer"],"departmentNumber":["{}"],"l":["Berlin"],"employeeNumber":["{number}"]}}"#,
            number % 40
        );
        let account = NewAccount {
            id: AccountId::new(),
            kind: AccountKind::User,
            external_key: ExternalKey::from_text(&external.to_string()),
            dn_key: dn.clone(),
            dn,
            unique_value: Some(name.clone()),
            attributes,
            hash: first(&pick[16..]),
            identity: Some(id.as_uuid()),
            conflict: None,
            switch: Switch::On,
        };
        let now = Timestamp::now();
        let user = UserRow {
            id,
            organization,
            name_key: fold(&name),
            user_name: name,
            given_name: Some(given.to_owned()),
            family_name: Some(family.to_owned()),
            display_name: Some(display),
            email: Some(mail),
            active: true,
            attributes: format!(r#"{{"title":"Engineer","employee_number":"{number}","location":"Berlin"}}"#),
            created_at: now,
            updated_at: now,
            missing_since: None,
        };
        Self { account, user }
    }
}

fn first(bytes: &[u8]) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&bytes[..16]);
    first
}

/// Wall and CPU time of this process.
struct Meter {
    start: Instant,
    cpu: Duration,
}

impl Meter {
    fn start() -> Self {
        Self { start: Instant::now(), cpu: cpu() }
    }

    fn report(self, what: &str, entries: u32) {
        let (wall, cpu) = (self.start.elapsed(), cpu().saturating_sub(self.cpu));
        let each = cpu.div_f64(f64::from(entries)).as_secs_f64() * 1e6;
        println!(
            "{what:<14} {:>6.2} s wall  {:>6.2} s CPU  {each:>6.2} µs CPU an entry",
            wall.as_secs_f64(),
            cpu.as_secs_f64()
        );
    }
}

/// CPU time of this process in user and kernel mode, from proc(5), in ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .map_or(0, |rest| rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum());
    Duration::from_millis(ticks * 10)
}
