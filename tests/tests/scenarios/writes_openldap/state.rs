//! Users who are kept out and let in again.

use anyhow::{Context as _, Result, ensure};
use postern_directory::Switch;
use postern_directory::write::{Change, Effect, Failure};
use postern_tests::scenario;
use postern_tests::slapd::SUFFIX;
use postern_tests::writing::{self, user};

use crate::writes_openldap::common::{created, dn, fails, id, operate, start};

#[test]
fn a_user_is_disabled_and_enabled_by_the_password_policy() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'ppolicy'").await?;
        let anna = created(&directory, "anna").await?;
        let off = operate(&directory, user(id(&anna), Change::Disable)).await?;
        ensure!(off.effect == Effect::Changed && off.entry.context("no entry")?.switch == Switch::Off);
        ensure!(slapd.operational(&dn("anna")).await?.text("pwdAccountLockedTime") == "000001010000Z");
        let sent = writing::written(&slapd).len();
        ensure!(operate(&directory, user(id(&anna), Change::Disable)).await?.effect == Effect::AlreadySo);
        // Who is disabled is not locked by wrong passwords: an unlock lets nobody in.
        ensure!(operate(&directory, user(id(&anna), Change::Unlock)).await?.effect == Effect::AlreadySo);
        ensure!(writing::written(&slapd).len() == sent);
        let on = operate(&directory, user(id(&anna), Change::Enable)).await?;
        ensure!(on.effect == Effect::Changed && on.entry.context("no entry")?.switch == Switch::On);
        ensure!(slapd.operational(&dn("anna")).await?.text("pwdAccountLockedTime").is_empty());
        ensure!(operate(&directory, user(id(&anna), Change::Enable)).await?.effect == Effect::AlreadySo);
        Ok(())
    })
}

#[test]
fn a_lock_after_wrong_passwords_is_lifted() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'ppolicy'").await?;
        let anna = created(&directory, "anna").await?;
        let administrator = writing::administrator(&slapd);
        administrator.replace(&dn("anna"), "userPassword", &["right"]).await?;
        for _ in 0..5 {
            let wrong = administrator.bound_as(&dn("anna"), "wrong").program("ldapwhoami").output().await?;
            ensure!(!wrong.status.success());
        }
        let right = administrator.bound_as(&dn("anna"), "right");
        ensure!(right.program("ldapwhoami").success().await.is_err(), "not locked");
        ensure!(operate(&directory, user(id(&anna), Change::Unlock)).await?.effect == Effect::Changed);
        right.program("ldapwhoami").success().await?;
        ensure!(operate(&directory, user(id(&anna), Change::Unlock)).await?.effect == Effect::AlreadySo);
        Ok(())
    })
}

#[test]
fn a_user_is_disabled_by_a_shell_or_an_attribute() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'employeeType=left'").await?;
        let anna = created(&directory, "anna").await?;
        let off = operate(&directory, user(id(&anna), Change::Disable)).await?;
        ensure!(slapd.entries("(uid=anna)").await?[0].text("employeeType") == "left");
        ensure!(off.entry.context("no entry")?.switch == Switch::Off);
        ensure!(directory.lookup_user("anna").await?.user.switch == Switch::Off, "an import reads it otherwise");
        let on = operate(&directory, user(id(&anna), Change::Enable)).await?;
        ensure!(on.entry.context("no entry")?.switch == Switch::On);
        ensure!(slapd.entries("(uid=anna)").await?[0].text("employeeType").is_empty());

        let directory = writing::openldap(stage, &slapd, "disable = 'shell'\nenabled_shell = '/bin/zsh'").await?;
        let account =
            "objectClass: posixAccount\nuidNumber: 7\ngidNumber: 7\nhomeDirectory: /home/ben\nloginShell: /bin/sh\n";
        slapd
            .apply(format!(
                "dn: uid=ben,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\n{account}uid: ben\ncn: Ben\nsn: Ben\n"
            ))
            .await?;
        let ben = || postern_directory::write::Subject::dn(dn("ben"));
        let off = operate(&directory, user(ben(), Change::Disable)).await?;
        ensure!(off.entry.context("no entry")?.switch == Switch::Off);
        ensure!(slapd.entries("(uid=ben)").await?[0].text("loginShell") == "/usr/sbin/nologin");
        operate(&directory, user(ben(), Change::Enable)).await?;
        ensure!(slapd.entries("(uid=ben)").await?[0].text("loginShell") == "/bin/zsh");
        Ok(())
    })
}

#[test]
fn without_a_configured_way_nobody_is_disabled_and_the_cure_is_named() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let anna = created(&directory, "anna").await?;
        let sent = writing::written(&slapd).len();
        let failure = fails(&directory, user(id(&anna), Change::Disable)).await?;
        ensure!(matches!(failure, Failure::Setting { key: "disable", .. }), "{failure:?}");
        ensure!(failure.cure().context("no cure")?.contains("ppolicy") && writing::written(&slapd).len() == sent);
        Ok(())
    })
}
