//! A wrong LDAP password never locks the account out: after three refused binds the agent stops trying for minutes.

use anyhow::{Result, ensure};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::Slapd;
use postern_tests::{control_plane, scenario, slapd, wait};

#[test]
fn a_wrong_password_is_tried_three_times_and_then_not_for_minutes() -> Result<()> {
    scenario(async |stage| {
        let directory = slapd::Options { password_policy: true, ..slapd::Options::people(20) };
        let site = Site::start_with(stage, directory, control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        let settings = &site.settings.directories[0];
        settings.set_password("wrong")?;
        site.ldap_line.cut();
        for _ in 0..3 {
            let job = site.api.try_import(DIRECTORY).await?.expect("failed")?;
            ensure!(job.error_code() == "credentials", "{job:?}");
            ensure!(job.error["cure"].is_string(), "no cure: {job:?}");
        }
        for _ in 0..5 {
            // It ends at once and says what to do; tries that follow one another would find the same wait.
            let job = site.api.try_import(DIRECTORY).await?.expect("failed")?;
            let said = job.error["message"].as_str().unwrap_or_default();
            ensure!(job.error_code() == "credentials" && said.contains("stopped binding"), "{job:?}");
            ensure!(job.error["cure"].as_str().is_some_and(|cure| cure.contains("at once")), "no cure: {job:?}");
            let log = site.agent.log();
            let tries = log.lines().filter(|line| line.contains("command.started") && line.contains(&job.id)).count();
            ensure!(tries == 1, "{tries} tries of one job");
        }
        let reader = site.slapd.operational(&Slapd::reader_dn()).await?;
        let failures = reader.values("pwdFailureTime").len();
        ensure!((1..=3).contains(&failures), "{failures} refused binds");
        ensure!(reader.values("pwdAccountLockedTime").is_empty(), "the account is locked out");
        // The right password in the file is tried at once.
        settings.set_password(slapd::READER_PASSWORD)?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn what_the_agent_asks_by_itself_spends_one_try_across_restarts_and_says_why_it_waits() -> Result<()> {
    scenario(async |stage| {
        let directory = slapd::Options { password_policy: true, ..slapd::Options::people(20) };
        let mut site = Site::without_agent(stage, directory, control_plane::Options::for_tests()?).await?;
        site.settings.directories[0].set_password("wrong")?;
        site.agent.enroll(&site.api.enrollment_token().await?).await?;
        for _ in 0..3 {
            site.agent.start(stage)?;
            wait::until_true("the status says why the directory cannot be used", wait::SOON, || async {
                Ok(site.agent.status().await?.contains("wrong account or password"))
            })
            .await?;
            site.agent.kill().await?;
        }
        let failures = async |site: &Site| -> Result<usize> {
            Ok(site.slapd.operational(&Slapd::reader_dn()).await?.values("pwdFailureTime").len())
        };
        ensure!(failures(&site).await? == 1, "{} refused binds", failures(&site).await?);

        site.agent.start(stage)?;
        wait::until_true("the control plane says why", wait::SOON, || async {
            let shown = site.api.directory(DIRECTORY).await?;
            Ok(shown["problems"][0]["text"].as_str().is_some_and(|text| text.contains("wrong account or password")))
        })
        .await?;

        // The directory is corrected, and the file stays as it is.
        site.slapd.set_reader_password("wrong").await?;
        site.agent.reloaded().await?;
        wait::until_true("nothing is wrong any more", wait::SOON, || async {
            let shown = site.api.directory(DIRECTORY).await?;
            let status = site.agent.status().await?;
            Ok(shown["problems"].as_array().is_some_and(Vec::is_empty) && !status.contains("cannot be used"))
        })
        .await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}
