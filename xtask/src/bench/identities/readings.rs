//! How long answers take.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use postern_tests::api::Api;
use serde_json::Value;

use crate::bench::figures::percentile_ms;

/// The id of what was made.
pub(super) fn id(made: &Value) -> Result<String> {
    Ok(made["id"].as_str().context("the answer has no id")?.to_owned())
}

/// Reads a page several times.
pub(super) async fn measured(api: &Api, path: &str, reads: usize) -> Result<[(&'static str, f64); 2]> {
    let mut taken = Vec::new();
    for _ in 0..reads {
        let began = Instant::now();
        api.get(path).await?;
        taken.push(began.elapsed());
    }
    Ok(percentiles(taken))
}

/// The median and the slowest of a hundred.
pub(super) fn percentiles(mut taken: Vec<Duration>) -> [(&'static str, f64); 2] {
    taken.sort_unstable();
    [("p50_ms", percentile_ms(&taken, 0.5)), ("p99_ms", percentile_ms(&taken, 0.99))]
}
