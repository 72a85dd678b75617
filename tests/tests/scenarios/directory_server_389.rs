//! The same import against a real 389 Directory Server.

use anyhow::{Result, ensure};
use postern_tests::agent::DirectorySettings;
use postern_tests::ds389::{self, Ds389};
use postern_tests::line::Line;
use postern_tests::people::Person;
use postern_tests::{compare, scenario};

#[test]
fn a_389_directory_server_is_imported_and_its_changes_are_seen() -> Result<()> {
    scenario(async |stage| {
        let server = Ds389::start(stage, ds389::Options::people(250)).await?;
        let line = Line::start(stage, vec![DirectorySettings::ds389("ds", &server, stage.path())?]).await?;
        let job = line.api.import("ds").await?;
        ensure!(job.count("users") == 250 && job.count("groups") == 13, "{job:?}");
        compare::ds389(&line.api, "ds", &server).await?;
        let (passed, report) = line.agent.check().await?;
        ensure!(passed && report.to_string().contains("389 Directory Server"), "{report:#}");

        server.rename(&Person::nth(5).dn(ds389::SUFFIX), "uid=renamed", None).await?;
        server.delete(&Person::nth(6).dn(ds389::SUFFIX)).await?;
        let job = line.api.import("ds").await?;
        ensure!(job.count("missing") == 1 && job.count("updated") >= 1, "{job:?}");
        compare::ds389(&line.api, "ds", &server).await
    })
}
