//! Tests how `SQLite` runs the statements of some calls: by which index, and whether it reads a whole table.
//! `tests/conformance/engine.rs` tests the same calls on `PostgreSQL`.

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    AccountId, AgentId, DatabaseUrl, DirectoryId, FilterBounds, GroupId, GroupRow, IdentityFilter, IdentityId,
    OperationFilter, OperationState, OrganizationId, PageRequest, ReplicaId, Restamp, Store, UserFilter, UserId,
    UserRow, UserSource, sqlite,
};

/// An open database.
struct Site {
    folder: TempDir,
    store: Store,
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::sqlite(&folder.path().join("postern.db"))).await.unwrap();
        Self { folder, store }
    }

    /// The plan steps of all statements since the last call, each after its statement.
    fn steps(&self) -> Vec<(String, String)> {
        let path = self.folder.path().join("postern.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(sqlite::AS_EVERYWHERE).unwrap();
        let mut steps = Vec::new();
        for text in sqlite::seen::take(&path) {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
            let mut rows = plan.raw_query();
            while let Some(row) = rows.next().unwrap() {
                steps.push((text.clone(), row.get("detail").unwrap()));
            }
        }
        steps
    }

    /// The steps that read one of these tables, by any of its names, and neither use one of these partial indexes nor
    /// find single rows by one of the others.
    fn by_no_other(&self, names: &[&str], partial: &[&str], whole: &[&str]) -> Vec<(String, String)> {
        let about = |step: &str| {
            let table = step.strip_prefix("SCAN ").or_else(|| step.strip_prefix("SEARCH "));
            table.and_then(|rest| rest.split(' ').next()).is_some_and(|table| names.contains(&table))
        };
        let has = |step: &str, indexes: &[&str]| step.split(' ').any(|word| indexes.contains(&word));
        let by = |step: &str| has(step, partial) || (step.starts_with("SEARCH") && has(step, whole));
        self.steps().into_iter().filter(|(_, step)| about(step) && !by(step)).collect()
    }
}

#[tokio::test]
async fn what_looks_for_open_jobs_never_reads_the_ended_ones() {
    let site = Site::new().await;
    let (store, replica, error) = (&site.store, ReplicaId::new(), json!({}));
    let names = ["jobs", "j", "o", "other", "directories", "d"];
    let (partial, whole) =
        (["jobs_open", "jobs_one_exclusive"], ["sqlite_autoindex_jobs_1", "sqlite_autoindex_directories_1"]);
    macro_rules! look {
        ($($call:expr;)+) => {{
            let mut found = Vec::new();
            $(
                $call.await.unwrap();
                found.extend(site.by_no_other(&names, &partial, &whole));
            )+
            found
        }};
    }
    let found = look! {
        store.claim(replica, &[DirectoryId::new()], NOW, NOW, 10);
        store.claim_proven(replica, NOW, NOW, 10);
        store.running_of_agent(AgentId::new());
        store.canceled_running(replica);
        store.mark_waiting(&[], "", NOW, NOW);
        store.count_open_jobs();
        store.end_leases(NOW, NOW);
        store.end_abandoned(&error, NOW);
        store.expire_overdue(&error, &error, NOW);
        store.fail_disabled(&error, NOW);
        store.fail_resumed(replica, 3, &error, NOW);
        store.disabled_running(replica);
    };
    assert_eq!(found, []);
}

#[tokio::test]
async fn due_schedules_are_found_by_their_index() {
    let site = Site::new().await;
    site.steps();
    site.store.due_schedules(NOW, 10).await.unwrap();
    let steps = site.steps();
    assert!(steps.iter().any(|(_, step)| step.starts_with("SEARCH s USING INDEX schedules_due")), "{steps:#?}");
    assert!(!steps.iter().any(|(_, step)| step.contains("TEMP B-TREE")), "they are read in their order: {steps:#?}");
}

#[tokio::test]
async fn what_provisioning_reads_of_many_is_found_by_their_ids() {
    let site = Site::new().await;
    let (store, organization) = (&site.store, site.store.create_organization("one", NOW).await.unwrap().id);
    let (users, groups): (Vec<_>, Vec<_>) = (0..20).map(|_| (UserId::new(), GroupId::new())).unzip();
    let ids: Vec<_> = users.iter().map(|user| user.as_uuid()).collect();
    let identities: Vec<_> = users.iter().map(|user| IdentityId::User(*user)).collect();
    site.steps();
    store.accounts_in(organization, DirectoryId::new().into(), &identities).await.unwrap();
    store.present_accounts_of(organization, &users).await.unwrap();
    store.get_owned_users(organization, &users).await.unwrap();
    store.get_groups(organization, &groups).await.unwrap();
    store.groups_with_own_members(organization, &groups).await.unwrap();
    store.members_of_any(organization, &ids, &groups).await.unwrap();
    let indexes = [
        "accounts_of_identity",
        "own_members_of_member",
        "sqlite_autoindex_users_1",
        "sqlite_autoindex_groups_1",
        "sqlite_autoindex_own_members_1",
        "PRIMARY",
    ];
    let names = ["users", "groups", "accounts", "a", "own_members", "o", "member_names", "m"];
    assert_eq!(site.by_no_other(&names, &[], &indexes), []);
}

