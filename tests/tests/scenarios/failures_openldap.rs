//! What is said when OpenLDAP refuses, when a certificate is wrong, and when the configuration does not fit: the true
//! cause, and a cure that can be followed. See docs/failures.md.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::DirectorySettings;
use postern_tests::certificate_shop::{self, Files, TlsServer};
use postern_tests::failures::Diagnosed;
use postern_tests::ports::Port;
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::{Stage, scenario};

fn diagnosed(stage: &Stage, slapd: &Slapd) -> Result<Diagnosed> {
    Diagnosed::new(stage, DirectorySettings::slapd("corp", slapd, stage.path())?)
}

#[test]
fn limits_on_pages_fail_in_the_check_and_not_first_in_an_import() -> Result<()> {
    for (limit, said) in [("size.pr=100", "result code"), ("size.prtotal=disabled", "result code")] {
        scenario(async |stage| {
            let database_lines = format!("limits dn.exact=\"{}\" {limit}\n", Slapd::reader_dn());
            let slapd = Slapd::start(stage, slapd::Options { database_lines, ..slapd::Options::people(250) }).await?;
            let agent = diagnosed(stage, &slapd)?;
            let larger = |settings: &mut DirectorySettings| settings.page_size = 200;
            agent.row_with("paging", larger).await?.must_say("failed", said, "page_size")?;
            if limit == "size.pr=100" {
                agent.row("paging").await?.must_say("passed", "a second page was read, 100 entries each", "")?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_password_that_must_be_changed_is_named_though_the_bind_is_accepted() -> Result<()> {
    scenario(async |stage| {
        let database_lines = format!("overlay ppolicy\nppolicy_default \"cn=default,{SUFFIX}\"\n");
        let extra_ldif = format!(
            "dn: cn=default,{SUFFIX}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: default\n\
             pwdAttribute: userPassword\npwdMustChange: TRUE\npwdAllowUserChange: TRUE\n\n"
        );
        let options = slapd::Options { database_lines, extra_ldif, ..slapd::Options::people(10) };
        let slapd = Slapd::start(stage, options).await?;
        let agent = diagnosed(stage, &slapd)?;
        agent.row("bind").await?.must_say("passed", "accepted", "")?;
        slapd.replace(&Slapd::reader_dn(), "pwdReset", &["TRUE"]).await?;
        for _ in 0..4 {
            agent.row("bind").await?.must_say("failed", "must be changed", "pwdReset")?;
        }
        slapd.replace(&Slapd::reader_dn(), "pwdReset", &[]).await?;
        agent.row("bind").await?.must_say("passed", "accepted", "")
    })
}

#[test]
fn the_secret_and_the_name_to_bind_with_are_looked_at() -> Result<()> {
    scenario(async |stage| {
        let slapd = Slapd::start(stage, slapd::Options::people(10)).await?;
        let agent = diagnosed(stage, &slapd)?;
        let directory = &agent.settings.directories[0];
        directory.set_password(&format!("\u{feff}{}", slapd::READER_PASSWORD))?;
        agent.row("bind").await?.must_say("failed", "byte order mark", "UTF-8")?;
        directory.set_password("wrong")?;
        agent.row("bind").await?.must_say("failed", "wrong account or password", "bind password")?;
        directory.set_password(slapd::READER_PASSWORD)?;
        let bare = |settings: &mut DirectorySettings| settings.bind_dn = Some("svc-reader".to_owned());
        agent.row_with("bind", bare).await?.must_say("failed", "not a DN and has no domain", "name@domain")?;
        let root = |settings: &mut DirectorySettings| {
            settings.bind_dn = Some(Slapd::admin_dn());
            settings.bind_password_file = Some(stage.path().join("root.secret"));
        };
        postern_tests::certificates::write_private(
            &stage.path().join("root.secret"),
            slapd::ADMIN_PASSWORD.as_bytes(),
        )?;
        agent.row_with("rights", root).await?.must_say("warned", "rootdn", "a separate account")?;
        agent.row("rights").await?.must_say("passed", "no excessive rights", "")
    })
}

#[test]
fn every_server_is_bound_to_and_one_that_refuses_is_found_before_it_is_needed() -> Result<()> {
    scenario(async |stage| {
        let first = Slapd::start(stage, slapd::Options::people(10)).await?;
        let second = Slapd::start(stage, slapd::Options::people(10)).await?;
        second.set_reader_password("another one").await?;
        let mut directory = DirectorySettings::slapd("corp", &first, stage.path())?;
        let both = stage.path().join("both.pem");
        let authorities = [first.authority().certificate_pem(), second.authority().certificate_pem()].concat();
        std::fs::write(&both, authorities)?;
        directory.ca_file = Some(both);
        directory.urls = vec![first.ldaps_url(), second.ldaps_url()];
        let agent = Diagnosed::new(stage, directory)?;
        agent.row("bind").await?.must_say("warned", "accepted by 1 of 2 servers", "bind password")?;
        let reader = second.operational(&Slapd::reader_dn()).await?;
        ensure!(!reader.dn.is_empty());
        second.set_reader_password(slapd::READER_PASSWORD).await?;
        agent.row("bind").await?.must_say("passed", "accepted by 2 of 2 servers", "")
    })
}

#[test]
fn what_is_no_ldap_and_what_is_not_there_is_named() -> Result<()> {
    scenario(async |stage| {
        let slapd = Slapd::start(stage, slapd::Options::people(10)).await?;
        let agent = diagnosed(stage, &slapd)?;
        let nobody = Port::free()?;
        let gone =
            |settings: &mut DirectorySettings| settings.urls = vec![format!("ldaps://localhost:{}", nobody.number())];
        agent.row_with("connect", gone).await?.must_say("failed", "0 of 1", "the server runs")?;
        let unnamed = |settings: &mut DirectorySettings| settings.urls = vec!["ldaps://ldap.invalid".to_owned()];
        agent.row_with("connect", unnamed).await?.must_say("failed", "cannot resolve", "DNS")?;
        let plain_port = slapd.ldap_url().replace("ldap://127.0.0.1", "ldaps://localhost");
        let open = |settings: &mut DirectorySettings| settings.urls = vec![plain_port.clone()];
        let row = agent.row_with("tls", open).await?;
        ensure!(row.state == "failed" && row.cure.contains("start_tls"), "{row:?}");
        let misspelt = |settings: &mut DirectorySettings| settings.users.unique_attribute = "sAMAccountName".to_owned();
        agent.row_with("users", misspelt).await?.must_say(
            "failed",
            "10 of 10 users have no sAMAccountName",
            "unique",
        )?;
        agent.row_with("attributes", misspelt).await?.must_say("warned", "no attribute sAMAccountName", "spelling")
    })
}

/// A diagnosis of a server that shows this certificate, with this authority in `ca_file`.
async fn shown(
    stage: &Stage,
    slapd: &Slapd,
    certificate: &Files,
    authority: &Files,
) -> Result<postern_tests::failures::Row> {
    let server = TlsServer::start(stage, certificate).await?;
    let mut directory = DirectorySettings::slapd("corp", slapd, stage.path())?;
    directory.urls = vec![server.url()];
    directory.ca_file = Some(authority.certificate.clone());
    Diagnosed::new(stage, directory)?.row("tls").await
}

#[test]
fn what_is_wrong_with_a_certificate_is_named_in_words() -> Result<()> {
    scenario(async |stage| {
        let slapd = Slapd::start(stage, slapd::Options::people(1)).await?;
        let folder = stage.folder("certificates")?;
        let authority_of = async |name: &str| {
            certificate_shop::self_signed(&folder, name, "/CN=Corp CA", &["keyUsage=critical,keyCertSign"]).await
        };
        let (old, new) = (authority_of("old").await?, authority_of("new").await?);
        let issued = async |name: &str, digest: &str, usage: &str| {
            certificate_shop::issued(&folder, name, &new, digest, usage).await
        };
        let good = issued("good", "-sha256", "serverAuth").await?;
        shown(stage, &slapd, &good, &new).await?.must_say("passed", "Corp CA", "")?;
        shown(stage, &slapd, &good, &old).await?.must_say("failed", "another key", "the current certificate")?;
        let weak = issued("weak", "-sha1", "serverAuth").await?;
        shown(stage, &slapd, &weak, &new).await?.must_say("failed", "SHA-1", "SHA-256")?;
        let client = issued("client", "-sha256", "clientAuth").await?;
        shown(stage, &slapd, &client, &new).await?.must_say("failed", "not for servers", "serverAuth")?;
        let own = certificate_shop::self_signed(&folder, "own", "/CN=localhost", &[]).await?;
        shown(stage, &slapd, &own, &new).await?.must_say("failed", "self-signed", "the server's own certificate")?;
        shown(stage, &slapd, &own, &own).await?.must_say("passed", "localhost", "")
    })
}

/// The rules of docs/operations.md for OpenLDAP: the line with the limit, and the rules of access.
fn handbook() -> Result<(String, Vec<String>)> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md"))?;
    let block = text.split("```").find(|block| block.trim_start().starts_with("limits dn.exact"));
    let block = block.context("the handbook has no rules for OpenLDAP")?.trim();
    let (limit, rules) = block.split_once('\n').context("a limit and no rules")?;
    let rules = rules.split("access ").skip(1).map(|rule| rule.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok((format!("{limit}\n"), rules.collect()))
}

#[test]
fn the_handbooks_rules_for_openldap_are_enough_and_without_context_csn_the_check_warns() -> Result<()> {
    scenario(async |stage| {
        let (limit, rules) = handbook()?;
        let options = slapd::Options {
            overlays: true,
            password_policy: true,
            size_limit: Some(50),
            database_lines: limit,
            ..slapd::Options::people(120)
        };
        let slapd = Slapd::start(stage, options).await?;
        let set = async |rules: &[String]| {
            // These alone: somebody may start from a server without rules.
            let all: Vec<&str> = rules.iter().map(String::as_str).collect();
            slapd.set_access(&all).await
        };
        set(&rules).await?;
        let mut directory = DirectorySettings::slapd("corp", &slapd, stage.path())?;
        let handbook = ["uid", "cn", "sn", "givenName", "displayName", "mail", "telephoneNumber", "title"];
        directory.users.attributes = handbook.map(str::to_owned).to_vec();
        directory.groups.attributes = vec!["cn".to_owned()];
        let agent = Diagnosed::new(stage, directory)?;
        for name in ["base_dns", "paging", "users", "attributes", "switches", "rights", "source", "groups"] {
            agent.row(name).await?.must_say("passed", "", "").with_context(|| name.to_owned())?;
        }
        agent.row("switches").await?.must_say("passed", "of a sample of 100 users, 100 enabled", "")?;
        let without: Vec<String> = rules.iter().map(|rule| rule.replace(",contextCSN", "")).collect();
        ensure!(without != rules, "the handbook does not name contextCSN: {rules:?}");
        set(&without).await?;
        agent.row("source").await?.must_say("warned", "contextCSN of the suffix cannot be read", "syncprov")?;
        agent.row("base_dns").await?.must_say("passed", "", "")
    })
}

#[test]
fn the_directorys_root_is_known_where_nobody_has_a_password() -> Result<()> {
    scenario(async |stage| {
        let person = "inetOrgPerson\nuid: ada\ncn: Ada\nsn: Lovelace";
        let extra_ldif = format!("dn: uid=ada,ou=people,{SUFFIX}\nobjectClass: {person}\n\n");
        let slapd = Slapd::start(stage, slapd::Options { extra_ldif, ..slapd::Options::people(0) }).await?;
        let agent = diagnosed(stage, &slapd)?;
        agent.row("rights").await?.must_say("passed", "no excessive rights", "")?;
        let secret = stage.path().join("root.secret");
        postern_tests::certificates::write_private(&secret, slapd::ADMIN_PASSWORD.as_bytes())?;
        let root = |settings: &mut DirectorySettings| {
            settings.bind_dn = Some(Slapd::admin_dn());
            settings.bind_password_file = Some(secret);
        };
        agent.row_with("rights", root).await?.must_say("warned", "rootdn", "a separate account")?;
        // An account that may not see its own entry is not the root for that.
        let own = format!("to dn.exact=\"{}\" attrs=entry by * none", Slapd::reader_dn());
        let password = "to attrs=userPassword by anonymous auth by * none";
        slapd.set_access(&[password, &own, "to * by users read by * none"]).await?;
        agent.row("rights").await?.must_say("passed", "no excessive rights", "")
    })
}
