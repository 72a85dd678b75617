//! The ways in which a site may have its OpenLDAP: STARTTLS, a client certificate instead of a password, several
//! servers, several base DNs with any scope, `memberUid` and `uniqueMember` groups, bytes that are no text.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{DirectorySettings, GroupsSettings, UsersSettings};
use postern_tests::api::AttributeValue;
use postern_tests::people::{Person, group_dn};
use postern_tests::ports::Port;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{Stage, control_plane, scenario, wait};
use serde_json::json;

/// A site whose agent is configured as `change` says.
async fn site_with(
    stage: &Stage,
    options: slapd::Options,
    change: impl FnOnce(&mut DirectorySettings, &Site) -> Result<()>,
) -> Result<Site> {
    let mut site = Site::without_agent(stage, options, control_plane::Options::for_tests()?).await?;
    let mut settings = site.settings.clone();
    change(settings.directories.first_mut().context("no directory")?, &site)?;
    site.settings = settings;
    site.agent.configure(&site.settings)?;
    site.agent.enroll(&site.api.enrollment_token().await?).await?;
    site.agent.start(stage)?;
    site.api.directory(DIRECTORY).await?;
    Ok(site)
}

#[test]
fn what_the_file_leaves_open_the_server_says() -> Result<()> {
    scenario(async |stage| {
        let site = site_with(stage, slapd::Options::people(60), |corp, _| {
            (corp.users, corp.groups) = (UsersSettings::open(), GroupsSettings::open());
            Ok(())
        })
        .await?;
        site.api.import(DIRECTORY).await?;
        let (users, groups) =
            (site.api.accounts(DIRECTORY, "user").await?, site.api.accounts(DIRECTORY, "group").await?);
        let known = (site.slapd.users().await?.len(), site.slapd.groups().await?.len());
        ensure!((users.len(), groups.len()) == known, "{} users and {} groups of {known:?}", users.len(), groups.len());
        let (_, report) = site.agent.check().await?;
        let rows = report.as_array().context("no rows")?;
        let row = rows.iter().find(|row| row["name"] == "defaults").context("no row of defaults")?;
        let detail = row["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains(&format!("users.base_dns = {SUFFIX}")), "{detail}");
        ensure!(detail.contains("users.unique_attribute = uid"), "{detail}");
        Ok(())
    })
}

#[test]
fn starttls_upgrades_before_anything_is_said() -> Result<()> {
    scenario(async |stage| {
        let site = site_with(stage, slapd::Options::people(60), |corp, site| {
            corp.urls = vec![site.slapd.ldap_url().replace("127.0.0.1", "localhost")];
            corp.start_tls = true;
            Ok(())
        })
        .await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn a_client_certificate_stands_in_for_the_password() -> Result<()> {
    scenario(async |stage| {
        let site = site_with(stage, slapd::Options::people(60), |corp, site| {
            let identity = site.slapd.authority().client("reader")?;
            let (certificate, key) = identity.write(stage.path(), "reader")?;
            corp.client_cert_file = Some(certificate);
            corp.client_key_file = Some(key);
            corp.bind_dn = None;
            corp.bind_password_file = None;
            Ok(())
        })
        .await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn a_client_certificate_that_the_server_refuses_is_among_what_to_look_at() -> Result<()> {
    scenario(async |stage| {
        let site = site_with(stage, slapd::Options::people(10), |corp, _| {
            let other = postern_tests::certificates::CertificateAuthority::new("another CA")?;
            let (certificate, key) = other.client("reader")?.write(stage.path(), "reader")?;
            corp.client_cert_file = Some(certificate);
            corp.client_key_file = Some(key);
            corp.bind_dn = None;
            corp.bind_password_file = None;
            Ok(())
        })
        .await?;
        let job = site.api.start_job("test_connection", DIRECTORY, json!({})).await?;
        let job = site.api.finished(&job.id, wait::SOON).await?.expect("failed")?;
        // This server closes the connection without a word, now and then before the handshake is over.
        ensure!(job.error["cure"].as_str().is_some_and(|cure| cure.contains("client_cert_file")), "{:#}", job.error);
        Ok(())
    })
}

#[test]
fn a_dead_first_server_is_passed_over() -> Result<()> {
    scenario(async |stage| {
        let nobody = Port::free()?;
        let site = site_with(stage, slapd::Options::people(60), |corp, _| {
            corp.urls.insert(0, format!("ldaps://localhost:{}", nobody.number()));
            Ok(())
        })
        .await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn a_server_of_another_authority_is_not_spoken_to() -> Result<()> {
    scenario(async |stage| {
        let site = site_with(stage, slapd::Options::people(10), |corp, _| {
            let other = postern_tests::certificates::CertificateAuthority::new("another CA")?;
            let file = stage.path().join("another-ca.pem");
            std::fs::write(&file, other.certificate_pem())?;
            corp.ca_file = Some(file);
            Ok(())
        })
        .await?;
        let (passed, report) = site.agent.check().await?;
        ensure!(!passed && report.to_string().contains("corp directory CA"), "the issuer is not named: {report:#}");
        Ok(())
    })
}

/// A person of this uid, one level below a DN.
fn person_below(base_dn: &str, uid: &str) -> String {
    format!("dn: uid={uid},{base_dn}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\n")
}

fn unit(dn: &str) -> String {
    format!("dn: {dn}\nobjectClass: organizationalUnit\n\n")
}

#[test]
fn several_bases_and_each_scope_find_exactly_what_such_a_search_finds() -> Result<()> {
    scenario(async |stage| {
        let (people, partners) = (format!("ou=people,{SUFFIX}"), format!("ou=partners,{SUFFIX}"));
        let (north, far) = (format!("ou=north,{people}"), format!("ou=far,ou=north,{people}"));
        let extra_ldif = [
            unit(&north),
            unit(&far),
            unit(&partners),
            person_below(&north, "nora"),
            person_below(&far, "faraway"),
            person_below(&partners, "petra"),
            person_below(&format!("uid=petra,{partners}"), "assistant"),
        ]
        .concat();
        let (one, base) = (vec![people.clone(), north.clone(), partners.clone()], ["team-0000", "everyone"]);
        let site = site_with(stage, slapd::Options { extra_ldif, ..slapd::Options::people(30) }, |corp, _| {
            // One base lies within another, and no entry is one level below both.
            corp.users.base_dns = one.clone();
            corp.users.scope = Some("one".to_owned());
            corp.groups.base_dns = base.map(|name| group_dn(name, SUFFIX)).to_vec();
            corp.groups.scope = Some("base".to_owned());
            Ok(())
        })
        .await?;
        let job = site.api.import(DIRECTORY).await?;
        // All people but the two who are deeper than one level below a base.
        let deeper = [format!("uid=faraway,{far}"), format!("uid=assistant,uid=petra,{partners}")];
        let mut wanted: BTreeSet<String> = site.slapd.users().await?.into_iter().map(|person| person.dn).collect();
        ensure!(deeper.iter().all(|dn| wanted.remove(dn)) && wanted.len() == 32, "{wanted:?}");
        let found = dns(&site, "user").await?;
        ensure!(
            found == wanted && job.count("users") == 32,
            "{:?}",
            found.symmetric_difference(&wanted).collect::<Vec<_>>()
        );
        let wanted: BTreeSet<String> = base.map(|name| group_dn(name, SUFFIX)).into();
        ensure!(dns(&site, "group").await? == wanted && job.count("groups") == 2, "{job:?}");
        Ok(())
    })
}

/// The DNs of a directory's accounts, each of which must be one account.
async fn dns(site: &Site, kind: &str) -> Result<BTreeSet<String>> {
    let accounts = site.api.accounts(DIRECTORY, kind).await?;
    let dns: BTreeSet<String> = accounts.iter().map(|account| account.dn.clone()).collect();
    ensure!(dns.len() == accounts.len(), "an entry was counted twice");
    Ok(dns)
}

#[test]
fn bases_that_overlap_in_any_spelling_are_refused_before_anything_is_counted_twice() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 20).await?;
        site.api.import(DIRECTORY).await?;
        let people = format!("ou=people,{SUFFIX}");
        let overlapping = [
            ("subtree", format!("ou=north,{people}")),
            ("subtree", SUFFIX.to_owned()),
            ("subtree", format!("OU=People, {}", SUFFIX.to_uppercase())),
            ("one", format!("2.5.4.11=people,{SUFFIX}")),
            ("base", "organizationalUnitName=#0c0670656f706c65,dc=corp,dc=example".to_owned()),
        ];
        for (scope, second) in overlapping {
            let corp = &mut site.settings.directories[0];
            corp.users.base_dns = vec![people.clone(), second.clone()];
            corp.users.scope = Some(scope.to_owned());
            site.agent.configure(&site.settings)?;
            let said = site.agent.reload_refused().await.with_context(|| second.clone())?;
            ensure!(said.contains("users.base_dns") && said.contains("overlap"), "{second}: {said}");
            let run = site.agent.command("run").output().await?;
            ensure!(run.status.code() == Some(64), "{second}: {run:?}");
        }
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("users") == 20 && job.count("updated") + job.count("missing") == 0, "{job:?}");
        site.compare().await
    })
}

#[test]
fn member_uids_and_unique_members_are_members() -> Result<()> {
    for (class, attribute) in [("posixGroup", "memberUid"), ("groupOfUniqueNames", "uniqueMember")] {
        scenario(async |stage| {
            let mut extra_ldif = format!("dn: cn=form,ou=groups,{SUFFIX}\nobjectClass: {class}\ncn: form\n");
            if class == "posixGroup" {
                extra_ldif.push_str("gidNumber: 4711\n");
            }
            for index in [1, 2, 3] {
                let person = Person::nth(index);
                let member = if class == "posixGroup" { person.uid.clone() } else { person.dn(SUFFIX) };
                let mut line = Vec::new();
                postern_tests::ldif::write_value(&mut line, attribute, &member)?;
                extra_ldif.push_str(&String::from_utf8(line)?);
            }
            extra_ldif.push('\n');
            let options = slapd::Options { extra_ldif, ..slapd::Options::people(20) };
            let site = site_with(stage, options, |corp, _| {
                corp.groups.filter = format!("(objectClass={class})");
                corp.groups.member_attribute = attribute.to_owned();
                Ok(())
            })
            .await?;
            site.api.import(DIRECTORY).await?;
            let members = site.api.members(&site.api.group("form").await?).await?;
            let mut names: Vec<_> = members.iter().filter_map(|member| member.user_name.clone()).collect();
            let mut wanted: Vec<_> = [1, 2, 3].map(|index| Person::nth(index).uid).to_vec();
            names.sort();
            wanted.sort();
            ensure!(names == wanted, "{attribute}: {members:?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn bytes_that_are_no_text_arrive_exactly() -> Result<()> {
    scenario(async |stage| {
        let site = site_with(stage, slapd::Options::people(10), |corp, _| {
            corp.users.attributes.push("jpegPhoto".to_owned());
            Ok(())
        })
        .await?;
        let person = Person::nth(2);
        let change = format!("dn: {}\nchangetype: modify\nadd: jpegPhoto\njpegPhoto:: /9j/AP8=\n", person.dn(SUFFIX));
        site.slapd.apply(change).await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await?;
        let accounts = site.api.accounts(DIRECTORY, "user").await?;
        let photos: Vec<_> = accounts.iter().filter_map(|account| account.attributes.get("jpegPhoto")).collect();
        let expected = AttributeValue::Bytes { base64: "/9j/AP8=".to_owned() };
        ensure!(photos == [&vec![expected]], "{photos:?}");
        Ok(())
    })
}
