//! Deleted accounts, which Active Directory keeps for a while, with its recycle bin on and off.

use anyhow::{Context as _, Result, ensure};
use postern_directory::Switch;
use postern_directory::write::{Change, Create, Effect, Failure, Kind, Subject};
use postern_tests::scenario;
use postern_tests::writing::{Site, apply_to_domain_at_once, user};

use crate::writes_active_directory::common::{PASSWORD, created, fails, id, operate, password, person, start, value};

#[test]
fn a_deleted_account_is_gone_and_its_name_free_with_and_without_the_recycle_bin() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        for recycle_bin in [false, true] {
            if recycle_bin {
                samba.enable_recycle_bin().await?;
            }
            let anna = created(&directory, "anna").await?;
            let gone = || Subject { external_id: Some(anna.external_id.clone()), dn: Some(anna.dn.clone()) };
            ensure!(operate(&directory, user(gone(), Change::Delete)).await?.effect == Effect::Deleted);
            ensure!(samba.entries("(sAMAccountName=anna)", &["cn"]).await?.is_empty());
            ensure!(!samba.can_bind("anna@corp.example", PASSWORD).await?);
            // What the bin keeps is no entry: it is not deleted again, and nothing else is done to it.
            let again = operate(&directory, user(gone(), Change::Delete)).await?;
            ensure!(again.effect == Effect::AlreadySo, "recycle bin {recycle_bin}: {again:?}");
            let refused = fails(&directory, user(gone(), Change::Enable)).await?;
            ensure!(matches!(refused, Failure::NotFound), "{refused:?}");
            // A new account of that name is a new one: disabled, with no password and another id.
            let new = Create { password: None, enabled: false, ..person("anna") };
            let made = operate(&directory, user(Subject::default(), Change::Create(new))).await?;
            let second = made.entry.context("no entry")?;
            ensure!(made.effect == Effect::Created && second.switch == Switch::Off, "{second:?}");
            ensure!(second.external_id != anna.external_id && value(&samba, "anna", "pwdLastSet").await? == "0");
            ensure!(operate(&directory, user(id(&second), Change::Delete)).await?.effect == Effect::Deleted);
        }
        Ok(())
    })
}

#[test]
fn an_account_that_was_undeleted_without_its_password_is_not_enabled() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        operate(&directory, user(id(&anna), Change::Disable)).await?;
        operate(&directory, user(id(&anna), Change::Delete)).await?;
        // Somebody brings it back. Its password is lost.
        samba.undelete(&anna.external_id, &anna.dn).await?;
        ensure!(value(&samba, "anna", "userAccountControl").await? == "514");
        let refused = fails(&directory, user(id(&anna), Change::Enable)).await?;
        ensure!(matches!(&refused, Failure::NoPassword), "{refused:?}");
        ensure!(value(&samba, "anna", "userAccountControl").await? == "514");
        operate(&directory, user(id(&anna), Change::SetPassword(password("An0ther!horse")))).await?;
        operate(&directory, user(id(&anna), Change::Enable)).await?;
        ensure!(samba.can_bind("anna@corp.example", "An0ther!horse").await?);
        Ok(())
    })
}

#[test]
fn an_enabled_account_that_is_deleted_comes_back_disabled() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let own = format!("dn: {}\nchangetype: modify\n", anna.dn);
        // The password never expires.
        samba.apply(format!("{own}replace: userAccountControl\nuserAccountControl: 66048\n")).await?;
        // To disable her is forbidden as such, and part of what is allowed here.
        let site = Site::forbidding(Kind::Disable);
        let done = directory.operate(&user(id(&anna), Change::Delete), &site).await?;
        ensure!(done.effect == Effect::Deleted && site.asked().len() == 1, "{done:?} {:?}", site.asked());
        samba.undelete(&anna.external_id, &anna.dn).await?;
        // Her other bits are as they were. Enabled, she would be an account that Samba asks for no password.
        ensure!(value(&samba, "anna", "userAccountControl").await? == "66050");
        ensure!(!samba.can_bind("anna@corp.example", PASSWORD).await?);
        let refused = fails(&directory, user(id(&anna), Change::Enable)).await?;
        ensure!(matches!(&refused, Failure::NoPassword), "{refused:?}");
        Ok(())
    })
}

#[test]
fn whoever_was_changed_or_deleted_meanwhile_is_disabled_all_the_same() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let own = format!("dn: {}\nchangetype: modify\n", anna.dn);
        let change = format!("{own}replace: userAccountControl\nuserAccountControl: 66048\n");
        let site = Site::default().meanwhile(apply_to_domain_at_once(&samba, change));
        let done = directory.operate(&user(id(&anna), Change::Delete), &site).await?;
        ensure!(done.effect == Effect::Deleted && site.asked().len() == 2, "{done:?} {:?}", site.asked());
        samba.undelete(&anna.external_id, &anna.dn).await?;
        ensure!(value(&samba, "anna", "userAccountControl").await? == "66050");
        let ben = created(&directory, "ben").await?;
        let site =
            Site::default().meanwhile(apply_to_domain_at_once(&samba, format!("dn: {}\nchangetype: delete\n", ben.dn)));
        let done = directory.operate(&user(id(&ben), Change::Delete), &site).await?;
        ensure!(done.effect == Effect::AlreadySo, "somebody else has deleted it: {done:?}");
        Ok(())
    })
}
