//! The database refuses a row, and would refuse it for ever: the job says so and ends, and nobody comes to harm.

use anyhow::{Result, ensure};
use postern_tests::people::Person;
use postern_tests::scenario;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use rusqlite::Connection;

/// Changes the schema behind the control plane's back, as a broken migration or a meddling administrator would.
fn meddle(site: &Site, statement: &str) -> Result<()> {
    let connection = Connection::open(site.control_plane.data_dir().join("postern.db"))?;
    Ok(connection.execute_batch(statement)?)
}

#[test]
fn a_row_that_the_database_refuses_ends_the_import_and_marks_nobody_missing() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 60).await?;
        site.api.import(DIRECTORY).await?;
        // One user is new, whom the database refuses; another is gone, and must not be marked missing.
        let mut newcomer = Vec::new();
        Person::nth(60).write_ldif(SUFFIX, &mut newcomer)?;
        site.slapd.apply(newcomer).await?;
        site.slapd.delete(&Person::nth(7).dn(SUFFIX)).await?;
        meddle(
            &site,
            "CREATE TRIGGER refuse BEFORE INSERT ON accounts BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )?;
        for _ in 0..2 {
            let job = site.api.try_import(DIRECTORY).await?.expect("failed")?;
            ensure!(job.error_code() == "storage", "{job:?}");
            ensure!(job.error["cure"].is_string(), "no cure: {job:?}");
            ensure!(!job.error.to_string().contains("not this one"), "the database's own words: {job:?}");
        }
        ensure!(site.control_plane.log().contains("not this one"), "the log does not hold the database's own words");
        let accounts = site.api.accounts(DIRECTORY, "user").await?;
        ensure!(accounts.len() == 60, "{} accounts", accounts.len());
        ensure!(accounts.iter().all(|account| account.missing_since.is_none()), "somebody was marked missing");

        meddle(&site, "DROP TRIGGER refuse")?;
        let mended = site.api.import(DIRECTORY).await?;
        ensure!(mended.count("created") == 1 && mended.count("missing") == 1, "{mended:?}");
        site.compare().await
    })
}
