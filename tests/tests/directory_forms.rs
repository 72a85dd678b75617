//! The ways in which a site may have its OpenLDAP: STARTTLS, a client certificate instead of a password, several
//! servers, `memberUid` and `uniqueMember` groups, bytes that are no text.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::DirectorySettings;
use postern_tests::api::AttributeValue;
use postern_tests::people::Person;
use postern_tests::ports::Port;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{Stage, control_plane, scenario};

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
