//! What is said when Active Directory refuses: the true cause in place of `data 533`. See docs/failures.md.

use anyhow::{Result, ensure};
use postern_tests::agent::DirectorySettings;
use postern_tests::failures::Diagnosed;
use postern_tests::samba::{self, Samba};
use postern_tests::scenario;

#[test]
fn a_samba_domain_says_what_is_wrong_with_the_bind_account() -> Result<()> {
    scenario(async |stage| {
        let samba = Samba::start(stage).await?;
        let dn = samba.add_reader().await?;
        let set = async |name: &str, value: &str| {
            samba.apply(format!("dn: {dn}\nchangetype: modify\nreplace: {name}\n{name}: {value}\n")).await
        };
        let mut agent = Diagnosed::new(stage, DirectorySettings::samba("ad", &samba, stage.path())?)?;
        agent.row("rights").await?.must_say("warned", "administrators' group", "a separate account")?;

        let directory = &mut agent.settings.directories[0];
        directory.bind_dn = Some(samba::READER.to_owned());
        directory.set_password(samba::READER_PASSWORD)?;
        agent.row("bind").await?.must_say("passed", "accepted", "")?;
        agent.row("rights").await?.must_say("passed", "no excessive rights", "")?;

        set("userAccountControl", "514").await?;
        for _ in 0..4 {
            agent.row("bind").await?.must_say("failed", "disabled", "enable the bind account")?;
        }
        set("userAccountControl", "512").await?;
        set("pwdLastSet", "0").await?;
        agent.row("bind").await?.must_say("failed", "must be changed", "next logon")?;
        set("pwdLastSet", "-1").await?;
        set("accountExpires", "130000000000000000").await?;
        agent.row("bind").await?.must_say("failed", "has expired", "expiry date")?;
        set("accountExpires", "0").await?;
        agent.row("bind").await?.must_say("passed", "accepted", "")?;

        let bare = |settings: &mut DirectorySettings| settings.bind_dn = Some("svc-nobody".to_owned());
        agent.row_with("bind", bare).await?.must_say("failed", "not a DN and has no domain", "DOMAIN\\name")?;
        agent.settings.directories[0].set_password("wrong")?;
        agent.row("bind").await?.must_say("failed", "wrong account or password", "bind password")?;
        for _ in 0..3 {
            let row = agent.row("bind").await?;
            ensure!(row.state == "failed" && row.detail.contains("wrong account"), "{row:?}");
        }
        // The check counts, too: the fourth is not tried.
        agent.row("bind").await?.must_say("failed", "binds are paused for", "systemctl reload")
    })
}
