//! Jobs that cannot run at once, jobs side by side, and people who clash: each says what is the matter and harms nobody.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use postern_tests::agent::DirectorySettings;
use postern_tests::api::Api;
use postern_tests::people::Person;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{control_plane, scenario, wait};
use serde_json::{Value, json};

#[test]
fn a_job_without_an_agent_waits_and_says_so_until_its_deadline() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 40).await?;
        site.agent.terminate().await?;
        let waiting = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        wait::until_true("the job says that it waits", wait::SOON, || async {
            let job = site.api.job(&waiting.id).await?;
            Ok(job.state == "waiting" && job.message.is_some_and(|message| message.contains("agent")))
        })
        .await?;
        let deadline = Timestamp::now().checked_add(Duration::from_secs(2))?;
        let late = site.api.start_job("test_connection", DIRECTORY, json!({ "deadline": deadline })).await?;
        let late = site.api.finished(&late.id, wait::SOON).await?.expect("failed")?;
        ensure!(late.error["cure"].is_string(), "no cure: {late:?}");
        site.agent.start(stage)?;
        site.api.finished(&waiting.id, wait::SOON).await?.expect("succeeded")?;
        site.compare().await
    })
}

#[test]
fn imports_of_one_directory_take_turns() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 200).await?;
        let mut jobs = Vec::new();
        for _ in 0..4 {
            jobs.push(site.api.start_job("import", DIRECTORY, Value::Null).await?.id);
        }
        for id in &jobs {
            wait::until_true("the import ends", wait::SOON, || async {
                ensure!(running(&site.api).await? <= 1, "two imports of one directory at a time");
                Ok(site.api.job(id).await?.state == "succeeded")
            })
            .await?;
        }
        site.compare().await
    })
}

async fn running(api: &Api) -> Result<usize> {
    let jobs: Vec<Value> = api.list("/api/v1/jobs").await?;
    Ok(jobs.iter().filter(|job| job["state"] == "running" && job["kind"] == "import").count())
}

#[test]
fn two_accounts_of_one_user_name_are_a_conflict_and_the_rest_goes_on() -> Result<()> {
    scenario(async |stage| {
        let twin = Person::nth(4);
        let extra_ldif = format!(
            "dn: cn=twin,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\ncn: twin\nsn: Twin\nuid: {}\n\n",
            twin.uid.to_uppercase()
        );
        let directory = slapd::Options { extra_ldif, ..slapd::Options::people(50) };
        let site = Site::start_with(stage, directory, control_plane::Options::for_tests()?).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("conflicts") == 1 && job.count("users") == 51, "{job:?}");
        let accounts = site.api.accounts(DIRECTORY, "user").await?;
        ensure!(accounts.len() == 51, "{} accounts", accounts.len());
        let clashing: Vec<_> = accounts.iter().filter(|account| account.conflict.is_some()).collect();
        ensure!(clashing.len() == 1 && clashing[0].dn.starts_with("cn=twin,"), "{clashing:?}");
        let reported = job.result["conflict_samples"].to_string();
        ensure!(reported.contains("cn=twin,") && reported.contains(&twin.rdn()), "both DNs: {reported}");
        ensure!(site.api.users().await?.len() == 50);

        site.slapd.replace(&format!("cn=twin,ou=people,{SUFFIX}"), "uid", &["twin"]).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("conflicts") == 0, "{job:?}");
        ensure!(site.api.users().await?.len() == 51);
        Ok(())
    })
}

#[test]
fn first_imports_of_two_directories_at_once_make_one_user_of_each_name() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 2_000).await?;
        site.settings.directories.push(DirectorySettings::slapd("mirror", &site.slapd, stage.path())?);
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        site.api.directory("mirror").await?;

        // Neither finds any user when it begins, and both bring the same names.
        let (one, other) = tokio::try_join!(site.api.import(DIRECTORY), site.api.import("mirror"))?;
        ensure!(one.count("users") == 2_000 && other.count("users") == 2_000, "{one:?} {other:?}");
        ensure!(one.count("conflicts") == 0 && other.count("conflicts") == 0, "{one:?} {other:?}");
        let users = site.api.users().await?;
        ensure!(users.len() == 2_000, "{} users", users.len());
        for user in users.iter().step_by(100) {
            let shown = site.api.get(&format!("/api/v1/users/{}", user.id)).await?;
            let accounts = shown["accounts"].as_array().map_or(0, Vec::len);
            ensure!(accounts == 2, "{accounts} accounts: {shown:#}");
        }
        site.compare().await
    })
}

#[test]
fn a_bad_new_configuration_is_refused_and_the_old_one_stays() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 30).await?;
        std::fs::write(site.agent.config_file(), "[[directory]]\nnmae = \"corp\"\n")?;
        site.agent.reload()?;
        wait::until_true("the agent refuses the file", wait::SOON, || async {
            Ok(site.agent.log().contains("config.reload_refused"))
        })
        .await?;
        ensure!(site.agent.log().contains("did you mean"), "the nearest known key is not named");
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}