#[tokio::test]
async fn marks_that_are_due_are_read_without_those_that_wait() {
    let site = Site::new().await;
    let organization = site.store.create_organization("one", NOW).await.unwrap().id;
    site.steps();
    site.store.due_marks(organization, DirectoryId::new().into(), NOW, 10).await.unwrap();
    let steps = site.steps();
    let by_time = |(_, step): &(String, String)| step.contains("marks_by_time (target=? AND not_before<?)");
    assert!(steps.iter().any(by_time), "{steps:#?}");
    assert!(!steps.iter().any(|(_, step)| step.contains("TEMP B-TREE")), "they are read in their order: {steps:#?}");
}

/// A directory that an agent serves.
async fn served_directory(store: &Store, organization: OrganizationId) -> DirectoryId {
    let agent = crate::NewAgent {
        id: AgentId::new(),
        name: "site".to_owned(),
        version: None,
        serial: "01".to_owned(),
        not_after: NOW + jiff::SignedDuration::from_hours(1),
    };
    let token = crate::NewEnrollmentToken {
        hash: [1; 32],
        directories: Vec::new(),
        expires_at: NOW + jiff::SignedDuration::from_hours(1),
        created_by: "test".to_owned(),
    };
    store.create_enrollment_token(organization, token, NOW).await.unwrap();
    let agent = store.enroll_agent([1; 32], agent, NOW).await.unwrap().id;
    let served = [crate::AnnouncedDirectory { name: "corp".to_owned(), flavour: crate::Flavour::OpenLdap }];
    store.announce_directories(organization, agent, &served, NOW).await.unwrap()[0].id
}

fn user_of(organization: OrganizationId, name: &str) -> UserRow {
    UserRow {
        id: UserId::new(),
        organization,
        user_name: name.to_owned(),
        name_key: name.to_owned(),
        given_name: None,
        family_name: None,
        display_name: None,
        email: None,
        active: true,
        attributes: "{}".to_owned(),
        created_at: NOW,
        updated_at: NOW,
        missing_since: None,
    }
}

fn group_of(organization: OrganizationId, name: &str) -> GroupRow {
    GroupRow {
        id: GroupId::new(),
        organization,
        display_name: name.to_owned(),
        description: None,
        created_at: NOW,
        updated_at: NOW,
        missing_since: None,
    }
}

#[tokio::test]
async fn a_page_of_the_report_is_read_in_its_order_by_the_index_of_its_filter() {
    let site = Site::new().await;
    let (store, organization) = (&site.store, site.store.create_organization("one", NOW).await.unwrap().id);
    let all = OperationFilter::default;
    let filters = [
        ("operations_of_organization", OperationFilter { from: Some(NOW), until: Some(NOW), ..all() }),
        ("operations_of_identity", OperationFilter { identity: Some(uuid::Uuid::nil()), from: Some(NOW), ..all() }),
        ("operations_of_target", OperationFilter { target: Some(DirectoryId::new().into()), ..all() }),
        ("operations_by_action", OperationFilter { action: Some("delete".to_owned()), until: Some(NOW), ..all() }),
        ("operations_by_state", OperationFilter { state: Some(OperationState::Failed), ..all() }),
    ];
    for (index, filter) in filters {
        site.steps();
        store.list_operations(organization, &filter, &PageRequest::first(10)).await.unwrap();
        let steps = site.steps();
        let found = |(_, step): &(String, String)| step.starts_with("SEARCH o") && step.contains(index);
        assert!(steps.iter().any(found), "{index}: {steps:#?}");
        assert!(!steps.iter().any(|(_, step)| step.contains("TEMP B-TREE")), "it is sorted: {steps:#?}");
    }
}

#[tokio::test]
async fn the_last_change_of_somebody_is_found_by_its_index() {
    let site = Site::new().await;
    let (store, organization) = (&site.store, site.store.create_organization("one", NOW).await.unwrap().id);
    site.steps();
    assert_eq!(store.last_change_of(organization, uuid::Uuid::nil()).await.unwrap(), None);
    let steps = site.steps();
    assert!(
        steps.iter().any(|(_, step)| step.contains("audit_of_object (organization_id=? AND object_id=?)")),
        "{steps:#?}"
    );
    assert!(!steps.iter().any(|(_, step)| step.ends_with("PRIMARY KEY (organization_id=?)")), "{steps:#?}");
}

const INACTIVE: IdentityFilter = IdentityFilter { active: Some(false), missing: None };
const MISSING: IdentityFilter = IdentityFilter { active: None, missing: Some(true) };

