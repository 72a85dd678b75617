//! Previews that end early, or whose process does.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{control_plane, scenario, slapd, wait};
use serde_json::Value;

use super::{dump, preview};

/// A preview that stands still in the middle of its chunks.
async fn under_way(site: &Site) -> Result<String> {
    site.line.plan([(60_000, Fault::Hold)]);
    let job = site.api.start_job("import_preview", DIRECTORY, Value::Null).await?;
    site.line.struck().await?;
    ensure!(!copies(site.control_plane.data_dir())?.is_empty(), "it works on no copy");
    Ok(job.id)
}

/// The copies on disk, of living and dead processes.
fn copies(data_dir: &Path) -> Result<Vec<String>> {
    let mut copies = Vec::new();
    for process in std::fs::read_dir(data_dir.join("copies"))? {
        for entry in std::fs::read_dir(process?.path())? {
            copies.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    copies.retain(|name| name != "lock");
    Ok(copies)
}

/// How many rows of previews the database has.
fn rows_kept(site: &Site) -> Result<i64> {
    let database = rusqlite::Connection::open(site.control_plane.data_dir().join("postern.db"))?;
    Ok(database.query_row("SELECT count(*) FROM preview_rows", [], |row| row.get(0))?)
}

#[test]
fn a_canceled_preview_leaves_neither_rows_nor_a_copy() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start_with(stage, slapd::Options::people(500), control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        site.change_many(500, 1).await?;
        let before = dump(&site.control_plane.data_dir().join("postern.db"))?;
        let job = under_way(&site).await?;
        site.api.decide(&job, "cancel").await?;
        site.line.resume();
        site.api.finished(&job, wait::SOON).await?.expect("canceled")?;
        let (status, refused) =
            site.api.send(reqwest::Method::GET, &format!("/api/v1/jobs/{job}/preview"), None).await?;
        ensure!(status == 409 && refused.to_string().contains("has not succeeded"), "{status} {refused:#}");
        ensure!(rows_kept(&site)? == 0, "rows of it are left");
        wait::until_true("the copy is deleted", wait::SOON, || async {
            Ok(copies(site.control_plane.data_dir())?.is_empty())
        })
        .await?;
        ensure!(dump(&site.control_plane.data_dir().join("postern.db"))? == before, "it changed something");
        // The next one has room, and sees everything.
        let (again, rows) = preview(&site.api).await?;
        ensure!(!rows.is_empty() && again.result["rows"] == rows.len(), "{again:#?}");
        Ok(())
    })
}

#[test]
fn a_preview_whose_process_is_killed_starts_again_on_a_new_copy() -> Result<()> {
    scenario(async |stage| {
        let mut site =
            Site::start_with(stage, slapd::Options::people(500), control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        site.change_many(500, 1).await?;
        let job = under_way(&site).await?;
        let left = copies(site.control_plane.data_dir())?;
        site.control_plane.kill().await?;
        site.line.cut();
        site.line.resume();
        site.control_plane.run(stage).await?;
        let over = site.api.finished(&job, Duration::from_mins(1)).await?.expect("succeeded")?;
        let rows: Vec<Value> = site.api.list(&format!("/api/v1/jobs/{job}/preview")).await?;
        ensure!(!rows.is_empty() && over.result["rows"] == rows.len(), "{over:#?}");
        let now = copies(site.control_plane.data_dir())?;
        ensure!(now.iter().all(|copy| !left.contains(copy)), "the copy of the killed process is there: {now:?}");
        let (_, again) = preview(&site.api).await?;
        ensure!(again == rows, "the second attempt found something else");
        Ok(())
    })
}
