//! A few rounds of what `cargo xtask bench kills` does five hundred times.

use anyhow::{Context as _, Result};
use postern_tests::kills::Campaign;
use postern_tests::scenario;

#[test]
fn whatever_is_killed_each_change_arrives_once() -> Result<()> {
    scenario(async |stage| {
        let mut campaign = Campaign::start(stage, 7).await?;
        for round in 0..12 {
            campaign.round(stage).await.with_context(|| format!("round {round}"))?;
        }
        Ok(())
    })
}
