//! Nobody is missing because a server shows less than there is: on a real 389 Directory Server and a real OpenLDAP.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{Agent, DirectorySettings};
use postern_tests::api::{Api, Job};
use postern_tests::binaries::Binaries;
use postern_tests::ds389::{self, Ds389};
use postern_tests::line::Line;
use postern_tests::people::Person;
use postern_tests::relay::{Fault, Relay};
use postern_tests::site::{self, Site};
use postern_tests::slapd::Slapd;
use postern_tests::{control_plane, scenario, slapd, wait};
use serde_json::Value;

const DS: &str = "ds";

async fn nobody_is_missing(api: &Api, directory: &str) -> Result<()> {
    let accounts = api.accounts(directory, "user").await?;
    let missing = accounts.iter().filter(|account| account.missing_since.is_some()).count();
    ensure!(missing == 0, "{missing} of {} are marked missing", accounts.len());
    Ok(())
}

/// An import by which so many could not be seen, all for this reason.
fn not_visible(job: &Job, number: u64, reason: &str) -> Result<()> {
    ensure!(job.count("missing") == 0 && job.count("not_visible") == number, "{job:?}");
    let samples = job.result["not_visible_samples"].as_array().context("no samples")?;
    ensure!(samples.iter().all(|sample| sample["reason"] == reason), "{job:?}");
    Ok(())
}

fn person(uid: &str, parent: &str) -> String {
    format!("dn: uid={uid},{parent}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\n")
}

#[test]
fn who_cannot_be_seen_in_389_directory_server_is_not_missing_and_who_is_deleted_is() -> Result<()> {
    scenario(async |stage| {
        let suffix = ds389::SUFFIX;
        let (people, branch) = (format!("ou=people,{suffix}"), Ds389::branch_dn());
        let hidden = format!("ou=hidden,{people}");
        let ou = format!("dn: {hidden}\nobjectClass: organizationalUnit\nou: hidden\n\n");
        let extra = format!("{ou}{}{}", person("h1", &hidden), person("h2", &hidden));
        let options = ds389::Options {
            extra_ldif: extra,
            branch_ldif: Some(format!("{}{}", person("b1", &branch), person("b2", &branch))),
            ..ds389::Options::people(30)
        };
        let acis = options.acis.clone();
        let server = Ds389::start(stage, options).await?;
        let mut settings = DirectorySettings::ds389(DS, &server, stage.path())?;
        settings.users.base_dns = vec![suffix.to_owned()];
        let line = Line::start(stage, vec![settings]).await?;
        let job = line.api.import(DS).await?;
        ensure!(job.count("users") == 34, "{job:?}");

        // An ACI hides an OU with all that is in it.
        let hiding = Ds389::hiding("ou", &format!("target = \"ldap:///{hidden}\")(targetattr = \"*\""));
        server.set_acis(&[acis.clone(), vec![hiding]].concat()).await?;
        let job = line.api.import(DS).await?;
        ensure!(job.count("users") == 32, "{job:?}");
        ensure!(job.count("missing") == 0 && job.count("not_visible") == 2, "{job:?}");
        nobody_is_missing(&line.api, DS).await?;
        server.set_acis(&acis).await?;

        // A sub-suffix whose backend is offline is left out of the search, with success.
        server.set_online(&branch, false).await?;
        let job = line.api.import(DS).await?;
        not_visible(&job, 2, "unavailable")?;
        server.set_online(&branch, true).await?;

        // A smart referral takes the place of a person.
        let away = Person::nth(7).dn(suffix);
        let changes = "add: objectClass\nobjectClass: referral\n-\nadd: ref\nref: ldap://elsewhere/\n";
        server.apply(format!("dn: {away}\nchangetype: modify\n{changes}")).await?;
        let job = line.api.import(DS).await?;
        not_visible(&job, 1, "referral")?;

        // Deleted, with the OU or without; moved out of the filter.
        server.delete(&Person::nth(6).dn(suffix)).await?;
        for dn in [format!("uid=h1,{hidden}"), format!("uid=h2,{hidden}"), hidden.clone()] {
            server.delete(&dn).await?;
        }
        let job = line.api.import(DS).await?;
        ensure!(job.count("missing") == 3 && job.count("not_visible") == 1, "{job:?}");
        Ok(())
    })
}

