//! The jobs that have not ended, as the index `jobs_open` knows them. There are few of them, and many that have ended.

/// The condition of the index, word for word. `SQLite` uses a partial index only where the statement repeats its
/// condition: it does not see that a job in state `running` is one of them. `PostgreSQL` sees that.
macro_rules! open_jobs {
    () => {
        "state IN ('queued', 'waiting', 'running', 'held')"
    };
}
pub(crate) use open_jobs;

/// The condition of the index `jobs_one_exclusive`, word for word: an exclusive job of a directory that is under way.
macro_rules! exclusive_under_way {
    () => {
        "exclusive AND (state IN ('running', 'held') OR (state = 'queued' AND proven))"
    };
}
pub(crate) use exclusive_under_way;
