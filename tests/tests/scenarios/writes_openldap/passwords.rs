//! Passwords: hashed by the server, never letting in who is kept out, and safe to set twice.

use anyhow::{Context as _, Result, ensure};
use postern_directory::Switch;
use postern_directory::write::{Change, Create, Effect, Failure, NewPassword, Subject};
use postern_tests::agent::DirectorySettings;
use postern_tests::scenario;
use postern_tests::slapd::{SUFFIX, Slapd};
use postern_tests::writing::{self, create, user};

use crate::writes_openldap::common::{created, dn, fails, id, operate, start};

fn password(text: &str) -> NewPassword {
    NewPassword { password: text.to_owned().into(), must_change: false }
}

async fn binds(slapd: &Slapd, uid: &str, password: &str) -> bool {
    writing::administrator(slapd).bound_as(&dn(uid), password).program("ldapwhoami").success().await.is_ok()
}

#[test]
fn a_password_is_set_by_rfc_3062_and_never_sent_as_an_attribute() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'ppolicy'").await?;
        let new = Create {
            password: Some(password("first password")),
            ..create(&[("uid", &["anna"]), ("cn", &["Anna"]), ("sn", &["Bell"])])
        };
        let anna =
            operate(&directory, user(Subject::default(), Change::Create(new))).await?.entry.context("no entry")?;
        ensure!(binds(&slapd, "anna", "first password").await);
        operate(&directory, user(id(&anna), Change::SetPassword(password("second password")))).await?;
        ensure!(binds(&slapd, "anna", "second password").await && !binds(&slapd, "anna", "first password").await);
        let kept = slapd.operational(&dn("anna")).await?.text("userPassword");
        ensure!(kept.starts_with("{SSHA}"), "kept as {kept}");
        let log = slapd.process().context("no process")?.log();
        ensure!(log.contains("PASSMOD"), "no password was set by RFC 3062");
        let sent = |line: &&str| line.contains(" ADD ") || line.contains("MOD attr=");
        ensure!(!log.lines().filter(sent).any(|line| line.to_lowercase().contains("userpassword")));
        Ok(())
    })
}

#[test]
fn a_reset_does_not_let_in_who_is_kept_out() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'ppolicy'").await?;
        let new = Create {
            enabled: false,
            password: Some(password("first password")),
            ..create(&[("uid", &["anna"]), ("cn", &["Anna"]), ("sn", &["Bell"])])
        };
        let made =
            operate(&directory, user(Subject::default(), Change::Create(new))).await?.entry.context("no entry")?;
        ensure!(made.switch == Switch::Off && !binds(&slapd, "anna", "first password").await);
        let reset = operate(&directory, user(id(&made), Change::SetPassword(password("second password")))).await?;
        ensure!(
            reset.entry.context("no entry")?.switch == Switch::Off && !binds(&slapd, "anna", "second password").await
        );
        let entry = slapd.operational(&dn("anna")).await?;
        ensure!(
            entry.text("pwdAccountLockedTime") == "000001010000Z" && entry.text("pwdEndTime").is_empty(),
            "{entry:?}"
        );
        // At no time was there a moment in which the user could have come in: the second switch came before the reset.
        let order: Vec<String> =
            writing::written(&slapd).iter().map(|line| writing::request(line).to_owned()).collect();
        let place = |word: &str| order.iter().rposition(|line| line.contains(word)).context("not sent");
        ensure!(place("PASSMOD")? < place("MOD attr=pwdAccountLockedTime pwdEndTime")?, "{order:#?}");
        ensure!(order.iter().any(|line| line == "MOD attr=pwdEndTime"), "{order:#?}");
        operate(&directory, user(id(&made), Change::Enable)).await?;
        ensure!(binds(&slapd, "anna", "second password").await);
        Ok(())
    })
}

#[test]
fn a_broken_rule_is_named_and_a_reset_that_was_done_is_no_failure() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'ppolicy'").await?;
        for (name, value) in [("pwdInHistory", "3"), ("pwdCheckQuality", "2"), ("pwdMinLength", "8")] {
            slapd.replace(&format!("cn=policy,{SUFFIX}"), name, &[value]).await?;
        }
        let anna = created(&directory, "anna").await?;
        let short = fails(&directory, user(id(&anna), Change::SetPassword(password("short")))).await?;
        ensure!(matches!(&short, Failure::Refused(refusal) if refusal.is_password_policy()), "{short:?}");
        ensure!(short.public_message().contains("too short"), "{}", short.public_message());
        let set = |text: &str| user(id(&anna), Change::SetPassword(password(text)));
        ensure!(operate(&directory, set("first password")).await?.effect == Effect::Changed);
        ensure!(operate(&directory, set("first password")).await?.effect == Effect::AlreadySo, "it is the password");
        operate(&directory, set("second password")).await?;
        let used = fails(&directory, set("first password")).await?;
        ensure!(used.public_message().contains("used before"), "{}", used.public_message());
        ensure!(binds(&slapd, "anna", "second password").await);
        Ok(())
    })
}

#[test]
fn no_password_is_sent_over_an_open_line() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let anna = created(&directory, "anna").await?;
        let mut settings = DirectorySettings::slapd("corp", &slapd, stage.path())?;
        (settings.urls, settings.allow_plaintext) = (vec![slapd.ldap_url()], true);
        let open = writing::configured(&(toml::to_string(&settings)? + "\n[write]\n"))?;
        let refused = fails(&open, user(id(&anna), Change::SetPassword(password("secret word")))).await?;
        ensure!(matches!(refused, Failure::Unencrypted), "{refused:?}");
        ensure!(!slapd.process().context("no process")?.log().contains("PASSMOD"));
        Ok(())
    })
}

#[test]
fn a_user_who_must_change_the_password_is_asked_to() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        slapd.replace(&format!("cn=policy,{SUFFIX}"), "pwdMustChange", &["TRUE"]).await?;
        let anna = created(&directory, "anna").await?;
        let must_change = NewPassword { must_change: true, ..password("first password") };
        operate(&directory, user(id(&anna), Change::SetPassword(must_change))).await?;
        ensure!(slapd.operational(&dn("anna")).await?.text("pwdReset") == "TRUE");
        operate(&directory, user(id(&anna), Change::SetPassword(password("second password")))).await?;
        ensure!(slapd.operational(&dn("anna")).await?.text("pwdReset") != "TRUE");
        Ok(())
    })
}