#[test]
fn a_backend_that_is_loaded_anew_while_it_is_read_marks_nobody_missing() -> Result<()> {
    scenario(async |stage| {
        let server = Ds389::start(stage, ds389::Options::people(600)).await?;
        let ldap_line = Relay::start(server.ldaps_address()).await?;
        let mut settings = DirectorySettings::ds389(DS, &server, stage.path())?;
        settings.urls = vec![format!("ldaps://localhost:{}", ldap_line.address().port())];
        let line = Line::start(stage, vec![settings]).await?;
        line.api.import(DS).await?;
        let dump = server.dump().await?;
        for round in 0..3 {
            ldap_line.plan([(20_000 + round * 25_000, Fault::Hold)]);
            let job = line.api.start_job("import", DS, Value::Null).await?;
            ldap_line.struck().await?;
            let task = server.start_load(&dump).await?;
            ldap_line.resume();
            server.task_ended(&task).await?;
            // Whatever the server said meanwhile: another try ends well, or the job fails.
            let ended = line.api.finished(&job.id, Duration::from_mins(2)).await?;
            if let Ok(job) = ended.expect("succeeded") {
                ensure!(job.count("missing") == 0, "{job:?}");
            }
            nobody_is_missing(&line.api, DS).await?;
        }
        let job = line.api.import(DS).await?;
        ensure!(job.count("users") == 600 && job.count("missing") == 0, "{job:?}");
        Ok(())
    })
}

#[test]
fn a_server_whose_backend_is_offline_is_passed_over_for_the_next() -> Result<()> {
    scenario(async |stage| {
        let offline = Ds389::start(stage, ds389::Options::people(20)).await?;
        let healthy = Ds389::start(stage, ds389::Options::people(20)).await?;
        let mut settings = DirectorySettings::ds389(DS, &healthy, stage.path())?;
        settings.urls = vec![offline.ldap_url(), healthy.ldap_url()];
        settings.ca_file = None;
        settings.allow_plaintext = true;
        offline.set_online(ds389::SUFFIX, false).await?;
        let line = Line::start(stage, vec![settings]).await?;
        let job = line.api.import(DS).await?;
        ensure!(job.count("users") == 20, "{job:?}");
        Ok(())
    })
}

#[test]
fn an_agent_with_another_filter_marks_nobody_missing_before_an_administrator_accepts_it() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 40).await?;
        site.api.import(site::DIRECTORY).await?;
        // Of 40 people, 36 are left by the other agent's filter.
        for number in 0..4 {
            site.slapd.replace(&Person::nth(number).dn(slapd::SUFFIX), "title", &["out"]).await?;
        }
        site.api.import(site::DIRECTORY).await?;
        let mut settings = site.settings.clone();
        settings.directories[0].users.filter = "(&(objectClass=inetOrgPerson)(!(title=out)))".to_owned();
        let mut second = Agent::configured(stage, &Binaries::beside_this_program()?, &settings)?;
        second.enroll(&site.api.enrollment_token_for(&[site::DIRECTORY]).await?).await?;
        site.agent.kill().await?;
        second.start(stage)?;
        let job = site.api.start_job("import", site::DIRECTORY, Value::Null).await?;
        let held = wait::until("the import is held", wait::SOON, || async {
            let job = site.api.job(&job.id).await?;
            ensure!(!["succeeded", "failed", "canceled"].contains(&job.state.as_str()), "{job:?}");
            Ok(Some(job).filter(|job| job.state == "held"))
        })
        .await?;
        ensure!(held.hold["reason"].as_str().is_some_and(|reason| reason.contains("for users than")), "{held:?}");
        ensure!(held.hold["missing"].as_u64() == Some(4), "{held:?}");
        nobody_is_missing(&site.api, site::DIRECTORY).await?;
        site.api.decide(&job.id, "approve").await?;
        let entry = site.api.audited("job.approved").await?;
        ensure!(entry["object_id"] == serde_json::json!(job.id) && !entry["after"].is_null(), "{entry:#}");
        let job = site.api.finished(&job.id, wait::SOON).await?.expect("succeeded")?;
        ensure!(job.count("missing") == 4 && job.count("missing_left_scope") == 4, "{job:?}");
        Ok(())
    })
}

#[test]
fn without_an_index_for_the_external_id_who_is_deleted_is_missing_and_the_index_is_named() -> Result<()> {
    scenario(async |stage| {
        // Without an index the reader may not look at so many entries; the filters of an import have one.
        let device = |number| {
            let dn = format!("cn=device{number},ou=people,{}", slapd::SUFFIX);
            format!("dn: {dn}\nobjectClass: device\ncn: device{number}\n\n")
        };
        let options = slapd::Options {
            database_lines: format!("limits dn.exact=\"{}\" size.unchecked=100\n", Slapd::reader_dn()),
            extra_ldif: (0..150).map(device).collect(),
            ..slapd::Options::people(30)
        };
        let by_number = |corp: &mut DirectorySettings| corp.external_id_attribute = Some("employeeNumber".to_owned());
        let site = Site::start_configured(stage, options, control_plane::Options::for_tests()?, by_number).await?;
        site.api.import(site::DIRECTORY).await?;
        site.slapd.delete(&Person::nth(3).dn(slapd::SUFFIX)).await?;
        let job = site.api.import(site::DIRECTORY).await?;
        ensure!(job.count("users") == 29 && job.count("missing") == 1, "{job:?}");
        let remark = job.result["remark_samples"][0].as_str().unwrap_or_default();
        ensure!(remark.contains("add an equality index for employeeNumber"), "{job:?}");
        Ok(())
    })
}
