//! Listening for wake-ups.

use sqlx::pool::PoolOptions;
use sqlx::postgres::PgListener;

use crate::Store;
use crate::database::Engine;
use crate::error::Result;
use crate::wake::{CHANNEL, Source, Wakeups};

impl Store {
    /// Listens for wake-ups from this process and, on `PostgreSQL`, from every replica.
    pub async fn listen(&self) -> Result<Wakeups> {
        Ok(Wakeups(match &self.database.engine {
            Engine::Sqlite { wakes, .. } => Source::Process(wakes.0.subscribe()),
            Engine::Postgres { pool } => {
                // A pool of its own: it keeps its connection for good, and closing the store must not wait for that.
                let options = PoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
                let own = options.connect_lazy_with(pool.connect_options().as_ref().clone());
                let mut listener = PgListener::connect_with(&own).await?;
                listener.listen(CHANNEL).await?;
                Source::Postgres(Box::new(listener))
            }
        }))
    }
}
