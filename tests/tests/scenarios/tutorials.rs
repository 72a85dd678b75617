//! The tutorials in docs/ are run as they stand, on both databases.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::DirectorySettings;
use postern_tests::api::Api;
use postern_tests::control_plane::{self, ControlPlane};
use postern_tests::line::Line;
use postern_tests::postgres::Postgres;
use postern_tests::slapd::{self, Slapd};
use postern_tests::tutorial::Tutorial;
use postern_tests::{Stage, scenario, wait};
use serde_json::Value;

#[test]
fn the_tutorial_of_identities_on_sqlite() -> Result<()> {
    scenario(async |stage| identities(stage, control_plane::Options::for_tests()?).await)
}

#[test]
fn the_tutorial_of_identities_on_postgres() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let mut options = control_plane::Options::for_tests()?;
        options.database_url = Some(postgres.fresh_database().await?);
        identities(stage, options).await
    })
}

async fn identities(stage: &Stage, options: control_plane::Options) -> Result<()> {
    let tutorial = Tutorial::read("tutorial-identities.md")?;
    ensure!(tutorial.commands() >= 20, "{} commands", tutorial.commands());
    let (mut servers, mut directories) = (Vec::new(), Vec::new());
    for name in ["corp", "branch"] {
        let extra_ldif = tutorial.files.get(&format!("{name}.ldif")).context("no people")?.clone();
        let slapd = Slapd::start(stage, slapd::Options { extra_ldif, ..slapd::Options::people(0) }).await?;
        let mut settings = DirectorySettings::slapd(name, &slapd, stage.path())?;
        settings.users.attributes.push("employeeNumber".to_owned());
        directories.push(settings);
        servers.push(slapd);
    }
    let line = Line::start_with(stage, directories, options).await?;
    let folder = stage.folder("tutorial")?;
    tutorial.run(&folder, |shell| line.control_plane.shell(shell, &line.api)).await?;
    what_stands(&line.control_plane, &line.api).await
}

/// The commands did what the page says.
async fn what_stands(control_plane: &ControlPlane, api: &Api) -> Result<()> {
    // The new rule is applied in the background.
    let mary = wait::until("mary's address is in small letters", wait::SOON, || async {
        let shown = control_plane.command_line(api).args(["users", "show", "mary", "--json"]).success().await?;
        let mary: Value = serde_json::from_str(&shown)?;
        Ok(Some(mary).filter(|mary| mary["email"] == "mary.jackson@corp.example"))
    })
    .await?;
    ensure!(mary["accounts"].as_array().is_some_and(|accounts| accounts.len() == 2), "{mary}");
    Ok(())
}