#[tokio::test]
async fn a_list_of_the_inactive_or_missing_reads_nobody_else() {
    let site = Site::new().await;
    let (store, organization) = (&site.store, site.store.create_organization("one", NOW).await.unwrap().id);
    let page = PageRequest::first(10);
    site.steps();
    for (filter, index) in [(INACTIVE, "users_inactive_by_name"), (MISSING, "users_missing_by_name")] {
        store.list_users_where(organization, None, filter, &page).await.unwrap();
        store.total_users(organization, None, filter).await.unwrap();
        assert_eq!(site.by_no_other(&["users"], &[index], &[]), [], "{filter:?}");
        // A search has an index for names, one for display names and one for addresses.
        let by = [index, &index.replace("name", "display_name"), &index.replace("name", "email")];
        for totals in [false, true] {
            if totals {
                store.total_users(organization, Some("a"), filter).await.unwrap();
            } else {
                store.list_users_where(organization, Some("a"), filter, &page).await.unwrap();
            }
            let steps = site.steps();
            for index in by {
                assert!(steps.iter().any(|(_, step)| step.contains(index)), "{filter:?} {index}: {steps:#?}");
            }
        }
    }
    for query in [None, Some("a")] {
        store.list_groups_where(organization, query, MISSING, &page).await.unwrap();
        store.total_groups(organization, query, MISSING).await.unwrap();
        assert_eq!(site.by_no_other(&["groups"], &["groups_missing_by_name"], &[]), [], "{query:?}");
    }
}

#[tokio::test]
async fn filtered_lists_are_read_by_indexes_whether_few_fit_or_many() {
    let site = Site::new().await;
    let (store, organization) = (&site.store, site.store.create_organization("one", NOW).await.unwrap().id);
    let directory = served_directory(store, organization).await;
    let mut tx = store.begin_identities(organization, NOW + jiff::SignedDuration::from_secs(1)).await.unwrap();
    let own = |name: &str| (user_of(organization, name), "{}".to_owned());
    tx.insert_own_users(vec![own("ada"), own("bob")]).await.unwrap();
    let group = group_of(organization, "staff");
    tx.insert_groups(vec![group.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let none = UserFilter::default();
    let filters = [
        UserFilter { updated_after: Some(NOW), ..none },
        UserFilter { group: Some(group.id), ..none },
        UserFilter { source: Some(UserSource::Organization), ..none },
        UserFilter { source: Some(UserSource::Directory(directory)), ..none },
    ];
    let names = ["users", "accounts", "a", "b", "m", "n", "o", "member_names", "group_members", "own_members"];
    let whole = [
        "users_by_change",
        "users_own_by_name",
        "sqlite_autoindex_users_1",
        "sqlite_autoindex_users_2",
        "users_by_display_name",
        "users_by_email",
        "accounts_of_identity",
        "sqlite_autoindex_accounts_2",
        "accounts_by_member_hash",
        "accounts_without_identity",
        "sqlite_autoindex_group_members_1",
        "PRIMARY",
    ];
    site.steps();
    for filter in filters {
        for few in [0, 5_000] {
            let bounds = FilterBounds { few, ..FilterBounds::default() };
            for query in [None, Some("a")] {
                let page = PageRequest::first(10);
                store.filter_users_within(organization, query, &filter, &page, bounds).await.unwrap();
                assert_eq!(site.by_no_other(&names, &[], &whole), [], "{filter:?} {few} {query:?}");
            }
        }
    }
}

#[tokio::test]
async fn members_are_counted_by_the_indexes_of_names_alone() {
    let site = Site::new().await;
    let (store, organization) = (&site.store, site.store.create_organization("one", NOW).await.unwrap().id);
    let directory = served_directory(store, organization).await;
    let indexes = ["accounts_by_member_hash", "accounts_without_identity"];
    site.steps();
    store.count_members(organization, directory).await.unwrap();
    store.unresolved_members(organization, directory, 10).await.unwrap();
    let steps = site.steps();
    for index in indexes {
        assert!(steps.iter().any(|(_, step)| step.contains(index)), "{index}: {steps:#?}");
    }
    store.count_members(organization, directory).await.unwrap();
    store.unresolved_members(organization, directory, 10).await.unwrap();
    assert_eq!(site.by_no_other(&["accounts", "a", "b"], &indexes, &[]), []);
}

#[tokio::test]
async fn mapping_anew_finds_accounts_and_users_by_their_ids() {
    let site = Site::new().await;
    let (store, organization) = (&site.store, site.store.create_organization("one", NOW).await.unwrap().id);
    let directory = served_directory(store, organization).await;
    let users: Vec<UserRow> = (0..2_000).map(|number| user_of(organization, &format!("user{number}"))).collect();
    let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
    let restamps: Vec<Restamp> =
        ids.iter().map(|_| Restamp { account: AccountId::new(), before: [0; 16], after: [1; 16] }).collect();
    site.steps();
    store.user_profiles(organization, ids.iter().map(|id| id.as_uuid()).collect()).await.unwrap();
    let mut tx = store.begin_intake(organization, directory, NOW).await.unwrap();
    tx.held_users(&ids).await.unwrap();
    tx.identities().update_profiles(users).await.unwrap();
    tx.identities().lower_users(&ids).await.unwrap();
    tx.restamp(&restamps).await.unwrap();
    tx.commit().await.unwrap();
    let whole = ["sqlite_autoindex_users_1", "sqlite_autoindex_accounts_1", "accounts_of_identity"];
    assert_eq!(site.by_no_other(&["users", "accounts", "a", "h"], &[], &whole), []);
}
