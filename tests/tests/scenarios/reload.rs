//! SIGHUP: the agent takes up its changed file without a restart, and a bad file changes nothing.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::DirectorySettings;
use postern_tests::people::Person;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::{compare, scenario, wait};

/// How many accounts hold a telephone number.
async fn with_telephone(site: &Site) -> Result<usize> {
    let accounts = site.api.accounts(DIRECTORY, "user").await?;
    Ok(accounts.iter().filter(|account| account.attributes.contains_key("telephoneNumber")).count())
}

/// Waits until `postern-agent status` says all of this.
async fn status_says(site: &Site, words: &[&str]) -> Result<()> {
    let last = std::sync::Mutex::new(String::new());
    let said = wait::until_true("the status says it", wait::SOON, || async {
        let status = site.agent.status().await?;
        let all = words.iter().all(|word| status.contains(word));
        if let Ok(mut last) = last.lock() {
            *last = status;
        }
        Ok(all)
    });
    said.await.with_context(|| format!("{words:?} are not in {last:?}"))
}

#[test]
fn an_attribute_that_the_policy_excludes_after_a_reload_is_gone_with_the_next_import() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 30).await?;
        site.api.import(DIRECTORY).await?;
        ensure!(with_telephone(&site).await? == 30, "not read in the first place");
        let process = site.agent.process()?.pid();

        // The directory's own list goes on naming it, in another spelling.
        site.settings.policy.excluded_attributes = vec!["TELEPHONENUMBER".to_owned()];
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        // The site's own decision needs no approval: the directory has not hidden it.
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("updated") == 30 && job.count("missing") == 0, "{job:?}");
        ensure!(with_telephone(&site).await? == 0, "it still leaves the site, or what left before is still held");

        site.settings.policy.excluded_attributes.clear();
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        site.api.import(DIRECTORY).await?;
        ensure!(site.agent.process()?.pid() == process, "the agent was started anew");
        site.compare().await
    })
}

#[test]
fn a_policy_that_cannot_be_kept_is_refused_and_the_old_one_stays_in_force() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 30).await?;
        site.settings.policy.excluded_attributes = vec!["telephoneNumber".to_owned()];
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        site.api.import(DIRECTORY).await?;

        // The unique attribute leaves with every user; to keep it in and import is not possible.
        let mut impossible = site.settings.clone();
        impossible.policy.excluded_attributes = vec!["UID".to_owned()];
        site.agent.configure(&impossible)?;
        let said = site.agent.reload_refused().await?;
        for word in ["ERROR", "\\\"uid\\\"", "users.unique_attribute", DIRECTORY, "the old configuration stays"] {
            ensure!(said.contains(word), "does not say {word}: {said}");
        }
        status_says(&site, &["the old one is in use", "\"uid\"", "users.unique_attribute"]).await?;
        let misspelt = toml::to_string(&site.settings)?.replace("excluded_attributes", "exclude_attributes");
        std::fs::write(site.agent.config_file(), misspelt)?;
        let said = site.agent.reload_refused().await?;
        for word in ["agent.toml:", "exclude_attributes", "did you mean `excluded_attributes`"] {
            ensure!(said.contains(word), "does not say {word}: {said}");
        }

        // The file names a key that does not exist, and the agent runs all the same.
        status_says(&site, &["session        connected", "the old one is in use", "exclude_attributes"]).await?;

        // Neither the new exclusion nor none at all: the user names are there, the telephone numbers are not.
        site.slapd.replace(&Person::nth(4).dn(SUFFIX), "title", &["Nurse, Ward"]).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("updated") == 1 && job.count("unchanged") > 29, "{job:?}");
        ensure!(with_telephone(&site).await? == 0, "a refused file lifted the exclusion");

        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        let status = site.agent.status().await?;
        ensure!(!status.contains("the old one is in use"), "it was taken up: {status}");
        Ok(())
    })
}

#[test]
fn a_directory_added_by_a_reload_is_served_without_a_restart() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 30).await?;
        let lab_server = Slapd::start(stage, slapd::Options::people(12)).await?;
        let process = site.agent.process()?.pid();
        site.settings.directories.push(DirectorySettings::slapd("lab", &lab_server, stage.path())?);
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;

        site.api.directory("lab").await.context("the control plane does not know")?;
        let agent = site.api.only_agent().await?;
        wait::until_true("both directories are shown with the kind of their servers", wait::SOON, || async {
            let shown = site.control_plane.command_line(&site.api).args(["agents", "show", &agent]).success().await?;
            let status = site.agent.status().await?;
            let served = |name: &str| {
                shown.contains(&format!("{name} (openldap)")) && status.contains(&format!("{name} (OpenLDAP)"))
            };
            Ok(served(DIRECTORY) && served("lab"))
        })
        .await?;
        let job = site.api.import("lab").await?;
        ensure!(job.count("users") == 12, "{job:?}");
        let accounts = site.api.accounts("lab", "user").await?;
        compare::same_accounts(&lab_server.users().await?, &accounts, "entryUUID", &["uid", "mail"])?;
        ensure!(site.agent.process()?.pid() == process, "the agent was started anew");

        // Taken out again, it is no longer announced, and the other one is served as before.
        site.settings.directories.pop();
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        wait::until_true(
            "the directory is no longer announced, though the agent may still serve it",
            wait::SOON,
            || async {
                let shown =
                    site.control_plane.command_line(&site.api).args(["agents", "show", &agent]).success().await?;
                Ok(shown.contains(DIRECTORY) && !shown.contains("lab (openldap)"))
            },
        )
        .await?;
        ensure!(!site.agent.status().await?.contains("lab"), "the agent still shows it");
        site.api.import(DIRECTORY).await.map(drop)
    })
}
