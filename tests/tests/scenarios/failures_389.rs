//! What is said when a 389 Directory Server refuses: the true cause, and a cure that can be followed. See docs/failures.md.

use anyhow::Result;
use postern_tests::agent::DirectorySettings;
use postern_tests::ds389::{self, Ds389, SUFFIX};
use postern_tests::failures::Diagnosed;
use postern_tests::scenario;

const LIMITS: &str = "cn=config,cn=ldbm database,cn=plugins,cn=config";

#[test]
fn the_state_of_the_bind_account_is_named_and_only_a_wrong_password_is_one() -> Result<()> {
    scenario(async |stage| {
        let server = Ds389::start(stage, ds389::Options::people(20)).await?;
        let reader = Ds389::reader_dn();
        let agent = Diagnosed::new(stage, DirectorySettings::ds389("ds", &server, stage.path())?)?;
        agent.row("bind").await?.must_say("passed", "accepted", "")?;

        let directory = &agent.settings.directories[0];
        directory.set_password("wrong")?;
        agent.row("bind").await?.must_say("failed", "wrong account or password", "bind password")?;
        directory.set_password(ds389::READER_PASSWORD)?;

        // More often than a wrong password may be tried.
        server.replace(&reader, "nsAccountLock", &["true"]).await?;
        for _ in 0..5 {
            agent.row("bind").await?.must_say("failed", "disabled", "nsAccountLock")?;
        }
        server.replace(&reader, "nsAccountLock", &[]).await?;

        server.replace("cn=config", "passwordExp", &["on"]).await?;
        server.replace(&reader, "passwordExpirationTime", &["20200101000000Z"]).await?;
        agent.row("bind").await?.must_say("failed", "expired", "new password")?;

        server.replace("cn=config", "passwordMustChange", &["on"]).await?;
        server.set_reader_password(ds389::READER_PASSWORD).await?;
        agent.row("bind").await?.must_say("failed", "must be changed", "passwordMustChange")?;
        server.replace("cn=config", "passwordMustChange", &["off"]).await?;
        server.replace("cn=config", "passwordExp", &["off"]).await?;
        server.set_reader_password(ds389::READER_PASSWORD).await?;
        agent.row("bind").await?.must_say("passed", "accepted", "")?;

        for (name, value) in [("passwordLockout", "on"), ("passwordMaxFailure", "2"), ("passwordUnlock", "off")] {
            server.replace("cn=config", name, &[value]).await?;
        }
        for _ in 0..3 {
            let guess = server.admin().bound_as(&reader, "a guess").program("ldapwhoami").output().await?;
            anyhow::ensure!(!guess.status.success());
        }
        agent.row("bind").await?.must_say("failed", "locked after wrong passwords", "accountUnlockTime")?;
        server.set_reader_password(ds389::READER_PASSWORD).await?;
        for name in ["accountUnlockTime", "passwordRetryCount"] {
            server.replace(&reader, name, &[]).await?;
        }
        agent.row("bind").await?.must_say("passed", "accepted", "")?;

        let bare = |settings: &mut DirectorySettings| settings.bind_dn = Some("reader".to_owned());
        agent.row_with("bind", bare).await?.must_say("failed", "not a DN and has no domain", "bind_dn")
    })
}

