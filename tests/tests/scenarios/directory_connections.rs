//! Connections to a directory do not live for ever: what the server or the network closes between two searches is
//! replaced, and nobody notices.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_directory::{Directory, DirectoryConfig, Phase};
use postern_tests::agent::DirectorySettings;
use postern_tests::people::Population;
use postern_tests::relay::Relay;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::{Stage, control_plane, scenario, wait};
use tokio_util::sync::CancellationToken;

/// Waits until the server has closed, or the agent has given up, every connection.
async fn all_closed(line: &Relay) -> Result<()> {
    wait::until_true("no LDAP connection is open", wait::SOON, || async { Ok(line.connections() == 0) }).await
}

/// How often the agent has begun a command.
fn tries(site: &Site, job: &str) -> usize {
    site.agent.log().lines().filter(|line| line.contains("command.started") && line.contains(job)).count()
}

#[test]
fn a_directory_restarted_between_two_imports_is_read_at_the_first_try() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 60).await?;
        site.api.import(DIRECTORY).await?;
        all_closed(&site.ldap_line).await.context("a connection outlives the import that it was made for")?;
        for _ in 0..2 {
            site.slapd.restart(stage).await?;
            let job = site.api.import(DIRECTORY).await?;
            ensure!(tries(&site, &job.id) == 1 && job.count("unchanged") > 60, "{job:?}");
        }
        site.compare().await
    })
}

#[test]
fn a_directory_that_closes_idle_connections_is_read_at_the_first_try() -> Result<()> {
    scenario(async |stage| {
        let directory = slapd::Options { idle_timeout: Some(Duration::from_secs(1)), ..slapd::Options::people(60) };
        let site = Site::start_with(stage, directory, control_plane::Options::for_tests()?).await?;
        for round in 0..3 {
            let job = site.api.import(DIRECTORY).await?;
            ensure!(tries(&site, &job.id) == 1, "round {round}: {job:?}");
            all_closed(&site.ldap_line).await?;
        }
        site.compare().await
    })
}

/// A directory with two base DNs of users, read through a relay in pages of ten.
async fn two_bases(stage: &Stage, idle_timeout: Duration) -> Result<(Slapd, Relay, Directory)> {
    let extra_ldif = format!(
        "dn: ou=partners,{SUFFIX}\nobjectClass: organizationalUnit\n\n\
         dn: uid=petra,ou=partners,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: petra\ncn: Petra\nsn: Petra\n\n"
    );
    let options = slapd::Options { extra_ldif, idle_timeout: Some(idle_timeout), ..slapd::Options::people(15) };
    let slapd = Slapd::start(stage, options).await?;
    let line = Relay::start(slapd.ldaps_address()).await?;
    let mut settings = DirectorySettings::slapd(DIRECTORY, &slapd, stage.path())?;
    settings.urls = vec![format!("ldaps://localhost:{}", line.address().port())];
    settings.users.base_dns.push(format!("ou=partners,{SUFFIX}"));
    settings.page_size = 10;
    let config: DirectoryConfig = toml::from_str(&toml::to_string(&settings)?)?;
    postern_runtime::tls::install_crypto_provider();
    Ok((slapd, line, Directory::new(config)?))
}

#[test]
fn a_connection_that_the_server_closed_between_two_searches_is_replaced() -> Result<()> {
    scenario(async |stage| {
        let (_slapd, line, directory) = two_bases(stage, Duration::from_secs(1)).await?;
        // Nobody takes the pages: one waits, and with the second in hand the reader stands between two searches.
        // One connection reads; beside it a second asks whether the users of a container hide their switches.
        let mut reading = directory.enumerate(CancellationToken::new());
        wait::until_true("the directory is being read", wait::SOON, || async { Ok(line.accepted() == 2) }).await?;
        all_closed(&line).await?;
        let (mut users, mut groups) = (0, 0);
        while let Some(page) = reading.next().await {
            let page = page?;
            match page.phase {
                Phase::Users => users += page.entries.len(),
                Phase::Groups => groups += page.entries.len(),
            }
        }
        ensure!(reading.is_complete() && users == 16, "{users} users, {:?}", reading.totals());
        ensure!(groups == Population::of(15).groups() as usize, "{groups} groups");
        // Each was replaced once: the second base DN is a container of its own, so it is asked about too.
        ensure!(line.accepted() == 4, "{} connections instead of two and their replacements", line.accepted());
        Ok(())
    })
}
