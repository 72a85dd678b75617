//! How long a page of a list takes, wherever in the list it is.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use postern_tests::api::Api;

use super::figures::{Figures, percentile_ms};

/// Pages of one list that are measured: all of 200,000 items.
const PAGES: usize = 2_000;

/// The lists: all users, those of a search that finds nearly all of them by name or address, and all groups.
const LISTS: [(&str, &str); 3] = [
    ("pages of users", "/api/v1/users?limit=100"),
    ("pages of a search for users", "/api/v1/users?limit=100&query=u"),
    ("pages of groups", "/api/v1/groups?limit=100"),
];

/// Walks each list and adds a row for it.
pub(crate) async fn measure(api: &Api, database: &str, figures: &mut Figures) -> Result<()> {
    for (what, path) in LISTS {
        let mut taken = walk(api, path).await?;
        taken.sort_unstable();
        figures.row(
            format!("{database}: {what}"),
            &[("p50_ms", percentile_ms(&taken, 0.5)), ("p99_ms", percentile_ms(&taken, 0.99))],
        );
    }
    Ok(())
}

async fn walk(api: &Api, path: &str) -> Result<Vec<Duration>> {
    let (mut taken, mut page) = (Vec::new(), path.to_owned());
    while taken.len() < PAGES {
        let began = Instant::now();
        let found = api.get(&page).await?;
        taken.push(began.elapsed());
        match found.get("next_cursor").context("the page says nothing of the next one")?.as_str() {
            Some(cursor) => page = format!("{path}&cursor={cursor}"),
            None => break,
        }
    }
    Ok(taken)
}
