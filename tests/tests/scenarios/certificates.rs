//! Only a certificate of our own authority that is valid now and not revoked opens the gateway.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use postern_agent::identity::{Identity, IdentityParts};
use postern_tests::api::Api;
use postern_tests::certificates::{CertificateAuthority, uri_of};
use postern_tests::control_plane::{self, ControlPlane, Options};
use postern_tests::in_process_agent::{Circumstances, InProcessAgent, directory, enroll};
use postern_tests::raw_agent::RawAgent;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{Stage, scenario, slapd, wait};

async fn started(stage: &Stage) -> Result<(ControlPlane, Api, Identity)> {
    let control_plane = ControlPlane::start(stage, Options::for_tests()?).await?;
    let api = control_plane.organization("Corp").await?;
    let identity = enroll(&api.enrollment_token().await?, &Circumstances::default()).await?;
    Ok((control_plane, api, identity))
}

/// The same agent with another certificate and key.
fn disguised(identity: &Identity, forged: postern_tests::certificates::Identity) -> Result<Identity> {
    let parts = identity.parts().clone();
    let certificate_chain_pem = forged.certificate_pem;
    Ok(Identity::new(IdentityParts { certificate_chain_pem, private_key_pem: forged.key_pem.into(), ..parts })?)
}

#[test]
fn a_foreign_or_expired_certificate_is_refused() -> Result<()> {
    scenario(async |stage| {
        let (control_plane, api, identity) = started(stage).await?;
        let agent_id = identity.agent_id().to_string();
        let uri = uri_of(identity.presented().first().context("no certificate")?)?;

        let foreign = CertificateAuthority::new("somebody else's CA")?.agent(&agent_id, &uri, false)?;
        let refused = RawAgent::connect(disguised(&identity, foreign)?, "corp").await;
        let Err(refused) = refused else { bail!("a foreign certificate was let in") };
        ensure!(format!("{refused:#}").contains("UnknownCA"), "refused for another reason: {refused:#}");

        let authority = CertificateAuthority::load(&control_plane.data_dir().join("pki"))?;
        let expired = authority.agent(&agent_id, &uri, true)?;
        let refused = RawAgent::connect(disguised(&identity, expired)?, "corp").await;
        let Err(refused) = refused else { bail!("an expired certificate was let in") };
        ensure!(format!("{refused:#}").contains("CertificateExpired"), "refused for another reason: {refused:#}");

        // The same way of making one, valid: what was refused above was refused for its dates and its issuer.
        let valid = authority.agent(&agent_id, &uri, false)?;
        let _let_in = RawAgent::connect(disguised(&identity, valid)?, "corp").await.context("a valid certificate")?;
        api.directory("corp").await?;
        Ok(())
    })
}

#[test]
fn revoking_an_agent_cuts_its_live_stream_within_a_second_and_survives_a_restart() -> Result<()> {
    scenario(async |stage| {
        let (mut control_plane, api, identity) = started(stage).await?;
        let again = || -> Result<Identity> { Ok(Identity::new(identity.parts().clone())?) };
        let mut agent = RawAgent::connect(again()?, "corp").await?;
        api.directory("corp").await?;
        api.delete(&format!("/api/v1/agents/{}", api.only_agent().await?)).await?;
        let cut = tokio::time::timeout(Duration::from_secs(1), async { while agent.next().await.is_ok() {} }).await;
        ensure!(cut.is_ok(), "the stream outlived the agent's revocation by a second");
        ensure!(RawAgent::connect(again()?, "corp").await.is_err(), "a revoked agent was let in");
        control_plane.restart(stage).await?;
        ensure!(RawAgent::connect(again()?, "corp").await.is_err(), "a restart forgot the revocation");
        Ok(())
    })
}

#[test]
fn a_certificate_renews_itself_without_a_restart() -> Result<()> {
    scenario(async |stage| {
        let options = control_plane::Options::for_tests()?.set("agent_certificate_lifetime_hours", "1");
        let site = Site::without_agent(stage, slapd::Options::people(30), options).await?;
        let now = Circumstances::default();
        let identity = enroll(&site.api.enrollment_token().await?, &now).await?;
        // Three quarters of an hour later: past two thirds of the certificate's life.
        let later = now.with_clock_ahead(SignedDuration::from_mins(45));
        let served = vec![directory(&site.settings.directories[0])?];
        let first_end = identity.certificate().not_after;
        let _agent = InProcessAgent::start(identity, served, &later);
        site.api.directory(DIRECTORY).await?;
        wait::until_true("the certificate is renewed", wait::SOON, || async {
            let agents = site.api.agents().await?;
            let end = agents.first().and_then(|agent| agent["certificate_expires_at"].as_str()).context("no expiry")?;
            Ok(end.parse::<Timestamp>()? > first_end)
        })
        .await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn an_agent_whose_clock_is_ten_minutes_off_works_all_the_same() -> Result<()> {
    scenario(async |stage| {
        let site = Site::without_agent(stage, slapd::Options::people(30), control_plane::Options::for_tests()?).await?;
        for minutes in [10, -10] {
            let circumstances = Circumstances::default().with_clock_ahead(SignedDuration::from_mins(minutes));
            let token = site.api.enrollment_token_for(&[DIRECTORY]).await?;
            let identity = enroll(&token, &circumstances).await.with_context(|| format!("{minutes} minutes ahead"))?;
            let served = vec![directory(&site.settings.directories[0])?];
            let agent = InProcessAgent::start(identity, served, &circumstances);
            site.api.directory(DIRECTORY).await?;
            site.api.import(DIRECTORY).await.with_context(|| format!("{minutes} minutes ahead"))?;
            site.compare().await?;
            agent.stop().await?;
        }
        Ok(())
    })
}
