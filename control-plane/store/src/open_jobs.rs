//! The jobs that have not ended, by the index `jobs_open`. They are few among many.

/// The condition of the index, word for word. `SQLite` uses a partial index only if the statement repeats its
/// condition: it does not infer that a `running` job matches. `PostgreSQL` does.
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
