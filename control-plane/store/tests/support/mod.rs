//! Runs each story on both engines: on a new `SQLite` file, and on a new database of a `PostgreSQL` server that is
//! started for the test binary and stopped with it.

#![expect(dead_code, reason = "every suite uses another part of it")]

pub(crate) mod postgres;
pub(crate) mod world;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use postern_store::{DatabaseUrl, Store};

/// Longest time of a story.
const STORY_LIMIT: Duration = Duration::from_mins(1);

/// A fresh database.
#[derive(Clone, Debug)]
pub(crate) struct TestDatabase {
    /// Where it is.
    pub(crate) url: DatabaseUrl,
    /// Opened once.
    pub(crate) store: Store,
}

impl TestDatabase {
    /// Opens it.
    pub(crate) async fn open(url: DatabaseUrl) -> Self {
        let store = Store::open(&url).await.expect("the database opens");
        Self { url, store }
    }

    /// Opens it once more, as another replica does.
    pub(crate) async fn again(&self) -> Store {
        Store::open(&self.url).await.expect("the database opens twice")
    }
}

/// A story, ready to run.
pub(crate) type Story = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A story with its name.
pub(crate) type Named = (&'static str, fn(TestDatabase) -> Story);

/// Runs one story on `SQLite`.
pub(crate) async fn on_sqlite(story: impl FnOnce(TestDatabase) -> Story) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = TestDatabase::open(DatabaseUrl::sqlite(&folder.path().join("postern.db"))).await;
    let store = database.store.clone();
    tokio::time::timeout(STORY_LIMIT, story(database)).await.expect("the story ends in time");
    store.close().await;
}

/// Runs all stories on `PostgreSQL`, each on a database of its own, and reports which of them failed.
pub(crate) async fn on_postgres(stories: Vec<Named>) {
    let server = postgres::Server::start().await;
    let mut failed = Vec::new();
    for (name, story) in stories {
        let database = TestDatabase::open(server.fresh_database().await).await;
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