#[test]
fn a_bind_account_that_was_not_used_for_long_is_named_and_not_called_a_wrong_password() -> Result<()> {
    scenario(async |stage| {
        let options = ds389::Options { plugins: vec![ds389::Plugin::AccountPolicy], ..ds389::Options::people(20) };
        let mut server = Ds389::start(stage, options).await?;
        let settings = [
            ("alwaysrecordlogin", "yes"),
            ("stateattrname", "lastLoginTime"),
            ("altstateattrname", "createTimestamp"),
            ("specattrname", "acctPolicySubentry"),
            ("limitattrname", "accountInactivityLimit"),
        ];
        for (name, value) in settings {
            server.replace("cn=config,cn=Account Policy Plugin,cn=plugins,cn=config", name, &[value]).await?;
        }
        server.restart(stage).await?;
        let (reader, policy) = (Ds389::reader_dn(), format!("cn=policy,{SUFFIX}"));
        let agent = Diagnosed::new(stage, DirectorySettings::ds389("ds", &server, stage.path())?)?;
        server
            .apply(format!(
                "dn: {policy}\nobjectClass: ldapSubEntry\nobjectClass: accountPolicy\nobjectClass: extensibleObject\n\
                 cn: policy\naccountInactivityLimit: 86400\n"
            ))
            .await?;
        server.replace(&reader, "acctPolicySubentry", &[&policy]).await?;
        agent.row("bind").await?.must_say("passed", "accepted", "")?;

        // More often than a wrong password may be tried.
        server.replace(&reader, "lastLoginTime", &["20200101000000Z"]).await?;
        for _ in 0..5 {
            agent.row("bind").await?.must_say("failed", "not used for long", "inactivity limit")?;
        }
        server.replace(&reader, "lastLoginTime", &[]).await?;
        agent.row("bind").await?.must_say("passed", "accepted", "")
    })
}

#[test]
fn limits_are_foreseen_and_named_with_what_lifts_them() -> Result<()> {
    scenario(async |stage| {
        let server = Ds389::start(stage, ds389::Options::people(250)).await?;
        let reader = Ds389::reader_dn();
        let agent = Diagnosed::new(stage, DirectorySettings::ds389("ds", &server, stage.path())?)?;
        agent.row("paging").await?.must_say("passed", "a second page was read, 100 entries each", "")?;

        server.replace(&reader, "nsPagedLookThroughLimit", &[]).await?;
        server.replace(LIMITS, "nsslapd-lookthroughlimit", &["120"]).await?;
        agent.row("paging").await?.must_say("failed", "result code 11", "nsPagedLookThroughLimit: -1")?;
        server.replace(&reader, "nsPagedLookThroughLimit", &["-1"]).await?;
        agent.row("paging").await?.must_say("passed", "a second page", "")?;

        server.replace(&reader, "nsSizeLimit", &["50"]).await?;
        agent.row("paging").await?.must_say("failed", "result code 4", "nsPagedSizeLimit")?;
        server.replace(&reader, "nsPagedSizeLimit", &["101"]).await?;
        agent.row("paging").await?.must_say("passed", "a second page", "")
    })
}

#[test]
fn what_the_configuration_asks_for_and_the_server_has_not_is_named() -> Result<()> {
    scenario(async |stage| {
        let server = Ds389::start(stage, ds389::Options::people(20)).await?;
        let agent = Diagnosed::new(stage, DirectorySettings::ds389("ds", &server, stage.path())?)?;
        agent.row("rights").await?.must_say("passed", "no excessive rights", "")?;
        agent.row("attributes").await?.must_say("passed", "each in the schema and on some user", "")?;

        let missing = |settings: &mut DirectorySettings| settings.users.base_dns = vec![format!("ou=peopel,{SUFFIX}")];
        agent.row_with("base_dns", missing).await?.must_say("failed", "ou=peopel", "base_dns")?;

        let misspelt = |settings: &mut DirectorySettings| settings.users.attributes.push("maill".to_owned());
        agent.row_with("attributes", misspelt).await?.must_say("warned", "no attribute maill", "spelling")?;

        let on_nobody = |settings: &mut DirectorySettings| settings.users.attributes.push("pager".to_owned());
        agent.row_with("attributes", on_nobody).await?.must_say("warned", "on none of 20 users: pager", "read")?;

        let hidden = [
            Ds389::reading("all", "targetattr != \"userPassword || aci\""),
            Ds389::hiding("mail", "targetattr = \"mail\""),
        ];
        server.set_acis(&hidden).await?;
        agent.row("attributes").await?.must_say("warned", "on none of 20 users: mail", "let the bind account read")?;

        agent.settings.directories[0].set_password(ds389::ADMIN_PASSWORD)?;
        let root = |settings: &mut DirectorySettings| settings.bind_dn = Some(ds389::ADMIN.to_owned());
        agent.row_with("rights", root).await?.must_say("warned", "the directory's root", "a separate account")
    })
}
