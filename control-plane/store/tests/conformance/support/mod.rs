//! Runs each story on both engines: on a new `SQLite` file, and on a new database of a `PostgreSQL` server that is
//! started for the test binary and stopped with it.

pub(crate) mod postgres;
pub(crate) mod world;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use postern_store::{DatabaseUrl, Store};
use sqlx::{Connection as _, Executor as _};

/// Longest time of a story.
const STORY_LIMIT: Duration = Duration::from_mins(1);

/// A fresh database.
#[derive(Clone, Debug)]
pub(crate) struct TestDatabase {
    /// Where it is.
    pub(crate) url: DatabaseUrl,
    /// Opened once.
    pub(crate) store: Store,
    /// Where tests find it without the store: a path or a URL.
    raw: Option<String>,
}

impl TestDatabase {
    /// Opens it.
    pub(crate) async fn open(url: DatabaseUrl) -> Self {
        let store = Store::open(&url).await.expect("the database opens");
        Self { url, store, raw: None }
    }

    /// Opens it once more, as another replica does.
    pub(crate) async fn again(&self) -> Store {
        Store::open(&self.url).await.expect("the database opens twice")
    }
}

impl TestDatabase {
    /// Whether it is a database of `PostgreSQL`.
    pub(crate) fn is_postgres(&self) -> bool {
        self.raw.as_deref().is_some_and(|raw| !raw.starts_with('/'))
    }

    /// Returns when a transaction of `PostgreSQL` waits for a lock; at once on `SQLite`, which has one writer at a time.
    pub(crate) async fn somebody_waits(&self) {
        let Some(raw) = self.raw.as_deref().filter(|_| self.is_postgres()) else { return };
        let mut connection = sqlx::PgConnection::connect(raw).await.expect("the server answers");
        let query = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        let waiting = async {
            while sqlx::query_scalar::<_, i64>(query).fetch_one(&mut connection).await.expect("a number") == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(STORY_LIMIT, waiting).await.expect("somebody waits");
    }

    /// Carries a statement out behind the store's back, as somebody with the database could.
    pub(crate) async fn execute(&self, statement: &str) {
        let raw = self.raw.as_deref().expect("a story's database");
        if raw.starts_with('/') {
            let connection = rusqlite::Connection::open(raw).expect("the file opens");
            connection.execute_batch(statement).expect("it is carried out");
        } else {
            let mut connection = sqlx::PgConnection::connect(raw).await.expect("the server answers");
            connection.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.expect("it is carried out");
        }
    }
}

/// A story, ready to run.
pub(crate) type Story = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A story with its name.
pub(crate) type Named = (&'static str, fn(TestDatabase) -> Story);

/// Runs one story on `SQLite`.
pub(crate) async fn on_sqlite(story: impl FnOnce(TestDatabase) -> Story) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("postern.db");
    let database = TestDatabase::open(DatabaseUrl::sqlite(&path)).await;
    let database = TestDatabase { raw: path.to_str().map(str::to_owned), ..database };
    let opened = database.store.clone();
    tokio::time::timeout(STORY_LIMIT, story(database)).await.expect("the story ends in time");
    opened.close().await;
}

/// Runs all stories on `PostgreSQL`, each on a database of its own, and reports which of them failed.
pub(crate) async fn on_postgres(stories: Vec<Named>) {
    let server = postgres::Server::start().await;
    let mut failed = Vec::new();
    for (name, story) in stories {
        let database = TestDatabase::open(server.database_with_tables().await).await;
        let database = TestDatabase { raw: Some(server.newest_url()), ..database };
        let store = database.store.clone();
        let run = tokio::time::timeout(STORY_LIMIT, tokio::spawn(story(database))).await;
        if !matches!(run, Ok(Ok(()))) {
            failed.push(name);
        }
        store.close().await;
    }
    drop(server);
    assert!(failed.is_empty(), "these stories fail on PostgreSQL: {failed:?}");
}

/// Makes tests of stories: one for each on `SQLite`, and one for all on `PostgreSQL`.
macro_rules! conformance {
    ($($story:ident,)+) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $story() {
                    crate::support::on_sqlite(|database| Box::pin(super::$story(database))).await;
                }
            )+
        }

        #[tokio::test]
        async fn postgres() {
            crate::support::on_postgres(vec![
                $((stringify!($story), |database| Box::pin($story(database))),)+
            ])
            .await;
        }
    };
}
pub(crate) use conformance;
