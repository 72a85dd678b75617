//! Every page of a search costs the same: counted in steps of SQLite's virtual machine, and in pages that PostgreSQL
//! reads (`tests/conformance/engine.rs`).

use jiff::Timestamp;
use rusqlite::{Connection, StatementStatus};
use tempfile::TempDir;

use super::{Stage, UserList};
use crate::{DatabaseUrl, IdentityFilter, OrganizationId, Store};

const PEOPLE: i64 = 5_000;

/// A database with this many users that all match one search in the same way.
async fn crowd(folder: &TempDir) -> (Connection, Vec<u8>) {
    let path = folder.path().join("postern.db");
    let store = Store::open(&DatabaseUrl::sqlite(&path)).await.unwrap();
    let organization = store.create_organization("one", Timestamp::UNIX_EPOCH).await.unwrap();
    store.close().await;
    let connection = Connection::open(path).unwrap();
    connection
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1), \
             v(key) AS (SELECT printf('%06d', i) FROM n) \
             INSERT INTO users (id, organization, name_key, display_key, email_key, user_name, active, created_at, \
             updated_at, attributes) \
             SELECT randomblob(16), (SELECT seq FROM organizations), 'n' || key, 'd' || key, 'e' || key, key, 1, 0, 0, \
             '{}' FROM v",
            [PEOPLE],
        )
        .unwrap();
    (connection, organization.id.as_uuid().as_bytes().to_vec())
}

#[tokio::test]
async fn the_last_page_of_a_search_takes_no_more_steps_than_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (connection, organization) = crowd(&folder).await;
    for (stage, prefix) in [(Stage::Name, "n"), (Stage::DisplayName, "d"), (Stage::Email, "e")] {
        let list = UserList::new(OrganizationId::new(), Some(prefix), IdentityFilter::default());
        let steps = |after: &str| {
            let mut statement = connection.prepare(&stage.text(&list)).unwrap();
            let values: [(&str, &dyn rusqlite::ToSql); 6] = [
                ("$1", &organization),
                ("$2", &super::end_of(prefix)),
                ("$3", &after),
                ("$4", &i64::MIN),
                ("$5", &11),
                ("$6", &prefix),
            ];
            let used = statement.parameter_count();
            let found = statement.query_map(&values[..used], |_| Ok(())).unwrap().count();
            assert_eq!(found, 11);
            statement.get_status(StatementStatus::VmStep)
        };
        let (beginning, end) = (steps(prefix), steps(&format!("{prefix}{:06}", PEOPLE - 11)));
        assert!(end < beginning * 2, "{prefix}: {beginning} steps for the first page, {end} for the last");
    }
}
