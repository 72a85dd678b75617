//! The `SQLite` volume is full: the state is clear, nothing is acknowledged that is not stored, and with room again it
//! goes on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::small_disk::SmallDisk;
use postern_tests::{control_plane, scenario, slapd, wait};
use serde_json::Value;

#[test]
fn a_full_disk_is_said_and_acknowledges_nothing_that_is_not_stored() -> Result<()> {
    scenario(async |stage| {
        let disk = SmallDisk::mount(stage, 24 * 1024)?;
        let mut options = control_plane::Options::for_tests()?;
        options.data_dir = Some(disk.folder().join("data"));
        std::fs::create_dir(disk.folder().join("data"))?;
        let site = Site::start_with(stage, slapd::Options::people(1_000), options).await?;
        disk.fill(192)?;
        let job = site.api.start_job("import", DIRECTORY, Value::Null).await.context("with little room left")?;
        wait::until_true("the control plane says that the disk is full", Duration::from_secs(40), || async {
            Ok(site.control_plane.log().contains("the database's volume is full or cannot be written"))
        })
        .await?;
        // What is there can be looked at all the while, and nothing claims to be over.
        let state = site.api.job(&job.id).await.context("on a full disk")?.state;
        ensure!(!matches!(state.as_str(), "succeeded" | "canceled" | "held"), "{state}");
        let accounts = site.api.accounts(DIRECTORY, "user").await.context("on a full disk")?;
        ensure!(accounts.len() < 1_000, "a full disk took everything: the test proves nothing");
        ensure!(accounts.iter().all(|account| account.missing_since.is_none()), "somebody was marked missing");
        disk.free()?;
        let job = site.api.finished(&job.id, Duration::from_mins(2)).await?;
        // It waited for room, or it failed and said why.
        ensure!(job.state == "succeeded" || !job.error_code().is_empty(), "{job:?}");
        if job.state != "succeeded" {
            site.api.import(DIRECTORY).await.context("with room again")?;
        }
        site.compare().await
    })
}
